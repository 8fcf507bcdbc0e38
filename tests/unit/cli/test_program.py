# SPDX-License-Identifier: Apache-2.0
"""The frame of the commands: finding one, its parser, what it ends with."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from greengrass_sdk import cli
from greengrass_sdk.cli._output import Output as PlainOutput
from greengrass_sdk.cli._program import command_parser, run_guarded


def run(capsys, *arguments):
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_lists_every_command(capsys):
    code, out, _err = run(capsys, "--help")

    assert code == 0
    assert [c.name for c in cli.COMMANDS if f"  {c.name} " not in out] == []


def test_help_imports_no_command_and_nothing_heavy():
    script = (
        "import sys; from greengrass_sdk.cli import main; main(['--help']);"
        "heavy = {'attr', 'asyncio', 'rich', 'msgpack', 'json', 'socket'} & set(sys.modules);"
        "mine = {name for name in sys.modules if name.startswith('greengrass_sdk.cli.')};"
        "print(sorted(heavy), sorted(mine), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == "[] ['greengrass_sdk.cli._output', 'greengrass_sdk.cli._program']\n"


def test_an_unknown_command_is_answered_with_the_nearest(capsys):
    code, _out, err = run(capsys, "pubish", "x")

    assert code == 2
    assert err.splitlines()[0] == "error: unknown command 'pubish'; did you mean 'publish'?"


def test_an_unknown_command_that_is_near_nothing_is_answered_with_the_list(capsys):
    code, _out, err = run(capsys, "xyzzy")

    assert code == 2
    assert "there are: init, run, publish," in err


def test_an_unknown_option_is_answered_with_the_nearest(capsys):
    code, _out, err = run(capsys, "status", "--jsn")

    assert code == 2
    assert err.splitlines()[0] == "error: unknown argument '--jsn'; did you mean '--json'?"


def test_a_missing_argument_shows_the_usage(capsys):
    code, _out, err = run(capsys, "publish", "topic")

    assert code == 2
    assert "error: the following arguments are required: PAYLOAD" in err
    assert "usage: greengrass publish" in err


def test_wrong_usage_is_a_json_document_too(capsys):
    code, out, _err = run(capsys, "publish", "--json")

    assert code == 2
    assert json.loads(out)["error"]["code"] == "Usage"


def test_no_command_at_all_is_wrong_usage(capsys):
    code, _out, err = run(capsys)

    assert code == 2
    assert "say which command" in err


@pytest.mark.parametrize("arguments", [["--version"], ["--debug", "--version"]])
def test_the_version_is_printed(capsys, arguments):
    code, out, _err = run(capsys, *arguments)

    assert code == 0
    assert out.startswith("greengrass ")


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself(capsys, command):
    code, out, _err = run(capsys, command.name, "--help")
    other_code, other_out, _err = run(capsys, "help", command.name)

    assert (code, other_code) == (0, 0)
    assert out.startswith(f"usage: greengrass {command.name}")
    assert out.strip() == other_out.strip()


def test_every_command_that_reads_offers_json():
    reading = [c for c in cli.COMMANDS if c.name != "init"]
    without = [
        command.name
        for command in reading
        if "--json" not in command_parser(command)._option_string_actions
    ]

    assert without == []


def test_a_reader_that_went_away_is_no_error(capfd):
    class Output(PlainOutput):
        abandoned = False

        def abandon_stdout(self):
            self.abandoned = True

    output = Output()

    def body():
        raise BrokenPipeError

    assert run_guarded(output, body) == 0
    assert output.abandoned
