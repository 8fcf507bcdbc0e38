# SPDX-License-Identifier: Apache-2.0
"""`greengrass stream`: the streams of a running core."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._output import UsageError, printable
from greengrass_sdk.cli._progress import Progress
from greengrass_sdk.cli._roots import add_root_option
from greengrass_sdk.cli._tool import ask, encoded_payload, parse_json_object, read_payload
from greengrass_sdk.errors import StreamNotFoundError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from greengrass_sdk.cli._output import Output
    from greengrass_sdk.client.results import InvokeResult
    from greengrass_sdk.client.streams import Stream
    from greengrass_sdk.model.stream import Message, MessageStreamInfo

__all__ = ["configure", "execute"]

PROG = "greengrass stream"
BATCH = 1000  # lines that are appended in one request
_SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

# option -> the actions that take it
_OPTIONS = {
    "lines": ("append",),
    "start": ("read", "tail"),
    "count": ("read", "tail"),
    "definition": ("create",),
    "max_size": ("create",),
    "segment_size": ("create",),
    "ttl": ("create",),
    "overwrite": ("create",),
    "memory": ("create",),
    "flush": ("create",),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Work with the streams of a running core. `list` prints all streams, `describe` what one "
        "is and holds, `create` makes one, `append` appends a message, `read` prints messages, "
        "`tail` the last ones and those that come, `delete` deletes a stream, `export-status` "
        "prints how far exports are and why one stands still, `verify` reads everything and prints "
        "what is damaged."
    )
    actions = tuple(_ACTIONS)
    parser.add_argument("action", metavar="ACTION", choices=actions, help=" | ".join(actions))
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of the stream")
    parser.add_argument("message", metavar="MESSAGE", nargs="?", help="of append; - reads stdin")
    parser.add_argument("--lines", action="store_true", help="append each line of MESSAGE")
    parser.add_argument(
        "--from", dest="start", metavar="N", type=_number, help="sequence number to begin with"
    )
    parser.add_argument(
        "--count", metavar="N", type=_number, help="so many messages; tail: the last 10 first"
    )
    parser.add_argument("--definition", metavar="JSON", help="of create, with AWS's names")
    parser.add_argument("--max-size", metavar="BYTES", type=_size, help="of create; as in 64M")
    parser.add_argument("--segment-size", metavar="BYTES", type=_size, help="of create")
    parser.add_argument("--ttl", metavar="SECONDS", type=_seconds, help="of create; 60 at least")
    parser.add_argument("--overwrite", action="store_true", help="of create: lose the oldest data")
    parser.add_argument("--memory", action="store_true", help="of create: keep it in memory")
    parser.add_argument("--flush", action="store_true", help="of create: flush on write")
    add_root_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Do what ACTION says."""
    action: str = args.action
    if action not in ("list", "export-status", "verify") and args.name is None:
        raise UsageError(f"{action} needs the NAME of a stream", prog=PROG)
    if action == "list" and args.name is not None:
        raise UsageError("list takes no NAME", prog=PROG)
    if (args.message is not None) != (action == "append"):
        needs = "takes no MESSAGE, only append does"
        if action == "append":
            needs = "needs a MESSAGE; - reads it from standard input"
        raise UsageError(f"{action} {needs}", prog=PROG)
    for option, actions in _OPTIONS.items():
        if getattr(args, option) not in (None, False) and action not in actions:
            said = {"start": "from"}.get(option, option.replace("_", "-"))
            raise UsageError(f"{action} takes no --{said}", prog=PROG)
    try:
        return _ACTIONS[action](args, output)
    except StreamNotFoundError as error:
        raise StreamNotFoundError(f"{error}; {_others(args)}", stream=error.stream) from error


def _others(args: argparse.Namespace) -> str:
    """Return which streams somebody may have meant who named one that is none."""
    from difflib import get_close_matches

    names = _names(args)
    if near := get_close_matches(args.name, names, 1):
        return f"did you mean {printable(near[0])}?"
    return "`greengrass stream list` shows which do" if names else "there are none yet"


# What is asked.


def _invoke(root: str | None, function: str, payload: bytes) -> InvokeResult:
    from greengrass_sdk.client.results import InvokeResult

    fields = {"function": function, "payload": payload, "client_context": b"", "event": False}
    answer = ask(root, "invoke", fields)
    return InvokeResult(bytes(answer["payload"]), answer["request_id"])


def _stream(args: argparse.Namespace, name: str | None = None) -> Stream:
    from greengrass_sdk.client.streams import Stream

    return Stream(partial(_invoke, args.root), args.name if name is None else name)


def _names(args: argparse.Namespace) -> list[str]:
    from greengrass_sdk.client.streams import ask_streams
    from greengrass_sdk.wire import streamcalls as calls

    answer = ask_streams(partial(_invoke, args.root), calls.request(calls.LIST))
    return list(calls.read_json(answer))


# Actions.


def _list(args: argparse.Namespace, output: Output) -> int:
    infos = [_stream(args, name).describe() for name in _names(args)]
    rows = [_summary(info) for info in infos]
    if output.json:
        output.document({"streams": rows})
    elif rows:
        columns = ("NAME", "MESSAGES", "BYTES", "OLDEST", "NEWEST", "EXPORTS")
        output.table(columns, [[str(value) for value in row.values()] for row in rows])
    else:
        output.note("no streams")
    return 0


def _summary(info: MessageStreamInfo) -> dict[str, Any]:
    status = info.storage_status
    return {
        "name": info.definition.name,
        "messages": status.newest_sequence_number - status.oldest_sequence_number + 1,
        "bytes": status.total_bytes,
        "oldest": status.oldest_sequence_number,
        "newest": status.newest_sequence_number,
        "exports": len(info.export_statuses or ()),
    }


def _describe(args: argparse.Namespace, output: Output) -> int:
    import json

    document = _stream(args).describe().as_dict()
    if output.json:
        output.document(document)
    else:
        output.text(json.dumps(document, indent=2))
    return 0


def _create(args: argparse.Namespace, output: Output) -> int:
    from greengrass_sdk.model.stream import (
        MessageStreamDefinition,
        Persistence,
        StrategyOnFull,
    )

    strategy = StrategyOnFull.OverwriteOldestData if args.overwrite else None
    chosen = {
        "max_size": args.max_size,
        "stream_segment_size": args.segment_size,
        "time_to_live_millis": None if args.ttl is None else int(args.ttl * 1000),
        "strategy_on_full": strategy,
        "persistence": Persistence.Memory if args.memory else None,
        "flush_on_write": args.flush or None,
    }
    given: dict[str, Any] = {}
    if args.definition is not None:
        given = parse_json_object(args.definition, "--definition", prog=PROG)
    definition = MessageStreamDefinition.from_dict(given).replaced(
        name=args.name, **{key: value for key, value in chosen.items() if value is not None}
    )
    if definition.strategy_on_full is None:
        definition.strategy_on_full = StrategyOnFull.RejectNewData
    _stream(args).create(definition)
    _done(args, output, "created")
    return 0


def _delete(args: argparse.Namespace, output: Output) -> int:
    _stream(args).delete()
    _done(args, output, "deleted")
    return 0


def _done(args: argparse.Namespace, output: Output, what: str) -> None:
    if output.json:
        output.document({"stream": args.name, "outcome": what})
    else:
        output.note(f"{what} stream {printable(args.name)}")


def _append(args: argparse.Namespace, output: Output) -> int:
    payload = read_payload(args.message)
    messages = [line for line in payload.splitlines() if line] if args.lines else [payload]
    if not messages:
        raise UsageError("there is no message to append", prog=PROG)
    stream = _stream(args)
    numbers: list[int] = []
    for begin in range(0, len(messages), BATCH):
        taken = stream.append_many(messages[begin : begin + BATCH])
        numbers += (taken[0], taken[-1])
    if output.json:
        output.document({"stream": args.name, "first": numbers[0], "last": numbers[-1]})
    elif len(messages) == 1:
        output.text(str(numbers[0]))
    else:
        output.text(f"{numbers[0]} to {numbers[-1]}")
    return 0


def _read(args: argparse.Namespace, output: Output) -> int:
    stream = _stream(args)
    status = stream.describe().storage_status
    start = max(args.start or 0, status.oldest_sequence_number)
    there = status.newest_sequence_number + 1 - start
    wanted = there if args.count is None else min(args.count, there)
    if there <= 0 and start:
        newest = status.newest_sequence_number
        output.note(f"no messages from {start} on: the newest one is {newest}")
    with Progress(output, "read", max(wanted, 0), "messages") as progress:
        _show_all(output, _first(stream.iterate(start), wanted), progress.advance)
    return 0


def _first(messages: Iterator[Message], count: int) -> Iterator[Message]:
    if count > 0:
        for left, message in zip(range(count, 0, -1), messages, strict=False):
            yield message
            if left == 1:
                return  # without asking for one more


def _tail(args: argparse.Namespace, output: Output) -> int:
    stream = _stream(args)
    start = args.start
    if start is None:
        status = stream.describe().storage_status
        start = max(
            status.newest_sequence_number + 1 - (10 if args.count is None else args.count), 0
        )
    _show_all(output, stream.follow(start), lambda _: output.flush())
    return 0


def _show_all(output: Output, messages: Iterator[Message], shown: Callable[[int], None]) -> None:
    for message in messages:
        if output.json:
            output.json_line(
                {
                    "stream": message.stream_name,
                    "sequence_number": message.sequence_number,
                    "ingest_time": message.ingest_time,
                    **encoded_payload(message.payload),
                }
            )
        else:
            output.data(message.payload)
        shown(1)


def _export_status(args: argparse.Namespace, output: Output) -> int:
    names = _names(args) if args.name is None else [args.name]
    rows = [row for name in names for row in _exports(_stream(args, name).describe())]
    if output.json:
        output.document({"exports": rows})
    elif rows:
        columns = ("STREAM", "EXPORT", "KIND", "LAST", "BEHIND", "MESSAGES", "ERROR")
        output.table(columns, [["" if v is None else str(v) for v in r.values()] for r in rows])
    else:
        output.note("no exports")
    return 0


def _exports(info: MessageStreamInfo) -> Iterator[dict[str, Any]]:
    exports = info.definition.export_definition
    configs = {} if exports is None else {c.identifier: (kind, c) for kind, c in exports.configs()}
    for status in info.export_statuses or ():
        kind, config = configs[status.export_config_identifier]
        last = status.last_exported_sequence_number
        storage = info.storage_status
        seen = max(last, storage.oldest_sequence_number - 1)
        disabled = "disabled" if getattr(config, "disabled", None) else None
        yield {
            "stream": info.definition.name,
            "export": status.export_config_identifier,
            "kind": kind,
            "last": last,
            "behind": max(storage.newest_sequence_number - seen, 0),
            "messages": status.exported_messages_count,
            "error": status.error_message or disabled,
        }


def _verify(args: argparse.Namespace, output: Output) -> int:
    names = _names(args) if args.name is None else [args.name]
    rows = [_verified(_stream(args, name), output) for name in names]
    if output.json:
        output.document({"streams": rows})
    for row in rows:
        output.text(f"{printable(row['name'])}: {row['messages']} messages, {row['bytes']} bytes")
        for first, last in row["damaged"]:
            output.text(f"  messages {first} to {last} are damaged")
    return 1 if any(row["damaged"] for row in rows) else 0


def _verified(stream: Stream, output: Output) -> dict[str, Any]:
    status = stream.describe().storage_status
    row: dict[str, Any] = {"name": stream.name, "messages": 0, "bytes": 0, "damaged": []}
    start: int | None = status.oldest_sequence_number
    with Progress(output, f"verify {stream.name}", status.total_bytes, "bytes") as progress:
        while start is not None:
            piece = stream.verify(start)
            row["messages"] += piece["messages"]
            row["bytes"] += piece["bytes"]
            row["damaged"] += piece["damaged"]
            start = piece["next"]
            progress.advance(piece["bytes"])
    return row


def _number(text: str) -> int:
    """Return a number that counts messages."""
    from argparse import ArgumentTypeError

    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number of messages, which are counted from 0")
    return int(text)


def _seconds(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no number of seconds, such as 300") from None


def _size(text: str) -> int:
    """Return the number of bytes that `64M` and the like mean."""
    head = text.rstrip("BbiI").upper()
    suffix = head[-1:] if head[-1:].isalpha() else ""
    with suppress(KeyError, ValueError):
        return int(head.removesuffix(suffix)) * _SUFFIXES[suffix]
    from argparse import ArgumentTypeError

    raise ArgumentTypeError(f"{text!r} is no size; it is a number, or as in 64K, 64M, 64G")


_ACTIONS: dict[str, Callable[[argparse.Namespace, Output], int]] = {
    "list": _list,
    "describe": _describe,
    "create": _create,
    "append": _append,
    "read": _read,
    "tail": _tail,
    "delete": _delete,
    "export-status": _export_status,
    "verify": _verify,
}
