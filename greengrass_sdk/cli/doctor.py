# SPDX-License-Identifier: Apache-2.0
"""`greengrass doctor`: what this machine and this installation offer to a core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greengrass_sdk.cli._checks import FAIL, OK, WARN, all_checks

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output

__all__ = ["configure", "execute"]

STYLES = {OK: "green", WARN: "yellow", FAIL: "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Check what this machine and this installation offer to a core, and say what to do where "
        "something is missing. Exits with 1 if a core could not run."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Run all checks and print one line each."""
    checks = all_checks()
    if args.json:
        output.document({"checks": [check._asdict() for check in checks]})
    width = max(len(check.name) for check in checks)
    for check in checks:
        state = output.paint(f"{check.state:<4}", STYLES.get(check.state, "dim"))
        output.text(f"{state}  {check.name:<{width}}  {check.text}")
        if check.advice:
            output.text(f"{'':6}{'':<{width}}  {output.paint(check.advice, 'dim')}")
    return 1 if any(check.state == FAIL for check in checks) else 0
