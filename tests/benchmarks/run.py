# SPDX-License-Identifier: Apache-2.0
"""
Speed and size of a core with its functions, through the public API: `nox -s bench`.

Every figure stands beside its bounds, and beside floors and other systems measured in the same
run. Prints a table and writes JSON with the machine's facts, but neither its name nor paths.
docs/reference/performance.md says how it is measured and what came out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cold_start
import filters
import footprint
import publishing
import report
import secret_reads
import shadows
import startup
import streams
import throughput
import trips
from peers.live import MODULES, Peers
from setting import CFloors, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Measurement(NamedTuple):
    """What is measured together, under a title."""

    title: str
    measure: Callable[[Setting], list[report.Row]]


MEASUREMENTS = {
    "publish": Measurement("One call of publish", publishing.measure),
    "throughput": Measurement("Messages through the core", throughput.measure),
    "filters": Measurement("Many subscriptions", filters.measure),
    "trips": Measurement("Invocations", trips.measure),
    "large": Measurement("Invocations with large payloads", trips.measure_large),
    "shadows": Measurement("Shadows", shadows.measure),
    "secrets": Measurement("Secrets", secret_reads.measure),
    "streams": Measurement("Streams", streams.measure),
    "cold": Measurement("Cold start", cold_start.measure),
    "footprint": Measurement("Memory and idle load", footprint.measure),
    "imports": Measurement("Imports", startup.imports),
    "first": Measurement("First message", startup.first_message),
}


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; the exit code does not judge."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure speed and size.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--quick", action="store_true", help="shows that all works, not how fast")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="tables for the manual")
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="earlier", help="only show a result"
    )
    parser.add_argument(
        "--peers", metavar="NAMES", help=f"only these, by commas; '' for none: {', '.join(MODULES)}"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where brokers and C floors are kept"
    )
    args = parser.parse_args(arguments)
    if unknown := set(args.names) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    if args.earlier is None:
        text = measure(args)
        args.json.write_text(text)
    else:
        text = args.earlier.read_text()
    if args.markdown is not None:
        args.markdown.write_text(report.markdown(text))
    return 0


def measure(args: argparse.Namespace) -> str:
    """Print the rows as they are found, and return the result as JSON."""
    # Interpreters that may not keep what they compiled would compile it at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows: list[report.Row] = []
    notes: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as own:
        cache: Path = (args.cache or Path(own)).absolute()
        cache.mkdir(parents=True, exist_ok=True)
        wanted = None if args.peers is None else frozenset(filter(None, args.peers.split(",")))
        peers = Peers(cache, wanted)
        c_floors = CFloors(cache, quick=args.quick)
        if c_floors.missing:
            print(c_floors.missing, flush=True)
        for name in args.names or MEASUREMENTS:
            title, take = MEASUREMENTS[name]
            started = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                found = take(Setting(Path(folder), args.quick, peers, c_floors, notes))
            print(f"\n{title} ({time.monotonic() - started:.0f} s)", flush=True)
            for one in found:
                print(report.line(one), flush=True)
            rows += [replace(one, section=title) for one in found]
    return report.document(
        rows, quick=args.quick, versions=peers.versions, skipped=peers.skipped, notes=notes
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
