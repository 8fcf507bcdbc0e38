# SPDX-License-Identifier: Apache-2.0
"""
Runs the code blocks of the manual, the README and the examples' READMEs (`nox -s docs`).

One page is one reader: its blocks share a folder and a Python namespace, from top to bottom.

- `python` is executed; with a `:caption:`, or a first line `# NAME.py`, it is saved under that
  name instead, as the page says.
- `console` runs each line after `$ ` in bash. What follows must match its output; `...` stands for
  anything. `greengrass run` without `--for` goes on in the background, as in a reader's first
  terminal, until the next one starts, a line `^C` or the end of the page, and must then stop
  cleanly.
  A command may fail only if the block asks for its status next: `$ echo $?`.
- `toml` must parse; a whole group file must be valid; with a name it is saved.
- `json` must parse. `bash` is what cannot run here (installing, services): only its syntax counts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from sybil import Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser, SkipParser

if TYPE_CHECKING:
    from sybil import Example

ROOT = Path(__file__).parents[2]
COMMAND_S = 30.0
STOP_S = 15.0
INTERRUPT = "^C"
# Blocks that are shown, not run: drawings, excerpts of logs and answers, Sphinx's own directives.
NOT_CODE = {"text", "c"}


class Reader:
    """What one page's reader has: a folder with the examples, a shell, and a first terminal."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="docs-"))
        left_out = shutil.ignore_patterns(".greengrass", "__pycache__")
        shutil.copytree(ROOT / "examples", self.folder / "examples", ignore=left_out)
        runtime = self.folder / ".run"
        runtime.mkdir(mode=0o700)
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_STATE_HOME": str(self.folder / ".state"),
            "PYTHONDEVMODE": "",
            "NO_COLOR": "1",
            "COLUMNS": "120",
        }
        self.environment.pop("GREENGRASS_ROOT", None)
        # A reader's tests see nothing of this run, and find the plugin by its installation.
        self.environment["PYTEST_ADDOPTS"] = (
            "-p no:cacheprovider -p no:randomly -p no:xdist --ignore=examples"
        )
        if not entry_points(group="pytest11", name="greengrass_sdk"):
            self.environment["PYTEST_PLUGINS"] = "greengrass_sdk.testing.plugin"
        self.background: subprocess.Popen[str] | None = None
        self._drain: Thread | None = None
        self.status = 0

    def close(self) -> None:
        """Forget the folder, and what still runs because the page failed."""
        if self.background is not None:
            self.background.kill()
            self.background.wait()
            self._discard(self.background)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """Press Ctrl-C in the first terminal; the core must end well."""
        running, self.background = self.background, None
        if running is None:
            return
        running.send_signal(signal.SIGINT)
        try:
            running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            raise
        finally:
            self._discard(running)
            output = (self.folder / ".terminal").read_text()
        if running.returncode not in (0, 130):
            raise AssertionError(f"greengrass run ended with {running.returncode}:\n{output}")

    def start(self, command: str) -> None:
        """Run a core in the first terminal, and wait until it says that it is ready."""
        self.stop()
        with (self.folder / ".terminal").open("w") as output:
            running = subprocess.Popen(
                ["bash", "-c", f"exec {command} --json"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        self.background = running
        assert running.stdout is not None
        if not running.stdout.readline():  # the first event is `started`
            text = (self.folder / ".terminal").read_text()
            raise AssertionError(f"{command} ended before it was ready:\n{text}")
        self._drain = Thread(target=running.stdout.read)  # a full pipe would stop the core
        self._drain.start()

    def _discard(self, ended: subprocess.Popen[str]) -> None:
        if self._drain is not None:
            self._drain.join()
        if ended.stdout is not None:
            ended.stdout.close()

    def run(self, command: str) -> str:
        """Run a command in the second terminal; its status is kept for `echo $?`."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        self.status = done.returncode
        return done.stdout


def commands(block: str) -> list[tuple[str, str]]:
    """Return the pairs of command and expected output that a console block shows."""
    pairs: list[tuple[str, str]] = []
    lines = iter(textwrap.dedent(block).splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command = f"{command[:-1]}{next(lines).removeprefix('> ')}"
            pairs.append((command, ""))
        elif line == INTERRUPT:
            pairs.append((INTERRUPT, ""))
        elif pairs:
            command, expected = pairs[-1]
            pairs[-1] = command, f"{expected}{line}\n"
        else:
            raise AssertionError(f"a console block starts with '$ ', not with {line!r}")
    return pairs


def matches(expected: str, output: str) -> bool:
    """Compare, with `...` for anything; no expectation accepts everything."""
    if not expected:
        return True
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    return re.fullmatch(pattern, output.strip(), re.DOTALL) is not None


def console(example: Example) -> str | None:
    """Type what the block shows."""
    reader: Reader = example.namespace["_reader"]
    pairs = commands(example.parsed)
    for number, (command, expected) in enumerate(pairs):
        if command == INTERRUPT:
            reader.stop()
            continue
        if re.match(r"greengrass run\b", command) and "--for" not in command:
            reader.start(command)
            continue
        if command == "echo $?":
            output = f"{reader.status}\n"
            reader.status = 0
        else:
            output = reader.run(command)
        asked = number + 1 < len(pairs) and pairs[number + 1][0] == "echo $?"
        if reader.status and not asked:
            return f"$ {command}\nended with status {reader.status}:\n{output}"
        if not matches(expected, output):
            return f"$ {command}\nexpected:\n{expected}\ngot:\n{output}"
    return None


def caption(example: Example) -> Path | None:
    """Return where the reader saves the block, if it has a caption or names itself."""
    name = example.region.lexemes.get("options", {}).get("caption")
    if name is None and (comment := re.match(r"# (\S+\.(?:py|toml))\n", example.parsed)):
        name = comment[1]
    if name is None:
        return None
    path: Path = example.namespace["_reader"].folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def python(example: Example) -> str | None:
    """Execute the block, or save it."""
    path = caption(example)
    if path is not None:
        path.write_text(example.parsed)
        return None
    here = Path.cwd()
    os.chdir(example.namespace["_reader"].folder)
    try:
        PythonEvaluator()(example)
    finally:
        os.chdir(here)
    return None


def toml(example: Example) -> str | None:
    """Parse the block; validate it if it is a whole group file."""
    path = caption(example)
    if path is not None:
        path.write_text(example.parsed)
    content = tomllib.loads(example.parsed)
    if "schema" in content:
        from greengrass_sdk.model.group import parse_group

        with tempfile.TemporaryDirectory() as folder:
            _pretend_code(Path(folder), content)
            parse_group(example.parsed, base=Path(folder), file=f"{example.path}:{example.line}")
    return None


def _pretend_code(folder: Path, content: dict[str, Any]) -> None:
    for function in content.get("functions", {}).values():
        code = folder / function["code"]
        if code.suffix == ".zip":
            shutil.make_archive(
                str(code.with_suffix("")), "zip", ROOT / "examples/hello_world/hello"
            )
        else:
            code.mkdir(parents=True, exist_ok=True)


def check_json(example: Example) -> str | None:
    """Parse the block, one document or one a line."""
    try:
        json.loads(example.parsed)
    except json.JSONDecodeError:
        for line in example.parsed.splitlines():
            json.loads(line)
    return None


def bash(example: Example) -> str | None:
    """Check the syntax of commands that cannot run here."""
    done = subprocess.run(
        ["bash", "-n"], input=example.parsed, text=True, capture_output=True, check=False
    )
    return done.stderr or None


def unknown(example: Example) -> str | None:
    """Refuse a block that nothing would check."""
    return f"nothing runs blocks of the language {example.region.lexemes['arguments']!r}"


class OtherBlocks(CodeBlockParser):
    """Every fenced block whose language has no parser of its own."""

    language = "(other)"

    def __call__(self, document: Any) -> Any:
        """Yield blocks of unknown languages."""
        for region in self.lexers(document):
            language = region.lexemes["arguments"]
            if language not in PARSERS and language not in NOT_CODE and "{" not in language:
                region.parsed, region.evaluator = region.lexemes["source"], unknown
                yield region


def leave(example: Example) -> str | None:
    """Press Ctrl-C for the last time."""
    try:
        example.namespace["_reader"].stop()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None


def end_of_page(document: Any) -> Any:
    """Yield the reader's last act: the core in the first terminal must stop cleanly."""
    end = len(document.text)
    yield Region(end, end, parsed="", evaluator=leave)


PARSERS = {
    "bash": bash,
    "console": console,
    "json": check_json,
    "python": python,
    "toml": toml,
}


def setup(namespace: dict[str, Any]) -> None:
    """Start a page."""
    namespace["_reader"] = Reader()


def teardown(namespace: dict[str, Any]) -> None:
    """End a page."""
    namespace["_reader"].close()


pytest_collect_file = Sybil(
    parsers=[
        *(CodeBlockParser(language, evaluator) for language, evaluator in PARSERS.items()),
        OtherBlocks(),
        end_of_page,
        SkipParser(),
    ],
    path=str(ROOT),
    patterns=["README.md", "CONTRIBUTING.md", "docs/**/*.md", "examples/**/*.md"],
    setup=setup,
    teardown=teardown,
).pytest()
