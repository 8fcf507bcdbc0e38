# SPDX-License-Identifier: Apache-2.0
"""
Speed and size of a core with its functions, through the public API: `nox -s bench`.

Every figure stands beside its bound and, where there is one, beside a floor measured in the same
run. Prints a table and writes JSON with the machine's facts, but neither its name nor paths.
docs/reference/performance.md says how it is measured and what came out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cold_start
import footprint
import messages
import report
import startup

if TYPE_CHECKING:
    from collections.abc import Sequence


class Measurement(Protocol):
    """Measures something in an empty folder."""

    def __call__(self, folder: Path, /, *, quick: bool) -> list[report.Row]: ...


MEASUREMENTS: dict[str, Measurement] = {
    "cold": cold_start.measure,
    "footprint": footprint.measure,
    "imports": startup.imports,
    "first": startup.first_message,
    "messages": messages.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; the exit code does not judge."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure speed and size.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--quick", action="store_true", help="shows that all works, not how fast")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="table for the manual")
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="earlier", help="only show a result"
    )
    args = parser.parse_args(arguments)
    if unknown := set(args.names) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    if args.earlier is None:
        text = report.document(
            measure(args.names or list(MEASUREMENTS), args.quick), quick=args.quick
        )
        args.json.write_text(text)
    else:
        text = args.earlier.read_text()
    if args.markdown is not None:
        args.markdown.write_text(report.markdown(text))
    return 0


def measure(names: Sequence[str], quick: bool) -> list[report.Row]:
    """Print the rows as they are found, and return them."""
    # Interpreters that may not keep what they compiled would compile it at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows: list[report.Row] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            found = MEASUREMENTS[name](Path(folder), quick=quick)
        for one in found:
            print(report.line(one), flush=True)
        rows += found
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
