# SPDX-License-Identifier: Apache-2.0
"""
Round trips of `invoke` between two functions, beside the same through a bare router in C.

Caller, core and server are kept on one processor, or the caller on one and the others on another,
as the three processes of the floor are: otherwise luck decides (a wake on the same processor costs
a tenth of one on another). Once with the default spin of the caller, once with none.
"""

from __future__ import annotations

import os
import statistics
from functools import partial
from typing import TYPE_CHECKING

from peers.live import CALLS
from report import AIM, MUST, Row, aim, beside, must, row
from rounds import alternate
from service import Service, binary, pinned, write_plane_group

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peers.live import LivePeer
    from setting import CFloors, Setting

BYTES = 64
PAUSE_S = 0.002
WARM = 300
MODES = {"spin": "", "block": "[limits]\nspin_us = 0\n"}
TITLES = {"one": "on one CPU", "two": "on two CPUs", "any": "left alone"}
SIZES = {"1 MiB": 1 << 20, "6 MiB": 6 << 20}


def measure(setting: Setting) -> list[Row]:
    """Return the rows of round trips."""
    with (
        Service(_group(setting.folder / "spin", MODES["spin"])) as spinning,
        Service(_group(setting.folder / "block", MODES["block"])) as blocking,
        setting.peers.live(CALLS) as live,
    ):
        calls, paced = (100, 20) if setting.quick else (3000, 150)
        cores = {"spin": _Trips(spinning), "block": _Trips(blocking)}
        cases: dict[str, Callable[[], tuple[float, float]]] = {}
        for place in _places():
            for mode, core in cores.items():
                name = f"{place}/{mode}"
                cases[f"{name}/busy"] = partial(core.spans, place, calls)
                cases[f"{name}/paced"] = partial(core.spans, place, paced, PAUSE_S)
        if not setting.floors.missing:
            for name in [f"roundtrip/ring/{case}" for case in cases] + ["roundtrip/socket/any"]:
                cases[f"C {name}"] = partial(_in_c, setting.floors, name)
        for name, peer in live.items():
            cases[f"{name}/busy"] = partial(_of_peer, peer, calls // 3, 0.0)
            cases[f"{name}/paced"] = partial(_of_peer, peer, paced, PAUSE_S)
        found = alternate(cases, setting.rounds)
    p50 = {case: [one[0] for one in taken] for case, taken in found.items()}
    p99 = {case: [one[1] for one in taken] for case, taken in found.items()}
    return [*_busy(p50, p99), *_paced(p50), *_floors(p50, p99), *_peers(p50, p99, list(live))]


def percentiles(spans: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    return statistics.median(spans), statistics.quantiles(spans, n=100)[98]


def _in_c(floors: CFloors, name: str) -> tuple[float, float]:
    found = floors.row(name)
    return found["value"], found["p99"]


def _of_peer(peer: LivePeer, calls: int, pause_s: float) -> tuple[float, float]:
    return percentiles(peer.spans(BYTES, calls, WARM // 3, pause_s))


def _places() -> list[str]:
    return [place for place in TITLES if place != "two" or len(os.sched_getaffinity(0)) > 1]


class _Trips:
    """Round trips in one core."""

    def __init__(self, core: Service) -> None:
        self._core = core
        workers = core.workers()
        (self._caller,), (self._server,) = workers["caller"], workers["echo"]

    def spans(self, place: str, calls: int, pause_s: float = 0.0) -> tuple[float, float]:
        """Return the percentiles of calls, one after the other or with pauses for all to sleep."""
        cpus = sorted(os.sched_getaffinity(0))
        first, last = cpus[0], cpus[0] if place == "one" else cpus[-1]
        places = {self._caller: first, self._core.pid: last, self._server: last}
        warm = WARM if not pause_s else WARM // 30
        with pinned({} if place == "any" else places):
            spans = self._core.spans(
                "caller", target="echo", size=BYTES, calls=calls, warm=warm, pause_s=pause_s
            )
        return percentiles([span / 1e3 for span in spans])


def _busy(p50: dict[str, list[float]], p99: dict[str, list[float]]) -> list[Row]:
    rows = []
    for place in _places():
        level = SHOWN_LEVELS if place == "any" else JUDGED_LEVELS
        for mode in MODES:
            case, floor = f"{place}/{mode}/busy", f"C roundtrip/ring/{place}/{mode}/busy"
            title = f"invoke and its result, 64 B, {TITLES[place]}, {_word(mode)}"
            rows.append(
                row(
                    f"{title}, p50",
                    "us",
                    p50[case],
                    *(
                        beside(p50[case], p50.get(floor), "C", one, at_most=limit)
                        for one, limit in level["p50"]
                    ),
                )
            )
            rows.append(
                row(
                    f"{title}, p99",
                    "us",
                    p99[case],
                    *(
                        beside(p99[case], p99.get(floor), "C", one, at_most=limit)
                        for one, limit in level["p99"]
                    ),
                )
            )
    return rows


JUDGED_LEVELS = {"p50": ((MUST, 1.4), (AIM, 1.2)), "p99": ((MUST, 2.0),)}
SHOWN_LEVELS = {"p50": (("shown", None),), "p99": (("shown", None),)}


def _paced(p50: dict[str, list[float]]) -> list[Row]:
    rows = []
    for place in _places():
        for mode in MODES:
            case, floor = f"{place}/{mode}/paced", f"C roundtrip/ring/{place}/{mode}/paced"
            limits = ((MUST, 1.5), (AIM, 1.2)) if place != "any" else (("shown", None),)
            rows.append(
                row(
                    f"invoke, one every 2 ms, {TITLES[place]}, {_word(mode)}, p50",
                    "us",
                    p50[case],
                    *(
                        beside(p50[case], p50.get(floor), "C", one, at_most=limit)
                        for one, limit in limits
                    ),
                )
            )
    return rows


def _floors(p50: dict[str, list[float]], p99: dict[str, list[float]]) -> list[Row]:
    rows = []
    for case, spans in p50.items():
        if case.startswith("C "):
            name = f"floor: {case.removeprefix('C ')}"
            rows += [row(f"{name}, p50", "us", spans), row(f"{name}, p99", "us", p99[case])]
    return rows


def _peers(p50: dict[str, list[float]], p99: dict[str, list[float]], names: list[str]) -> list[Row]:
    return [
        *(row(f"{name}: round trip, 64 B, p50", "us", p50[f"{name}/busy"]) for name in names),
        *(row(f"{name}: round trip, 64 B, p99", "us", p99[f"{name}/busy"]) for name in names),
        *(row(f"{name}: one every 2 ms, p50", "us", p50[f"{name}/paced"]) for name in names),
    ]


def _word(mode: str) -> str:
    return "spinning" if mode == "spin" else "blocking"


def _group(folder: Path, limits: str) -> Path:
    functions = {name: binary(name) for name in ("caller", "echo", "take")}
    return write_plane_group(folder, functions, [], limits=limits)


# --- large payloads ------------------------------------------------------------------


def measure_large(setting: Setting) -> list[Row]:
    """Return the rows of invocations with large payloads."""
    with (
        Service(_group(setting.folder / "large", "")) as core,
        setting.peers.live(CALLS) as live,
    ):
        calls = 3 if setting.quick else 25
        cases: dict[str, Callable[[], float]] = {}
        for title, size in SIZES.items():
            for target in ("take", "echo"):
                cases[f"{target} {title}"] = partial(_ours_gb_s, core, target, size, calls)
            for name, peer in live.items():
                cases[f"{name} {title}"] = partial(_peers_gb_s, peer, size, max(1, calls // 2))
        found = alternate(cases, setting.rounds)
    rows = []
    for title in SIZES:
        ours = found[f"take {title}"]
        rows.append(
            row(
                f"invoke with {title}",
                "GB/s",
                ours,
                must(at_least=2),
                aim(at_least=4),
                *(beside(ours, found[f"{name} {title}"], name) for name in live),
            )
        )
        back = found[f"echo {title}"]
        rows.append(row(f"invoke with {title} that comes back, one way", "GB/s", back))
    return rows + [
        row(f"{name}: a call with {title}", "GB/s", found[f"{name} {title}"])
        for title in SIZES
        for name in live
    ]


def _ours_gb_s(core: Service, target: str, size: int, calls: int) -> float:
    """Return the rate of the median call, in bytes a nanosecond."""
    spans = core.spans("caller", target=target, size=size, calls=calls, warm=2, pause_s=0)
    return size / statistics.median(spans)


def _peers_gb_s(peer: LivePeer, size: int, calls: int) -> float:
    return size / statistics.median(peer.spans(size, calls, 1)) / 1e3
