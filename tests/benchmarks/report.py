# SPDX-License-Identifier: Apache-2.0
"""Rows of measurements, what judges them, and how they are shown: as text, JSON and Markdown."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCHEMA = 2
MUST, AIM, SHOWN = "must", "aim", "shown"


@dataclass(frozen=True)
class Goal:
    """
    What a row is held against: a figure, or another row or system of the same run.

    Attributes:
        level: "must", "aim", or "shown" where nothing is promised.
        against: Whose median of ratios `value` is; None where `value` is the row's own.
        low: The tenth percentile of these ratios; `high` is the ninetieth.
        met: None where nothing is promised, or nothing valid was measured.
    """

    level: str
    against: str | None
    value: float | None
    low: float | None = None
    high: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    met: bool | None = None


@dataclass(frozen=True)
class Row:
    """
    One figure.

    Attributes:
        value: The median, unless the name says otherwise. None: void, a message was lost.
        low: The tenth percentile of what `value` is the middle of; `high` is the ninetieth.
        samples: How many figures that are.
        goals: What it is held against.
    """

    name: str
    value: float | None
    unit: str
    low: float | None
    high: float | None
    samples: int
    goals: list[Goal] = field(default_factory=list)
    section: str = ""


def row(name: str, unit: str, samples: Sequence[float], *goals: Goal | None) -> Row:
    """
    Return the row of some samples: their median and their spread.

    Goals without `against` are about that median. None among the goals stands for a system that was
    not measured.
    """
    middle, low, high = _figures(samples)
    judged = [_judge(one if one.against else replace(one, value=middle)) for one in goals if one]
    return Row(name, middle, unit, low, high, len(samples), judged)


def must(*, at_most: float | None = None, at_least: float | None = None) -> Goal:
    """Return what the row itself must keep."""
    return Goal(MUST, None, None, at_most=at_most, at_least=at_least)


def aim(*, at_most: float | None = None, at_least: float | None = None) -> Goal:
    """Return what the row itself should reach."""
    return Goal(AIM, None, None, at_most=at_most, at_least=at_least)


def beside(
    samples: Sequence[float],
    others: Sequence[float] | None,
    against: str,
    level: str = SHOWN,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Goal | None:
    """Return the ratio to what was measured in the same rounds; None if that was not measured."""
    if others is None:
        return None
    ratios: list[float]
    if len(samples) == len(others):
        ratios = [ours / theirs for ours, theirs in zip(samples, others, strict=True)]
    else:
        ratios = [statistics.median(samples) / statistics.median(others)]
    middle, low, high = _figures(ratios)
    return Goal(level, against, middle, low, high, at_most, at_least)


def _figures(samples: Sequence[float]) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return median and spread, or nothing where a sample is void."""
    if not samples or any(math.isnan(sample) for sample in samples):
        return None, None, None
    middle, low, high = (
        float(f"{figure:.4g}") for figure in (statistics.median(samples), *spread(samples))
    )
    return middle, low, high


def _judge(goal: Goal) -> Goal:
    met: bool | None = None
    if goal.value is not None:
        if goal.at_most is not None:
            met = goal.value <= goal.at_most
        elif goal.at_least is not None:
            met = goal.value >= goal.at_least
    return replace(goal, met=met)


def spread(samples: Sequence[float]) -> tuple[float, float]:
    """Return the tenth and the ninetieth percentile."""
    if len(samples) == 1:
        return samples[0], samples[0]
    deciles = statistics.quantiles(samples, n=10, method="inclusive")
    return deciles[0], deciles[-1]


def machine() -> dict[str, Any]:
    """Return what makes figures comparable, and nothing that names the machine or its user."""
    from greengrass_sdk import _native

    try:
        package = version("greengrass-core")
    except PackageNotFoundError:
        package = "not installed"
    return {
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "package": package,
        "native": _native.impl,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def document(
    rows: Iterable[Row],
    *,
    quick: bool,
    versions: Mapping[str, str],
    skipped: Mapping[str, str],
    notes: Mapping[str, str],
) -> str:
    """Return the result of a run as JSON."""
    content = {
        "schema": SCHEMA,
        "quick": quick,
        "machine": machine(),
        "peers": dict(versions),
        "skipped": dict(skipped),
        "notes": dict(notes),
        "rows": [asdict(one) for one in rows],
    }
    return json.dumps(content, indent=2) + "\n"


def line(one: Row) -> str:
    """Return a row for the terminal."""
    shown = f"{one.name:62} {_figure(one.value):>9} {one.unit:6} {_spread(one):20}"
    marks = {True: "ok", False: "MISSED", None: ""}
    goals = (
        f"{goal.level} {_limit(goal)}{_found(goal)} {marks[goal.met]}".strip() for goal in one.goals
    )
    return f"{shown} {'; '.join(goals)}".rstrip()


def markdown(text: str) -> str:
    """Return the tables that the manual includes, made of a result in JSON."""
    content = json.loads(text)
    facts = content["machine"]
    lines = [
        "<!-- generated by tests/benchmarks/run.py -->",
        (
            f"Measured on: {facts['processor']}, {facts['cpus']} CPUs, {facts['memory_mib']} MiB,"
            f" {facts['kernel']}, {facts['python']}, native implementation `{facts['native']}`."
        ),
    ]
    if content["peers"]:
        lines.append(f"Beside: {'; '.join(content['peers'].values())}.")
    if transport := content["notes"].get("functions"):
        lines.append(f"The functions were connected by {transport}.")
    lines += [f"Skipped: {name}, {why}." for name, why in content["skipped"].items()]
    section = None
    for entry in content["rows"]:
        one = Row(**{**entry, "goals": [Goal(**goal) for goal in entry["goals"]]})
        if one.section != section:
            section = one.section
            lines += [
                "",
                f"**{section}**",
                "",
                "| what | measured | spread | must | aim | beside |",
                "| --- | --- | --- | --- | --- | --- |",
            ]
        cells = [one.name, f"{_figure(one.value)} {one.unit}", _spread(one)]
        cells += [_cell(one, level) for level in (MUST, AIM, SHOWN)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(one: Row, level: str) -> str:
    words = {True: ", met", False: ", **missed**", None: ""}
    return "; ".join(
        f"{_limit(goal)}{_found(goal)}{words[goal.met]}"
        for goal in one.goals
        if goal.level == level
    )


def _limit(goal: Goal) -> str:
    sign, limit = ("≤", goal.at_most) if goal.at_most is not None else ("≥", goal.at_least)
    times = "" if goal.against is None else f" x {goal.against}"
    if limit is None:
        return f"{goal.against}:"
    return f"{sign} {_figure(limit)}{times}{':' if times else ''}"


def _found(goal: Goal) -> str:
    """Return the ratio that was measured; of the row's own figure nothing, it stands beside."""
    if goal.against is None:
        return ""
    times = " x" if goal.level == SHOWN else ""
    if goal.value is None:
        return " void"
    if goal.low == goal.high:
        return f" {_figure(goal.value)}{times}"
    return f" {_figure(goal.value)}{times} ({_figure(goal.low)} … {_figure(goal.high)})"


def _spread(one: Row) -> str:
    return "" if one.samples == 1 else f"{_figure(one.low)} … {_figure(one.high)}"


def _figure(value: float | None) -> str:
    if value is None:
        return "void"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"
