# SPDX-License-Identifier: Apache-2.0
"""`greengrass run`: what goes to which stream, and how it ends."""

from __future__ import annotations

import asyncio
import json
import zipfile

import pytest

from greengrass_sdk.cli import run as command
from greengrass_sdk.cli._groups import group_text
from greengrass_sdk.errors import ConfigError

STARTED = {"event": "started", "at_ms": 1, "schema": 1, "root": "/r", "pid": 7}
MESSAGE = {
    "event": "message",
    "at_ms": 2,
    "source": "hello",
    "subject": "hello/world",
    "target": "cloud",
    "payload": "Hello!",
    "encoding": "utf-8",
    "outcome": "delivered",
    "reason": None,
}


class Core:
    """Emits its events when it is ready, and is asked to stop at once if `ends`."""

    events = (STARTED, MESSAGE)
    error: Exception | None = None

    def __init__(self, group, root, *, as_current_user, on_event, on_record):
        self.group, self.root, self.as_current_user = group, root, as_current_user
        self.on_event = on_event
        self.on_record = on_record
        self.asked = asyncio.Event()

    async def start(self):
        if self.error is not None:
            raise self.error
        for event in self.events:
            self.on_event(event)
            if self.on_record is not None:
                self.on_record(event)

    async def stop(self):
        pass

    async def wait_stopped(self):
        await self.asked.wait()

    def request_stop(self):
        self.asked.set()


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    made = []

    def build(group, root, **options):
        made.append(Core(group, root, **options))
        return made[-1]

    monkeypatch.setattr(command, "build_core", build)
    return made


@pytest.fixture
def project(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "hello.py").write_text("def handler(event, context): pass\n")
    text = group_text(name="hello", code="code/", handler="hello.handler")
    (tmp_path / "group.toml").write_text(text)
    return tmp_path


def test_json_lines_alone_are_on_standard_output(run, project):
    code, out, err = run("run", project, "--json", "--for", "0")

    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [STARTED, MESSAGE]
    assert "hello runs with 1 function and 2 subscriptions" in err


def test_people_see_messages_on_standard_output_and_remarks_on_standard_error(run, project):
    code, out, err = run("run", project, "--for", "0")

    assert code == 0
    assert out.split(maxsplit=1)[1].split() == ["hello", "→", "cloud", "hello/world", "Hello!"]
    assert err.endswith("Ctrl-C stops it\n")


def test_a_handler_that_was_found_in_a_zip_is_named(run, tmp_path):
    path = tmp_path / "hello.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("app.py", "def handler(event, context): pass\n")
    root = ("--root", tmp_path / "root", "--for", "0")

    assert "handler app.handler, found in hello.zip;" in run("run", path, *root)[2]
    assert "found in" not in run("run", path, "--handler", "app.handler", *root)[2]


def test_functions_run_as_whoever_started_it(run, project, cores):
    run("run", project, "--for", "0")

    assert [core.as_current_user for core in cores] == [True]


def test_the_root_lies_beside_the_project_unless_it_is_named(run, project, cores, tmp_path):
    run("run", project, "--for", "0")
    run("run", project, "--for", "0", "--root", tmp_path / "elsewhere")

    assert [core.root for core in cores] == [project / ".greengrass", tmp_path / "elsewhere"]


def test_with_json_the_warnings_of_the_group_are_remarks(run, project):
    path = project / "group.toml"
    path.write_text(path.read_text().replace("pinned = true", "pinned = true\nidle_s = 1"))
    _code, _out, err = run("run", project, "--json", "--for", "0")

    assert err.startswith("warning: ")


def test_a_core_that_does_not_start_says_why(run, project, monkeypatch):
    monkeypatch.setattr(Core, "error", ConfigError("root /r is in use by the core with pid 3"))

    assert run("run", project) == (3, "", "error: root /r is in use by the core with pid 3\n")


def test_an_error_is_a_json_line_too(run, project, monkeypatch):
    monkeypatch.setattr(Core, "error", ConfigError("no"))
    code, out, _err = run("run", project, "--json")

    assert code == 3
    assert json.loads(out)["error"]["code"] == "Config"


@pytest.mark.parametrize("seconds", ["x", "-1", "nan", "inf"])
def test_a_duration_that_is_none_is_refused(run, project, seconds):
    code, _out, err = run("run", project, f"--for={seconds}")

    assert code == 2
    assert err.startswith("error: --for takes seconds")


def test_a_reader_that_goes_away_ends_the_run(project, monkeypatch, capsys):
    class Gone:
        encoding = "utf-8"
        abandoned = False

        def isatty(self):
            return False

        def write(self, _text):
            raise BrokenPipeError

        def flush(self):
            pass

    output = command_output(Gone())
    args = parse(project)

    assert command.execute(args, output) == 0
    assert output.abandoned


def command_output(stdout):
    from greengrass_sdk.cli._output import Output

    class Recorded(Output):
        abandoned = False

        def abandon_stdout(self):
            self.abandoned = True

    return Recorded(stdout=stdout)


def parse(project):
    from greengrass_sdk.cli._program import command_parser, find_command

    return command_parser(find_command("run")).parse_args([str(project)])


def test_a_handler_that_is_not_there_is_a_warning_before_anything_runs(run, project, cores):
    text = group_text(name="hello", code="code/", handler="hello.handle")
    (project / "group.toml").write_text(text)
    code, _out, _err = run("run", project, "--for", "0")

    assert code == 0
    [warning] = cores[0].group.warnings
    assert "functions.hello.handler: module 'hello' in " in warning
    assert "defines no 'handle'" in warning


def test_a_module_that_is_not_there_is_one_warning(run, project, cores):
    text = group_text(name="hello", code="code/", handler="hullo.handler")
    (project / "group.toml").write_text(text)
    run("run", project, "--for", "0")

    assert len(cores[0].group.warnings) == 1


def test_a_recording_goes_to_its_file(run, project, tmp_path, cores):
    tape = tmp_path / "tape.jsonl"
    code, _out, _err = run("run", project, "--for", "0", "--record", tape)

    assert code == 0
    kinds = [json.loads(line)["event"] for line in tape.read_text().splitlines()]
    assert kinds == ["started", "message", "ended"]
    assert run("run", project, "--for", "0")[0] == 0
    assert cores[1].on_record is None


def test_a_gap_on_the_tape_is_an_error_at_the_end(run, project, tmp_path, monkeypatch):
    gap = {"event": "skipped", "at_ms": 3, "count": 12}
    monkeypatch.setattr(Core, "events", (STARTED, gap))
    code, _out, err = run("run", project, "--for", "0", "--record", tmp_path / "tape.jsonl")

    assert code == 3
    assert "tape.jsonl cannot be replayed: 12 events are missing" in err


def test_a_tape_that_is_there_already_is_an_error_before_anything_runs(
    run, project, tmp_path, cores
):
    (tmp_path / "tape.jsonl").touch()
    code, _out, err = run("run", project, "--record", tmp_path / "tape.jsonl")

    assert code == 3
    assert "is there already" in err
    assert cores == []


def test_a_core_that_does_not_start_leaves_no_tape(run, project, tmp_path, monkeypatch):
    monkeypatch.setattr(Core, "error", ConfigError("no"))
    run("run", project, "--record", tmp_path / "tape.jsonl")

    assert not (tmp_path / "tape.jsonl").exists()
