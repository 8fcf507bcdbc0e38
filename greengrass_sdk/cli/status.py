# SPDX-License-Identifier: Apache-2.0
"""`greengrass status`: what a running core does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._output import printable
from greengrass_sdk.cli._roots import add_root_option
from greengrass_sdk.cli._tool import ask

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output

__all__ = ["configure", "execute"]

DOCUMENT_KEYS = (
    "root",
    "pid",
    "version",
    "native",
    "group",
    "core",
    "started_at_ms",
    "uptime_s",
    "work_items",
    "functions",
    "zygotes",
    "clients",
    "subscriptions",
)
NATIVE = {"c": "C extension", "python": "pure Python"}
FAILURES = {"handled": "handled", "unhandled": "unhandled", "timeouts": "timed out"}
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Show the functions, workers, clients and subscriptions of a running core, "
        "with what they did so far. WAITED is how long half of a function's items, and 99 % of "
        "them, waited for their start at most; a worker that is stopped or does not read is called "
        "stalled. "
        "--json has the histogram (waits.buckets_us: bound and count)."
    )
    add_root_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Ask the core and print."""
    status = ask(args.root, "status")
    if output.json:
        known = {key: status[key] for key in DOCUMENT_KEYS if key in status}
        output.document({**known, **{k: v for k, v in status.items() if k not in ("ok", *known)}})
        return 0
    _print_head(output, status)
    _print_functions(output, status["functions"])
    _print_rows(output, status["subscriptions"])
    _print_clients(output, status["clients"])
    return 0


def _print_head(output: Output, status: dict[str, Any]) -> None:
    items = status["work_items"]
    name = output.paint(str(status["group"]), "bold")
    output.text(f"{name} (core {status['core']}), up {duration_text(status['uptime_s'])}")
    native = NATIVE.get(status["native"], status["native"])
    output.text(f"  pid      {status['pid']}, version {status['version']}, {native}")
    output.text(f"  root     {status['root']}")
    output.text(f"  work     {items['used']} of {items['limit']} items")
    zygotes = ", ".join(f"{one['pid']} ({one['python']})" for one in status["zygotes"])
    output.text(f"  zygotes  {zygotes or 'none'}")


def _print_functions(output: Output, functions: list[dict[str, Any]]) -> None:
    output.text()
    if not functions:
        output.text("no functions")
        return
    columns = "FUNCTION KIND STATE PIDS WAITING RUNNING OK FAILED RESTARTS WAITED"
    output.table(columns.split(), [_function_row(one) for one in functions])
    for one in functions:
        if stalled := [str(worker["pid"]) for worker in one["workers"] if worker.get("stalled")]:
            text = "stalled: it is stopped, or does not read what is sent to it"
            output.text(f"{one['name']}: pid {', '.join(stalled)} {output.paint(text, 'yellow')}")
        if one.get("last_error"):
            reason = printable(str(one["last_error"]).strip().splitlines()[-1])
            output.text(f"{one['name']}: last error: {output.paint(reason, 'red')}")


def _function_row(one: dict[str, Any]) -> list[str]:
    pids = ", ".join(str(worker["pid"]) for worker in one["workers"] if worker.get("pid"))
    kind = "pinned" if one["pinned"] else "on demand"
    counts = [str(one[key]) for key in ("waiting", "running", "ok")]
    failed = [f"{one[key]} {text}" for key, text in FAILURES.items() if one[key]]
    row = [one["name"], kind, one["state"], pids or "-", *counts]
    return [*row, ", ".join(failed) or "0", str(one["restarts"]), _waited(one.get("waits") or {})]


def _waited(waits: dict[str, Any]) -> str:
    """Return how long half of the items and nearly all waited for their start."""
    if not waits.get("count"):
        return "-"
    return f"<{wait_text(waits['p50_us'])}, p99 <{wait_text(waits['p99_us'])}"


def wait_text(microseconds: int) -> str:
    """Return a time in the largest unit that leaves something before the point."""
    for unit, size in (("s", 1_000_000), ("ms", 1000)):
        if microseconds >= size:
            value = microseconds / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{microseconds} us"


def _print_rows(output: Output, rows: list[dict[str, Any]]) -> None:
    output.text()
    if not rows:
        output.text("no subscriptions: nothing is routed")
        return
    output.table(
        ["SOURCE", "SUBJECT", "TARGET", "DELIVERED", "DROPPED"],
        [
            [row["source"], row["subject"], row["target"], str(row["delivered"]), _dropped(row)]
            for row in rows
        ],
    )


def _dropped(row: dict[str, Any]) -> str:
    dropped = row["dropped"]
    if not dropped:
        return "0"
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
    return f"{sum(dropped.values())} ({reasons})" if len(dropped) > 1 else reasons


def _print_clients(output: Output, clients: list[dict[str, Any]]) -> None:
    if clients:
        output.text()
        states = [[one["name"], "yes" if one["connected"] else "no"] for one in clients]
        output.table(["CLIENT", "CONNECTED"], states)


def duration_text(seconds: float) -> str:
    """Return a duration as people say it: the two largest units."""
    left = int(seconds)
    parts = []
    for size, unit in UNITS:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    parts.append(f"{left} s")
    return " ".join(parts[:2])
