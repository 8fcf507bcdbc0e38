# SPDX-License-Identifier: Apache-2.0
"""`greengrass run PATH`: a core in the foreground, and what happens on it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._groups import load_target
from greengrass_sdk.cli._live import EventWriter, JsonLines, LiveText
from greengrass_sdk.cli._output import UsageError, is_unicode
from greengrass_sdk.cli._record import TapeWriter
from greengrass_sdk.cli._roots import run_root
from greengrass_sdk.cli._serve import Supervision, build_core, serve
from greengrass_sdk.cli.lint import with_handler_warnings

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output
    from greengrass_sdk.core.daemon import Core
    from greengrass_sdk.model.group import Group

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Run a group in the foreground as the user who starts it, and show its messages. "
        "A zip is linked with the cloud both ways (#); the cloud is a local stand-in "
        "unless the group names one. Ctrl-C stops it, a second Ctrl-C at once."
    )
    parser.add_argument("path", metavar="PATH", help="a folder, a group file, or a V1 zip")
    parser.add_argument(
        "--handler",
        metavar="MODULE.FUNCTION",
        help="for a zip: its handler (default: the one found)",
    )
    parser.add_argument(
        "--on-demand", action="store_true", help="for a zip: start workers by need, not one pinned"
    )
    parser.add_argument(
        "--encoding", choices=("json", "binary"), help="for a zip: how its payloads arrive"
    )
    parser.add_argument(
        "--subscribe",
        metavar="FILTER",
        action="append",
        help="for a zip: topics from the cloud (default #); may be repeated",
    )
    parser.add_argument(
        "--json", action="store_true", help="print events as JSON lines, one per event"
    )
    parser.add_argument(
        "--for",
        dest="duration_s",
        metavar="SECONDS",
        type=_seconds,
        help="stop by itself this long after it is ready",
    )
    parser.add_argument(
        "--record",
        metavar="TAPE",
        help="write all that happens to this new file, for greengrass tape and tests",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="where its state lies (default: PATH/.greengrass)"
    )


def execute(args: argparse.Namespace, output: Output) -> int:
    """Run the core until it is told to stop."""
    from greengrass_sdk.core.loop import run_core

    path = Path(args.path)
    group = with_handler_warnings(load_target(path, args))
    if output.json:  # the text view shows them, because the core logs them
        for warning in group.warnings:
            output.warning(warning)
    if path.suffix == ".zip" and args.handler is None:
        [function] = group.functions.values()
        output.note(f"handler {function.handler}, found in {path.name}; --handler names another")
    root = Path(args.root).absolute() if args.root else run_root(path)
    tape = TapeWriter(Path(args.record), group) if args.record else None
    try:
        run_core(_run(group, root, args, output, tape))
    finally:
        if tape is not None:
            tape.close()
    return 0


async def _run(
    group: Group,
    root: Path,
    args: argparse.Namespace,
    output: Output,
    tape: TapeWriter | None,
) -> None:
    loop = asyncio.get_running_loop()
    core: Core | None = None

    def reader_gone() -> None:
        if core is not None:
            loop.call_soon_threadsafe(core.request_stop)

    stdout = output.stdout
    view = (
        JsonLines(unicode=is_unicode(stdout))
        if output.json
        else LiveText.for_stream(stdout, verbose=output.debug)
    )
    writer = EventWriter(stdout, view.render, on_closed=reader_gone)

    def show(event: dict[str, Any]) -> None:
        if event["event"] == "started":  # the first one: the headline goes before all others
            output.note(_ready_text(group, root))
        writer.put(event)

    try:
        core = build_core(
            group,
            root,
            as_current_user=True,
            on_event=show,
            on_record=None if tape is None else tape.put,
        )
        await serve(
            core,
            Supervision(
                on_stopping=lambda _signal: output.note("stopping; Ctrl-C again ends it at once"),
                duration_s=args.duration_s,
            ),
        )
    finally:
        writer.close()
    if writer.broken:
        output.abandon_stdout()


def _ready_text(group: Group, root: Path) -> str:
    functions = _count(len(group.functions), "function")
    rows = _count(len(group.subscriptions), "subscription")
    return f"{group.name} runs with {functions} and {rows}, root {root}; Ctrl-C stops it"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise UsageError(f"--for takes seconds, not {text!r}", prog="greengrass run") from None
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise UsageError(f"--for takes seconds of 0 or more, not {text}", prog="greengrass run")
    return seconds
