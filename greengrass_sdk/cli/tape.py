# SPDX-License-Identifier: Apache-2.0
"""`greengrass tape replay|to-test TAPE`: what `run --record` wrote, once more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from greengrass_sdk.cli._output import UsageError
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output
    from greengrass_sdk.testing.tape_replay import Replay

__all__ = ["configure", "execute"]

PROG = "greengrass tape"
ACTIONS = ("replay", "to-test")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Give the functions of a group what came from outside while `greengrass run --record` "
        "recorded, in this process and in virtual time. `replay` compares what comes out with the "
        "tape; exit code 1 if it differs. `to-test` writes a pytest file that does the same from "
        "then on, without the tape."
    )
    parser.add_argument("action", metavar="ACTION", choices=ACTIONS, help=" | ".join(ACTIONS))
    parser.add_argument("tape", metavar="TAPE", help="a file that `greengrass run --record` wrote")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="of to-test: a new file, or - (default: test_TAPE.py beside the tape)",
    )
    parser.add_argument(
        "--ignore",
        metavar="KEY",
        action="append",
        default=[],
        help="key of JSON payloads whose values differ each time; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Replay the tape, and write the test."""
    if args.action == "replay" and args.output is not None:
        raise UsageError("replay writes no file, only to-test does", prog=PROG)
    tape = Path(args.tape)
    file = _new_file(args, tape) if args.action == "to-test" else None
    replay = _replay(tape, args.ignore)
    wrote = None
    if args.action == "to-test" and not replay.differences:
        wrote = _write(replay, file, args.ignore, output)
    if output.json:
        output.document(
            {
                "tape": str(tape),
                "stimuli": len(replay.tape.stimuli),
                "outputs": len(replay.outputs),
                "differences": replay.differences or None,
                "volatile_keys": replay.volatile_keys(),
                "wrote": wrote,
            }
        )
    elif replay.differences:
        _tell_differences(replay, output)
    elif args.action == "replay":
        _tell_agreement(replay, output)
    return 1 if replay.differences else 0


def _write(replay: Replay, file: Path | None, ignore: list[str], output: Output) -> str | None:
    """Write a test; return where it is, None for standard output."""
    from greengrass_sdk.testing.tape_writer import write_test

    text = write_test(replay, Path.cwd() / "-" if file is None else file, ignore)
    if file is None:
        output.text(text.rstrip("\n"))
        return None
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    output.text(f"wrote {file}")
    output.note(f"run it: python -m pytest {file}")
    return str(file)


def _tell_agreement(replay: Replay, output: Output) -> None:
    stimuli, outputs = len(replay.tape.stimuli), len(replay.outputs)
    given, came = _count(stimuli, "stimulus", "stimuli"), _count(outputs, "output", "outputs")
    output.text(f"{replay.tape.path}: {given} gave {came}, as recorded")


def _new_file(args: argparse.Namespace, tape: Path) -> Path | None:
    """Return the file to be written, None for standard output."""
    if args.output == "-":
        return None
    stem = tape.stem.replace("-", "_").replace(".", "_")
    file = Path(args.output) if args.output else tape.with_name(f"test_{stem}.py")
    if file.exists():
        raise ConfigError(f"{file} is there already; move it away, or name another: -o FILE")
    return file


def _replay(tape: Path, ignore: list[str]) -> Replay:
    from greengrass_sdk.testing import FakeCore

    with FakeCore() as core:
        return core.replay(tape, ignore=ignore)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _tell_differences(replay: Replay, output: Output) -> None:
    output.text(f"the replay of {replay.tape.path} differs (- recorded, + replayed):")
    output.text(replay.differences)
    keys = replay.volatile_keys()
    if keys:
        options = " ".join(f"--ignore {key}" for key in keys)
        output.note(
            f"only values of these keys differ; if they do each time, as times do: {options}"
        )
