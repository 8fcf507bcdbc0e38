# SPDX-License-Identifier: Apache-2.0
"""
Speed and size of a core with its functions, through the public API: `nox -s bench`.

Every number stands beside its bound and, where one exists, beside a floor measured in the same
run. Prints a table and writes `bench.json` (`--json FILE`) with the machine's facts, but neither
its name nor paths. `--quick` takes a tenth of the messages; names select: `run.py cold memory`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from running_core import GREENGRASS, RunningCore, copy_example, environment

from greengrass_sdk import Client, _native

if TYPE_CHECKING:
    from collections.abc import Callable

Row = dict[str, Any]

FUNCTIONS = 20
MESSAGES = 10_000
BATCH = 40
COLD_STARTS = 60
IMPORTS = 15
IDLE_S = 10.0

# Dumpable processes, so that their memory can be read without being root.
READABLE = {"GREENGRASS_DEBUGGABLE": "1"}

STAMP = """
import time
def function_handler(event, context):
    return time.monotonic_ns()
"""
COUNT = """
seen = 0
def function_handler(event, context):
    global seen
    if event == "how many":
        return seen
    seen += 1
"""


def measured(name: str, value: float, unit: str, bound: float | None = None, **more: Any) -> Row:
    return {"name": name, "value": round(value, 3), "unit": unit, "bound": bound, **more}


def group(folder: Path, functions: dict[str, str], extra: str = "", keys: str = "") -> Path:
    """Write a group with a client `bench` and these functions; returns its folder."""
    text = 'schema = 1\n[group]\nname = "bench"\ncore = "bench-core"\n[clients.bench]\n'
    for name, source in functions.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "main.py").write_text(source)
        text += f'[functions.{name}]\ncode = "{name}/"\nhandler = "main.function_handler"\n{keys}\n'
    (folder / "group.toml").write_text(text + extra)
    return folder


# --- cold start ------------------------------------------------------------------


def cold(folder: Path, quick: bool) -> list[Row]:
    """From a caller's invoke to the first line of a handler whose process did not exist."""
    names = [f"cold{number}" for number in range(COLD_STARTS // (4 if quick else 1))]
    path = group(folder / "cold", dict.fromkeys(names, STAMP))
    with RunningCore(path, env=READABLE) as core, Client(root=core.root, name="bench") as client:
        client.invoke(names[0])
        first, warm = [], []
        for name in names[1:]:
            asked = time.monotonic_ns()
            first.append((client.invoke(name, "null").json() - asked) / 1e6)
            asked = time.monotonic_ns()
            warm.append((client.invoke(name, "null").json() - asked) / 1e6)
    floor = fork_ms(len(names))
    middle = statistics.median(first)
    more = {"p90": round(statistics.quantiles(first, n=10)[-1], 3), "times_floor": middle / floor}
    return [
        measured("cold start, p50", middle, "ms", 3.0, **more),
        measured("warm invoke, p50", statistics.median(warm), "ms"),
        measured("floor: fork of this process, p50", floor, "ms"),
    ]


def fork_ms(times: int) -> float:
    """Return how long a fork takes from the parent's call to the child's first line."""
    spans = []
    for _ in range(times):
        reading, writing = os.pipe()
        asked = time.monotonic_ns()
        if not (pid := os.fork()):
            os.write(writing, str(time.monotonic_ns()).encode())
            os._exit(0)
        os.close(writing)
        spans.append((int(os.read(reading, 32)) - asked) / 1e6)
        os.close(reading)
        os.waitpid(pid, 0)
    return statistics.median(spans)


# --- memory and idle load ----------------------------------------------------------


def pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError(f"no Pss of process {pid}")


def processes(core: RunningCore) -> tuple[int, list[int], list[int]]:
    """Return the pids of the core, its zygotes and its workers."""
    status = core.status()
    workers = [worker["pid"] for one in status["functions"] for worker in one["workers"]]
    return status["pid"], [zygote["pid"] for zygote in status["zygotes"]], workers


def memory(folder: Path, quick: bool) -> list[Row]:
    """Proportional memory of idle workers, before and after many messages, and of the core."""
    names = [f"idle{number}" for number in range(FUNCTIONS)]
    rows = "".join(
        f'[[subscriptions]]\nsource = "bench"\nsubject = "all"\ntarget = "{name}"\n'
        for name in names
    )
    path = group(folder / "memory", dict.fromkeys(names, COUNT), rows, "pinned = true")
    messages = MESSAGES // (10 if quick else 1)
    with RunningCore(path, env=READABLE) as core, Client(root=core.root, name="bench") as client:
        for name in names:
            client.invoke(name, '"how many"')
        daemon, zygotes, workers = processes(core)
        before = [pss_kib(pid) / 1024 for pid in workers]
        core_mib, zygote_mib = pss_kib(daemon) / 1024, sum(map(pss_kib, zygotes)) / 1024
        load = idle_load([daemon, *zygotes, *workers])
        started = time.monotonic()
        for number in range(messages):
            client.publish("all", "{}")
            if number % BATCH == BATCH - 1:  # the core holds 1024 work items
                wait_for(client, names, number + 1)
        wait_for(client, names, messages)
        rate = messages * FUNCTIONS / (time.monotonic() - started)
        after = [pss_kib(pid) / 1024 for pid in workers]
    return [
        measured("worker, idle, PSS", statistics.mean(before), "MiB", 4.0, most=max(before)),
        measured(
            f"worker after {messages} messages, PSS",
            statistics.mean(after),
            "MiB",
            4.0,
            most=max(after),
        ),
        measured(f"core with {FUNCTIONS} functions, PSS", core_mib, "MiB", 40.0),
        measured("zygote, PSS", zygote_mib, "MiB"),
        measured(f"idle core with {FUNCTIONS} functions, of one CPU", load, "%", 0.2),
        measured("messages delivered to functions", rate, "1/s"),
    ]


def wait_for(client: Client, names: list[str], count: int) -> None:
    """Ask each function, behind its messages, how many it saw."""
    for name in names:
        seen = client.invoke(name, '"how many"').json()
        if seen != count:
            raise AssertionError(f"{name} saw {seen} of {count} messages")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_load(pids: list[int]) -> float:
    """Return the processor time that these processes take while nothing happens, in per cent."""
    time.sleep(1.0)
    before = sum(map(cpu_s, pids))
    time.sleep(IDLE_S)
    return 100 * (sum(map(cpu_s, pids)) - before) / IDLE_S


# --- imports and the first message ---------------------------------------------------


def imports(_folder: Path, quick: bool) -> list[Row]:
    """What a function pays for importing us, over an interpreter that imports nothing."""
    dropin = Path(next(iter(__import__("greengrass_sdk").__path__))) / "dropin"
    cases = {
        "from greengrass_sdk import Client": "from greengrass_sdk import Client; Client",
        "greengrasssdk.client('iot-data')": (
            f"import sys; sys.path.insert(0, {str(dropin)!r});"
            " import greengrasssdk; greengrasssdk.client('iot-data')"
        ),
    }
    spans: dict[str, list[float]] = {name: [] for name in ("bare", *cases)}
    for _ in range(IMPORTS // (3 if quick else 1)):
        for name, code in {"bare": "pass", **cases}.items():  # interleaved: drifts hit all alike
            started = time.perf_counter()
            subprocess.run([sys.executable, "-P", "-c", code], check=True)
            spans[name].append((time.perf_counter() - started) * 1e3)
    bare = statistics.median(spans["bare"])
    rows = [measured(name, statistics.median(spans[name]) - bare, "ms", 15.0) for name in cases]
    return [*rows, measured("floor: bare interpreter", bare, "ms")]


def first_message(folder: Path, quick: bool) -> list[Row]:
    """From the start of `greengrass run` to the first message it shows."""
    example = copy_example("hello_world", folder)
    spans = []
    for _ in range(2 if quick else 5):
        started = time.perf_counter()
        running = subprocess.Popen(
            [*GREENGRASS, "run", str(example), "--json", "--for", "1"],
            env=environment(folder / "run"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert running.stdout is not None
        with running.stdout:
            for line in running.stdout:
                if json.loads(line)["event"] == "message":
                    spans.append(time.perf_counter() - started)
                    break
            running.stdout.read()
        running.wait()
    return [measured("greengrass run to the first message", statistics.median(spans), "s", 1.0)]


MEASUREMENTS: dict[str, Callable[[Path, bool], list[Row]]] = {
    "cold": cold,
    "memory": memory,
    "imports": imports,
    "first": first_message,
}


def machine() -> dict[str, Any]:
    """Return what makes numbers comparable, and nothing that names the machine."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "package": version("greengrass-core") if installed() else "tree",
        "native": _native.impl,
    }


def installed() -> bool:
    return "site-packages" in str(_native.__file__)


def show(row: dict[str, Any]) -> str:
    bound = row["bound"]
    judged = "" if bound is None else f"<= {bound:g}"
    missed = "  MISSED" if bound is not None and row["value"] > bound else ""
    return f"{row['name']:48} {row['value']:12.3f} {row['unit']:4} {judged:8}{missed}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if unknown := set(args.names) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    rows: list[Row] = []
    for name in args.names or MEASUREMENTS:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            found = MEASUREMENTS[name](Path(folder), args.quick)
        for row in found:
            print(show(row), flush=True)
        rows += found
    document = {"schema": 1, "machine": machine(), "measurements": rows}
    args.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
