# SPDX-License-Identifier: Apache-2.0
"""`greengrass publish TOPIC PAYLOAD [--as NAME]`: put a message into a running core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._output import printable
from greengrass_sdk.cli._roots import add_root_option
from greengrass_sdk.cli._tool import ask, read_payload

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output

__all__ = ["configure", "execute"]

NOBODY = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Publish a message into a running core and print who got it. "
        "Exits with 1 if nobody did, and says why and which row comes nearest."
    )
    parser.add_argument("topic", metavar="TOPIC", help="topic, without wildcards")
    parser.add_argument("payload", metavar="PAYLOAD", help="text to send as it is; - reads stdin")
    parser.add_argument(
        "--as",
        dest="source",
        metavar="NAME",
        default="cloud",
        help="who publishes: cloud (default) or a device of the group",
    )
    add_root_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Publish, and print one line per target."""
    payload = read_payload(args.payload)
    answer = ask(args.root, "publish", {"topic": args.topic, "payload": payload, "as": args.source})
    deliveries = answer["deliveries"]
    nearest = answer.get("nearest")
    reached = [one for one in deliveries if one["outcome"] == "delivered"]
    if output.json:
        output.document(_document(args, deliveries, nearest))
    for delivery in deliveries:
        output.text(_delivery_line(output, delivery))
    if not deliveries:
        output.text(_nobody_line(args.source, args.topic, nearest))
    return 0 if reached else NOBODY


def _document(
    args: argparse.Namespace, deliveries: list[dict[str, Any]], nearest: dict[str, Any] | None
) -> dict[str, Any]:
    keys = ("target", "outcome", "reason")
    return {
        "topic": args.topic,
        "source": args.source,
        "deliveries": [{key: one.get(key) for key in keys} for one in deliveries],
        "nearest": nearest,
    }


def _delivery_line(output: Output, delivery: dict[str, Any]) -> str:
    if delivery["outcome"] == "delivered":
        return f"{output.paint('delivered', 'green')} to {delivery['target']}"
    reason = printable(str(delivery.get("reason") or "no reason given"))
    return f"{output.paint('dropped', 'red')} at {delivery['target']}: {reason}"


def _nobody_line(source: str, topic: str, nearest: dict[str, Any] | None) -> str:
    text = f"nobody got it: no subscription has source {source!r} and a subject matching {topic!r}"
    if nearest is None:
        return f"{text}; add one to the group file"
    row = f"{nearest['id']!r} ({nearest['source']} -> {nearest['target']})"
    why = nearest.get("why") or f"its subject is {nearest['subject']!r}"
    return f"{text}\nthe nearest is {row}: {why}"
