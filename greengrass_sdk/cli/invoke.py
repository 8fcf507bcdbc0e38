# SPDX-License-Identifier: Apache-2.0
"""`greengrass invoke FUNCTION [PAYLOAD]`: call a function of a running core."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._output import Paint, printable
from greengrass_sdk.cli._program import nearest
from greengrass_sdk.cli._roots import add_root_option
from greengrass_sdk.cli._tool import ask, encoded_payload, parse_json_object, read_payload
from greengrass_sdk.errors import FunctionNotFoundError, GreengrassError

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output

__all__ = ["configure", "execute"]

FUNCTION_FAILED = 1
ERROR_CODES = {
    "handled": "FunctionHandled",
    "unhandled": "FunctionUnhandled",
    "timeout": "FunctionTimeout",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Invoke a function of a running core and print its result, untouched. "
        "Exits with 1 if the function failed."
    )
    parser.add_argument("function", metavar="FUNCTION", help="name or ARN")
    parser.add_argument(
        "payload", metavar="PAYLOAD", nargs="?", default="{}", help="default {}; - reads stdin"
    )
    parser.add_argument(
        "--client-context", metavar="JSON", help="""as in '{"custom": {"key": "value"}}'"""
    )
    parser.add_argument(
        "--event", action="store_true", help="do not wait for the result (InvocationType Event)"
    )
    add_root_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Invoke, and print the result or what went wrong."""
    context = b""
    if args.client_context is not None:
        parse_json_object(args.client_context, "--client-context", prog="greengrass invoke")
        context = args.client_context.encode()
    fields = {
        "function": args.function,
        "payload": read_payload(args.payload),
        "client_context": context,
        "event": args.event,
    }
    try:
        answer = ask(args.root, "invoke", fields)
    except FunctionNotFoundError as error:
        raise FunctionNotFoundError(f"{error}{_instead(args)}") from error
    outcome, payload = answer["outcome"], bytes(answer["payload"])
    failed = outcome in ERROR_CODES
    message = _error_message(args.function, outcome, payload) if failed else ""
    if output.json:
        document = {
            "function": args.function,
            "outcome": outcome,
            "request_id": answer.get("request_id", ""),
            **encoded_payload(payload),
        }
        if failed:
            document["error"] = {"code": ERROR_CODES[outcome], "message": message.splitlines()[0]}
        output.document(document)
    elif not failed:
        _print_result(args, output, payload, str(answer.get("request_id", "")))
    if failed:
        label = Paint.for_stream(output.stderr)("error:", "red", "bold")
        print(f"{label} {message}", file=output.stderr)
    return FUNCTION_FAILED if failed else 0


def _instead(args: argparse.Namespace) -> str:
    """Return which function may be meant, or which there are."""
    try:
        names = [str(one["name"]) for one in ask(args.root, "status")["functions"]]
    except GreengrassError:
        return ""
    return nearest(args.function, names) or f"; it has: {', '.join(names) or 'no functions'}"


def _print_result(
    args: argparse.Namespace, output: Output, payload: bytes, request_id: str
) -> None:
    if args.event:
        output.text(f"accepted, request {request_id}" if request_id else "accepted")
    else:
        output.data(payload)


def _error_message(function: str, outcome: str, payload: bytes) -> str:
    document = _error_document(payload)
    if document is None:
        text = printable(payload.decode("utf-8", "replace")) or "it gave no reason"
        return f"function {function!r} failed ({outcome}): {text}"
    kind = "" if outcome == "timeout" else printable(str(document.get("errorType") or ""))
    text = printable(str(document.get("errorMessage") or ""))
    what = ": ".join(part for part in (kind, text) if part) or "it gave no reason"
    verb = "raised" if outcome == "handled" and kind else f"failed ({outcome}):"
    lines = [f"function {function!r} {verb} {what}"]
    trace = document.get("stackTrace")
    for entry in trace if isinstance(trace, list) else []:
        lines += _trace_lines(entry)
    return "\n".join(lines)


def _trace_lines(entry: Any) -> list[str]:
    if not isinstance(entry, list) or len(entry) < 3:
        return [f"  {printable(str(entry)).strip()}"]
    file, line, name, *source = entry
    lines = [f'  File "{printable(str(file))}", line {line}, in {printable(str(name))}']
    if source and source[0]:
        lines.append(f"    {printable(str(source[0]).strip())}")
    return lines


def _error_document(payload: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(payload)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
