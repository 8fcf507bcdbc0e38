# SPDX-License-Identifier: Apache-2.0
"""Add up the results that the nox sessions left, print one closing line, and pass the status on."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def read(path: Path) -> dict[str, float]:
    """Return the counts of one JUnit file; pytest writes one suite a file."""
    suites = list(ET.parse(path).iter("testsuite"))  # noqa: S314 - our own pytest wrote it
    names = ("tests", "failures", "errors", "skipped", "time")
    return {name: sum(float(suite.get(name, 0)) for suite in suites) for name in names}


def main(folder: Path, status: int) -> int:
    """Print a line for each session, then the closing line; return the exit status."""
    print()
    total = failed = skipped = 0
    for path in sorted(folder.glob("*.xml")):
        count = read(path)
        bad = int(count["failures"] + count["errors"])
        print(f"{path.stem:24} {count['tests']:6.0f} tests {bad:4} failed {count['time']:8.1f} s")
        total += int(count["tests"])
        failed += bad
        skipped += int(count["skipped"])
    if status and not failed:
        print(f"a session failed outside its tests (exit {status}): see above")
    if not total and not status:
        print("no test ran")
        status = 1
    print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return status or int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
