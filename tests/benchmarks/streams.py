# SPDX-License-Identifier: Apache-2.0
"""
Streams beside what a plain file allows, sqlite, lmdb and JetStream; records of 1 KiB.

The floors are a program that appends the same batches to a file of its own, in the same file
system, and reads them as records: without a protocol, an index or a checksum. Its synced batches
share flushes as those of a core do: while one half is on its way to the disk, the other one waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers import aws_streams, brokers
from peers.kit import Child, SkippedError, free_port, wait_for_port
from report import MUST, Row, beside, must, row
from rounds import alternate
from service import BENCH, Service

from greengrass_sdk.core.storage.files import FolderFiles
from greengrass_sdk.core.storage.log import SegmentLog
from greengrass_sdk.model.stream import StrategyOnFull
from greengrass_sdk.wire.blocks import encode_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from setting import Setting

RECORD = b"x" * 1024
BATCH = 100
IN_FLIGHT = 16
READ_BYTES = 1 << 20
CALLS_S = 120.0
IDLE_STREAMS = 100
RECOVERED_BYTES = 256 << 20

GROUP = f"""
schema = 1
[group]
name = "bench"
core = "bench-core"
[streams]
enabled = true
port = {{port}}
[clients.{BENCH}]
[functions.streamer]
code = "code/"
handler = "streaming.streamer"
pinned = true
timeout_s = 600
[functions.nothing]
code = "code/"
handler = "streaming.nothing"
encoding = "binary"
pinned = true
"""


def measure(setting: Setting) -> list[Row]:
    """Return the rows of streams."""
    seconds, calls = (0.1, 50) if setting.quick else (1.0, 500)
    with contextlib.ExitStack() as stack:
        port = free_port()
        core = stack.enter_context(Service(_group(setting.folder, port)))
        floor = stack.enter_context(contextlib.closing(_Floor(core.root, seconds)))
        others = _others(stack, setting, core.root, seconds)

        def ask(measure: str, **command: Any) -> Any:
            command["measure"] = measure
            return core.client.invoke("streamer", command, timeout_s=CALLS_S).json()

        def fresh(measure: str, stream: str, **command: Any) -> float:
            ask("create", stream=stream, flush=stream == "synced")
            return float(ask(measure, stream=stream, **command))

        def median(measure: str, **command: Any) -> float:
            spans = ask(measure, calls=calls, warm=calls // 10, **command)
            return float(statistics.median(spans)) / 1e3

        def read() -> float:
            ask("create", stream="quick", flush=False)
            ask("append_batches", stream="quick", seconds=seconds / 4, batch=BATCH)
            return float(ask("read", stream="quick", batch_bytes=READ_BYTES))

        at_once = {"seconds": seconds, "batch": BATCH, "in_flight": IN_FLIGHT}
        ask("create", stream="synced", flush=True)
        cases: dict[str, Callable[[], float]] = {
            "synced": partial(fresh, "append_batches_at_once", "synced", **at_once),
            "quick": partial(fresh, "append_batches", "quick", seconds=seconds, batch=BATCH),
            "singles": partial(fresh, "append_at_once", "quick", seconds=seconds, in_flight=1000),
            "ack": partial(median, "append_spans", stream="synced"),
            "invoke": partial(median, "invoke_spans"),
            "read": read,
            "floor synced": floor.synced,
            "floor quick": floor.quick,
            "floor read": floor.read,
            "flush": partial(floor.flush, calls),
            **_aws(stack, setting, core, port, seconds),
            **others,
        }
        found = alternate(cases, setting.rounds)
        idle = _idle_bytes(core)
    return [*_rows(found), *_aws_rows(found), *_others_rows(found), *_sizes(setting, idle)]


def _rows(found: dict[str, list[float]]) -> list[Row]:
    allowed = [
        flush + 3 * invoke for flush, invoke in zip(found["flush"], found["invoke"], strict=True)
    ]
    plain = "a plain file"
    return [
        row(
            f"synced records, append_many of {BATCH}, {IN_FLIGHT} under way",
            "/s",
            found["synced"],
            beside(found["synced"], found["floor synced"], plain, MUST, at_least=0.6),
            beside(found["synced"], found.get("jetstream"), "JetStream", MUST, at_least=5),
        ),
        row(
            "one synced append, p50",
            "us",
            found["ack"],
            beside(found["ack"], allowed, "one flush + 3 invokes", MUST, at_most=1),
        ),
        row(
            "single appends through AsyncClient, 1000 under way",
            "/s",
            found["singles"],
            must(at_least=30_000),
        ),
        row(
            f"records not synced, append_many of {BATCH}",
            "/s",
            found["quick"],
            beside(found["quick"], found["floor quick"], plain, MUST, at_least=0.5),
        ),
        row(
            "records read in their order",
            "/s",
            found["read"],
            beside(found["read"], found["floor read"], plain, MUST, at_least=0.5),
        ),
        row("floor: synced records, plain file", "/s", found["floor synced"]),
        row("floor: records not synced, plain file", "/s", found["floor quick"]),
        row("floor: records read, plain file", "/s", found["floor read"]),
        row("floor: one flush of one record, p50", "us", found["flush"]),
        row("floor: invoke of a function that does nothing, p50", "us", found["invoke"]),
    ]


class _Floor:
    """A program that appends to a plain file, on the disk of a core."""

    def __init__(self, root: Path, seconds: float) -> None:
        self._path = root / "floor"
        self._seconds = seconds
        self._records = [RECORD] * BATCH

    def synced(self) -> float:
        """Return the records a second of batches that share a flush."""
        return self._append(IN_FLIGHT // 2, sync=True)

    def quick(self) -> float:
        """Return the records a second of batches that are not synced."""
        return self._append(1, sync=False)

    def _append(self, batches: int, *, sync: bool) -> float:
        with self._path.open("wb", buffering=0) as file:
            done, begun = 0, time.perf_counter()
            while (taken := time.perf_counter() - begun) < self._seconds:
                for _ in range(batches):
                    file.write(b"".join(self._records))
                if sync:
                    os.fdatasync(file.fileno())
                done += batches * BATCH
                if done > 500_000:  # it is not to fill the disk
                    break
            taken = time.perf_counter() - begun
        return done / taken

    def read(self) -> float:
        """Return the records a second of reading a file in the same batches."""
        with self._path.open("wb") as file:
            for _ in range(500):
                file.write(b"".join(self._records))
        size = len(RECORD)
        done, begun = 0, time.perf_counter()
        with self._path.open("rb", buffering=0) as file:
            while data := file.read(READ_BYTES):
                records = [data[at : at + size] for at in range(0, len(data), size)]
                done += len(records)
        return done / (time.perf_counter() - begun)

    def flush(self, calls: int) -> float:
        """Return the microseconds of writing one record and waiting for the disk, p50."""
        spans = []
        with self._path.open("wb", buffering=0) as file:
            for _ in range(calls):
                begun = time.perf_counter_ns()
                file.write(RECORD)
                os.fdatasync(file.fileno())
                spans.append(time.perf_counter_ns() - begun)
        return statistics.median(spans) / 1e3

    def close(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


# AWS's client, over TCP.


def _aws(
    stack: contextlib.ExitStack, setting: Setting, core: Service, port: int, seconds: float
) -> dict[str, Callable[[], float]]:
    """Return what measures it against a core and against a stub, if it can be had."""
    stub_port = free_port()
    try:
        package = aws_streams.install(setting.peers.cache)
        stack.enter_context(Child("aws_streams", "stub", stub_port)).ready()
        token = (core.root / "ggc/var/state/tokens" / BENCH).read_text()
        paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": token, "PYTHONPATH": os.pathsep.join(paths)}
        client = stack.enter_context(Child("aws_streams", "client", port, stub_port, env=env))
        client.ready()
    except SkippedError as error:
        setting.notes["AWS's client of streams"] = str(error)
        return {}
    stream = core.client.stream(aws_streams.STREAM)
    stream.create(strategy_on_full=StrategyOnFull.OverwriteOldestData)
    for _ in range(aws_streams.KEPT // aws_streams.READ):
        stream.append_many([RECORD] * aws_streams.READ)

    def rate(server: int, what: str) -> float:
        command = {"server": server, "what": what, "seconds": seconds / 2}
        return float(client.ask(command, CALLS_S)["rate"])

    return {
        f"{name} {what}": partial(rate, server, what)
        for server, name in enumerate(("aws", "stub"))
        for what in ("append", "read", "reread")
    }


def _aws_rows(found: dict[str, list[float]]) -> list[Row]:
    if "aws append" not in found:
        return []
    calls = {
        "append": "appends",
        "read": f"reads on, {aws_streams.READ} each time,",
        "reread": f"reads of the same {aws_streams.READ}",
    }
    stub = "a stub server"
    return [
        row(
            f"{text} of AWS's own client over TCP, one at a time",
            "/s",
            found[f"aws {what}"],
            beside(found[f"aws {what}"], found[f"stub {what}"], stub, MUST, at_least=0.9),
        )
        for what, text in calls.items()
    ] + [
        row(f"floor: {text} of AWS's own client, stub that answers at once", "/s", samples)
        for text, samples in ((calls[what], found[f"stub {what}"]) for what in calls)
    ]


# Others.


def _others(
    stack: contextlib.ExitStack, setting: Setting, root: Path, seconds: float
) -> dict[str, Callable[[], float]]:
    """Return what measures the others that can be had."""
    found: dict[str, Callable[[], float]] = {"sqlite": partial(_sqlite, root, seconds)}
    try:
        import lmdb
    except ImportError:
        setting.notes["lmdb"] = "not installed"
    else:
        found["lmdb"] = partial(_lmdb, lmdb, root, seconds)
    try:
        address = stack.enter_context(_nats_server(setting))
        import nats
    except (ImportError, SkippedError) as error:
        setting.notes["JetStream"] = str(error)
    else:
        found["jetstream"] = lambda: asyncio.run(_jetstream(nats, address, seconds))
    return found


def _others_rows(found: dict[str, list[float]]) -> list[Row]:
    names = {
        "sqlite": f"sqlite, synchronous=FULL, {BATCH} records in a transaction",
        "lmdb": f"lmdb, {BATCH} records in a transaction",
        "jetstream": "JetStream, file store with its defaults (flushed every 2 minutes), nats-py",
    }
    return [row(text, "/s", found[name]) for name, text in names.items() if name in found]


def _sqlite(root: Path, seconds: float) -> float:
    path = root / "streams-floor.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, payload BLOB)")
        rows = [(RECORD,)] * BATCH
        done, begun = 0, time.perf_counter()
        while (taken := time.perf_counter() - begun) < seconds:
            database.execute("BEGIN")
            database.executemany("INSERT INTO log (payload) VALUES (?)", rows)
            database.execute("COMMIT")
            done += BATCH
    for each in root.glob("streams-floor.db*"):
        each.unlink()
    return done / taken


def _lmdb(lmdb: Any, root: Path, seconds: float) -> float:
    folder = root / "lmdb"
    with contextlib.closing(lmdb.open(str(folder), map_size=8 << 30)) as environment:
        done, begun = 0, time.perf_counter()
        while (taken := time.perf_counter() - begun) < seconds:
            with environment.begin(write=True) as transaction:
                for number in range(done, done + BATCH):
                    transaction.put(number.to_bytes(8, "big"), RECORD, append=True)
            done += BATCH
    shutil.rmtree(folder)
    return done / taken


@contextlib.contextmanager
def _nats_server(setting: Setting) -> Iterator[str]:
    program, env = brokers.find("nats-server", setting.peers.cache)
    port = free_port()
    store = setting.folder / "jetstream"
    command = [program, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(store)]
    with Child("exec", *command, env=env) as child:
        wait_for_port(port, child)
        yield f"nats://127.0.0.1:{port}"


async def _jetstream(nats: Any, address: str, seconds: float) -> float:
    client = await nats.connect(address)
    stream = client.jetstream()
    await stream.add_stream(name="bench", subjects=["bench"])
    end = time.perf_counter() + seconds

    async def keep() -> int:
        done = 0
        while time.perf_counter() < end:
            await stream.publish("bench", RECORD)
            done += 1
        return done

    begun = time.perf_counter()
    counts = await asyncio.gather(*(keep() for _ in range(BATCH * IN_FLIGHT)))
    taken = time.perf_counter() - begun
    await stream.delete_stream("bench")
    await client.close()
    return sum(counts) / taken


# Sizes.


def _idle_bytes(core: Service) -> float:
    """Return what so many streams that hold a record each add to the core."""
    before = _resident(core.pid)
    for number in range(IDLE_STREAMS):
        stream = core.client.stream(f"idle-{number}")
        stream.create()
        stream.append(RECORD)
    return float(_resident(core.pid) - before)


def _resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _sizes(setting: Setting, idle: float) -> list[Row]:
    size = RECOVERED_BYTES // (16 if setting.quick else 1)
    files = FolderFiles(setting.folder / "recovered")
    opened = SegmentLog.open(files, 16 << 20)
    body = encode_body([RECORD])
    while opened.size < size:  # single appends: the most blocks that so many bytes can be
        for _ in range(256):
            opened.put(1, body, 0)
        opened.commit()
    seconds = []
    for _ in range(3):  # nothing was synced, so there is no index: all of it is read
        begun = time.perf_counter()
        SegmentLog.open(files, 16 << 20)
        seconds.append(time.perf_counter() - begun)
    shutil.rmtree(files.folder)
    return [
        row(
            f"recovery of {size >> 20} MiB in single appends, without indexes",
            "s",
            seconds,
            must(at_most=2),
        ),
        row(
            f"memory of {IDLE_STREAMS} idle streams",
            "MiB",
            [idle / (1 << 20)],
            must(at_most=10),
        ),
    ]


def _group(folder: Path, port: int) -> Path:
    code = folder / "code"
    code.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "functions" / "streaming.py", code)
    (folder / "group.toml").write_text(GROUP.format(port=port))
    return folder
