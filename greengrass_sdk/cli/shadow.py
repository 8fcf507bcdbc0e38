# SPDX-License-Identifier: Apache-2.0
"""`greengrass shadow get|update|delete|watch|list`: the shadows of a running core."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._output import UsageError
from greengrass_sdk.cli._roots import add_root_option
from greengrass_sdk.cli._tool import ask, parse_json_object, read_payload

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output

__all__ = ["configure", "execute"]

PROG = "greengrass shadow"
SERVICE = "GGShadowService"
WAIT_S = 20.0  # for a change, before it is asked for again


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Work with the shadows of a running core. `get` prints a shadow, `update` merges values "
        "into it and prints what was accepted, `delete` deletes it, `watch` prints it now and "
        "whenever it has changed (the latest version, if it changed more than once), `list` prints "
        "all shadows, or those of a thing."
    )
    actions = ("get", "update", "delete", "watch", "list")
    parser.add_argument("action", metavar="ACTION", choices=actions, help=" | ".join(actions))
    parser.add_argument("thing", metavar="THING", nargs="?", help="name of the thing")
    parser.add_argument(
        "request",
        metavar="REQUEST",
        nargs="?",
        help="""of update, as in '{"state": {"desired": {"on": true}}}'; - reads stdin""",
    )
    parser.add_argument("--name", metavar="NAME", help="a named shadow; default: the classic one")
    parser.add_argument(
        "--desired", metavar="JSON", help="instead of REQUEST: keys to set, null removes"
    )
    parser.add_argument("--reported", metavar="JSON", help="the same")
    parser.add_argument(
        "--expect", metavar="VERSION", type=int, help="update only this version; 0: only a new one"
    )
    add_root_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON documents")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Do what ACTION says."""
    if args.action != "list" and not args.thing:
        raise UsageError(f"{args.action} needs the name of a THING", prog=PROG)
    if args.action != "update" and _has_request(args):
        raise UsageError(f"{args.action} takes no REQUEST, only update does", prog=PROG)
    if args.action == "list":
        _list(args, output)
    elif args.action == "watch":
        _watch(args, output)
    else:
        payload = _request(args) if args.action == "update" else b""
        _show(output, _ask_service(args, args.action, payload))
    return 0


def _has_request(args: argparse.Namespace) -> bool:
    given = (args.request, args.desired, args.reported, args.expect)
    return any(value is not None for value in given)


def _request(args: argparse.Namespace) -> bytes:
    """Return the payload of an update."""
    sections = {name: getattr(args, name) for name in ("desired", "reported")}
    given = {name: text for name, text in sections.items() if text is not None}
    if args.request is not None:
        if given or args.expect is not None:
            raise UsageError("give either REQUEST or options, not both", prog=PROG)
        return read_payload(args.request)
    if not given:
        raise UsageError("update needs a REQUEST, or --desired or --reported", prog=PROG)
    state = {
        name: None if text == "null" else parse_json_object(text, f"--{name}", prog=PROG)
        for name, text in given.items()
    }
    request: dict[str, Any] = {"state": state}
    if args.expect is not None:
        request["version"] = args.expect
    return json.dumps(request).encode()


def _ask_service(args: argparse.Namespace, operation: str, payload: bytes) -> bytes:
    """Invoke the shadow service as an SDK does, and return its answer if it is not a refusal."""
    from greengrass_sdk.client.shadows import read_answer, subject

    custom = {"subject": subject(args.thing, args.name, operation)}
    fields = {
        "function": SERVICE,
        "payload": payload,
        "client_context": json.dumps({"custom": custom}).encode(),
        "event": False,
    }
    answer = bytes(ask(args.root, "invoke", fields)["payload"])
    read_answer(answer, args.thing, args.name)
    return answer


def _show(output: Output, answer: bytes) -> None:
    document = json.loads(answer)
    if output.json:
        output.document(document)
    else:
        output.text(json.dumps(document, indent=2))


def _list(args: argparse.Namespace, output: Output) -> None:
    rows = [
        {"thing": thing, "name": name or None, "version": version}
        for thing, name, version in ask(args.root, "shadows")["shadows"]
        if args.thing in (None, thing) and args.name in (None, name)
    ]
    if output.json:
        output.document({"shadows": rows})
    elif rows:
        cells = ([str(row["thing"]), str(row["name"] or ""), str(row["version"])] for row in rows)
        output.table(("THING", "NAME", "VERSION"), cells)
    else:
        output.note("no shadows")


def _watch(args: argparse.Namespace, output: Output) -> None:
    """Print the shadow each time it has changed, until interrupted; a line each."""
    from greengrass_sdk.errors import ShadowNotFoundError

    known: int | None = -1
    while True:
        fields = {
            "thing": args.thing,
            "name": args.name or "",
            "version": known,
            "wait_s": WAIT_S,
        }
        version = ask(args.root, "shadow-change", fields)["version"]
        if version == known:
            continue
        try:
            document = json.loads(_ask_service(args, "get", b""))  # which also looks at the names
        except ShadowNotFoundError:
            document = None
        known = None if document is None else document["version"]
        if output.json:
            output.json_line({"thing": args.thing, "name": args.name, "shadow": document})
        else:
            output.text("no shadow" if document is None else json.dumps(document))
            output.flush()
