# SPDX-License-Identifier: Apache-2.0
"""
The composition root: builds the services of a core, wires them, starts and stops them.

Order of a start: root and lock, logs, routes, code packages, the local socket, the router's thread,
zygotes, pinned functions.  What was started is stopped in the reverse order, also when a start
fails half-way.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import resource
import secrets
import time
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

from attrs import define, evolve, field, frozen

from greengrass_sdk import _native
from greengrass_sdk._native import Frame, Kind, keep_freed
from greengrass_sdk._native._py.router import events
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk.core import config as configuration
from greengrass_sdk.core.cloud.standin import StandInCloud
from greengrass_sdk.core.functions.backoff import Backoff
from greengrass_sdk.core.functions.fleet import Fleet
from greengrass_sdk.core.functions.pool import Pool
from greengrass_sdk.core.functions.zygotes import Zygotes
from greengrass_sdk.core.ipc import tokens
from greengrass_sdk.core.ipc.listener import Listener
from greengrass_sdk.core.ipc.tools import Tools
from greengrass_sdk.core.reporter import Reporter
from greengrass_sdk.core.router.driver import RouterDriver
from greengrass_sdk.core.router.table import TOOL, Table
from greengrass_sdk.core.secrets.access import Access
from greengrass_sdk.core.secrets.endpoint import SecretEndpoint
from greengrass_sdk.core.secrets.service import SecretService
from greengrass_sdk.core.secrets.store import MemoryStore
from greengrass_sdk.core.shadow.committer import Committer
from greengrass_sdk.core.shadow.database import Database
from greengrass_sdk.core.shadow.endpoint import ShadowEndpoint
from greengrass_sdk.core.shadow.service import ShadowService
from greengrass_sdk.core.status import Status
from greengrass_sdk.core.telemetry.logs import Logs
from greengrass_sdk.core.telemetry.view import View
from greengrass_sdk.errors import GreengrassError
from greengrass_sdk.model.arn import CLOUD, SECRETS_ARN, SHADOW_SERVICE, STREAMS_ARN
from greengrass_sdk.runtime.processes import set_dumpable
from greengrass_sdk.wire import control

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.core.config import CoreConfig
    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.core.secrets.store import Store
    from greengrass_sdk.model.group import Group

__all__ = ["Core", "CoreOptions"]

log = logging.getLogger(__name__)

_DESCRIPTORS = 65536  # each worker costs the core five
_SHADOW_TOPICS = 4096  # of which it is remembered whether anybody gets them
_STREAM_BUFFERS = 8 << 20  # of what streams' requests and answers were in
_SKIPPED_S = 1.0  # how often the live view says what it skipped


@frozen
class CoreOptions:
    """
    How a core runs, beside what its group says.

    Attributes:
        run_as_current_user: Functions run as the user who started the core (`greengrass run`), not
            as `ggc_user` (`greengrassd`).
        own_process: The process is a core and nothing else: what ends it goes to `crash.log`, and
            other processes of the same user are kept out of its memory.
        backoff: Pauses between the starts of a pinned function; tests shorten them.
    """

    run_as_current_user: bool = True
    own_process: bool = False
    backoff: Backoff = field(factory=Backoff)


@define(eq=False)
class Core:
    """
    A core for one group under one root.

    Args:
        on_event: Gets every event of `greengrass run --json`, as a dictionary; None when nobody
            watches.
        on_record: Gets every event of a tape; None when nothing is recorded.
    """

    group: Group
    layout: Layout
    config: CoreConfig | None = None
    options: CoreOptions = field(factory=CoreOptions)
    on_event: Callable[[dict[str, Any]], None] | None = None
    on_record: Callable[[dict[str, Any]], None] | None = None
    _running: AsyncExitStack = field(factory=AsyncExitStack)
    _stop_requested: asyncio.Event = field(factory=asyncio.Event)

    async def start(self) -> None:
        """
        Start everything; returns when the local socket answers and pinned functions were started.

        Raises:
            ConfigError: The root, the configuration or a function cannot be used.
            PackageError: The code of a function cannot be used.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    def request_stop(self) -> None:
        """Ask the core to stop: `wait_stopped` returns."""
        self._stop_requested.set()

    async def wait_stopped(self) -> None:
        """Wait until somebody asked the core to stop."""
        await self._stop_requested.wait()

    async def stop(self) -> None:
        """Stop everything that was started, in reverse order; calling it again does nothing."""
        await self._running.aclose()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        _native.self_test()
        descriptors = _raise_descriptors()
        if self.config is not None:
            self.group = configuration.merge(self.group, self.config)
        self.layout.create()
        self._running.enter_context(self.layout.lock())
        view = self._open_view(loop)
        logs = self._open_logs(loop, view)
        try:
            await self._start_services(loop, view, logs, descriptors)
        except GreengrassError as error:
            log.error("the core does not start: %s", error)  # noqa: TRY400 - told, not a fault
            raise

    async def _start_services(
        self, loop: asyncio.AbstractEventLoop, view: View, logs: Logs, descriptors: tuple[int, int]
    ) -> None:
        boot = secrets.token_bytes(8)
        table = Table(self.group)
        driver = self._open_router(loop, table, boot)
        shadows = self._open_shadows(loop, table, driver)
        self._open_secrets(table, driver, view)
        stream_tokens: list[str] = []
        await self._open_streams(table, driver, stream_tokens)
        pool = Pool(loop, driver, view, self.options.backoff)
        zygotes = Zygotes(pool.exited, pool.zygote_gone)
        self._running.push_async_callback(zygotes.stop)
        self._running.push_async_callback(pool.stop)
        self._running.callback(zygotes.resume)
        spin_ns = _spin_ns(self.group.limits.spin_us)
        fleet = Fleet(
            self.group, self.layout, self.config, logs, zygotes, boot, descriptors, spin_ns
        )
        pool.add(fleet.prepare(table.numbers, as_current_user=self.options.run_as_current_user))
        view.hide(fleet.tokens)
        stream_tokens += fleet.tokens
        self._listen_to_router(driver, pool, Reporter(table, fleet.logs, boot, view))
        status = Status(self.layout.root, table, driver, pool, zygotes)
        self._open_socket(loop, status, boot, shadows)
        self._running.callback(driver.machine.stop)
        driver.start()
        await fleet.warm_up()
        self._running.enter_context(self.layout.announce())
        log.info(
            "core of group %r started under %s with pid %d",
            *(self.group.name, self.layout.root, os.getpid()),
        )
        view.started(str(self.layout.root), os.getpid())
        pool.start_pinned()

    def _open_view(self, loop: asyncio.AbstractEventLoop) -> View:
        view = View(
            self.on_event,
            clock=loop.time,
            now_ms=lambda: time.time_ns() // 1_000_000,
            tape=self.on_record,
        )
        if view.wanted:
            self._running.callback(view.flush)
            self._running.callback(loop.create_task(_tell_skipped(view)).cancel)
        return view

    def _open_logs(self, loop: asyncio.AbstractEventLoop, view: View) -> Logs:
        logs = Logs(
            self.layout,
            self.group.loggers,
            schedule=loop.call_soon,
            on_record=view.log if view.wanted else None,
        )
        self._running.enter_context(logs)
        if self.options.own_process:
            logs.system.catch_crashes()
            if os.environ.get("GREENGRASS_DEBUGGABLE") != "1":
                set_dumpable(False)
        configured = () if self.config is None else self.config.warnings
        for warning in (*self.group.warnings, *configured):
            log.warning("%s", warning)
        return logs

    def _open_router(
        self, loop: asyncio.AbstractEventLoop, table: Table, boot: bytes
    ) -> RouterDriver:
        limits = self.group.limits
        options: _MachineOptions = {
            "work_items": limits.work_items,
            "topic_payload_bytes": limits.topic_payload_bytes,
            "invoke_payload_bytes": limits.invoke_payload_bytes,
            "strict": self.group.strict,
            "boot": boot,
            "epoch": time.time() - loop.time(),
        }
        if _native.impl == "c":
            from greengrass_sdk._native._plane import Plane

            plane = Plane(**options)
            driver = RouterDriver(plane, loop, rings=plane, ring_bytes=limits.ring_bytes)
        else:
            driver = RouterDriver(Router(**options), loop)
        machine = driver.machine
        self._running.callback(driver.close)
        table.install(machine)
        driver.serve(table.numbers[CLOUD], StandInCloud().receive)
        driver.serve(table.numbers[TOOL], lambda _: None)  # tools get answers, never messages
        return driver

    def _listen_to_router(self, driver: RouterDriver, pool: Pool, reporter: Reporter) -> None:
        driver.on(events.NeedWorkers, pool.need_workers)
        driver.on(events.WorkerReady, pool.worker_ready)
        driver.on(events.ImportFailed, pool.import_failed)
        driver.on(events.RetireWorker, pool.retire_worker)
        driver.on(events.Finished, reporter.finished)
        driver.on(events.Unrouted, reporter.unrouted)
        driver.on(events.Skipped, reporter.skipped)
        if reporter.view.wanted:
            driver.watch(reporter.tapped)

    def _open_shadows(
        self, loop: asyncio.AbstractEventLoop, table: Table, driver: RouterDriver
    ) -> ShadowEndpoint:
        group = self.group
        number = table.numbers[SHADOW_SERVICE]
        database = Database.open(self.layout.shadow_database)
        self._running.callback(database.close)
        committer = Committer(database, loop.call_soon_threadsafe)
        self._running.callback(committer.close)
        service = ShadowService(
            database,
            state_bytes=group.shadows.state_bytes,
            members=frozenset({group.core, *group.devices}) if group.shadows.members_only else None,
            wanted=lru_cache(_SHADOW_TOPICS)(
                lambda topic: bool(table.index.match(number, topic.encode()))
            ),
        )
        shadows = ShadowEndpoint(
            service,
            committer,
            publish=lambda topic, payload: driver.post(
                Frame(Kind.PUBLISH, 0, number, 0, topic.encode(), b"", payload)
            ),
            flush=driver.run,
            topic_payload_bytes=group.limits.topic_payload_bytes,
            everything=database.all,
        )
        shadows.answer = driver.employ(number, SHADOW_SERVICE, shadows.take).answer
        return shadows

    def _open_secrets(self, table: Table, driver: RouterDriver, view: View) -> None:
        service = SecretService(self._secret_store(), Access.of(self.group))
        if view.recording:
            service.revealed = view.hide_secret
        endpoint = SecretEndpoint(service, table.addresses.__getitem__)
        endpoint.answer = driver.employ(
            table.numbers[SECRETS_ARN], "GGSecretManager", endpoint.take
        ).answer

    def _secret_store(self) -> Store:
        if not self.group.secrets:
            return MemoryStore()  # nobody may read any
        from greengrass_sdk.core.secrets.vault import Vault

        vault = Vault.open(
            self.layout.secret_database,
            self.layout.secret_key,
            self.config,
            deployment=hashlib.sha256(repr(self.group).encode()).hexdigest(),
            now_ms=time.time_ns() // 1_000_000,
        )
        self._running.callback(vault.close)
        for name in self.group.secrets:
            if not vault.versions(name):
                log.warning("secret %r has no value yet: greengrass secret put %s", name, name)
        return vault

    async def _open_streams(
        self, table: Table, driver: RouterDriver, function_tokens: list[str]
    ) -> None:
        """Open streams before functions are prepared: they are told the port."""
        settings = self.group.streams
        if not settings.enabled:
            return
        from greengrass_sdk.core.streams.endpoint import StreamEndpoint
        from greengrass_sdk.core.streams.manager import StreamManager
        from greengrass_sdk.core.streams.outlets import Outlets
        from greengrass_sdk.core.streams.store import FolderStore

        keep_freed(_STREAM_BUFFERS)
        store = FolderStore(settings.store_dir or self.layout.stream_dir)
        manager = StreamManager(store, sync_s=settings.sync_interval_ms / 1000)
        self._running.push_async_callback(manager.stop)
        await manager.start()
        number = table.numbers[STREAMS_ARN]
        endpoint = StreamEndpoint(
            manager,
            flush=driver.run,
            answer_bytes=self.group.limits.invoke_payload_bytes,
        )
        self._running.callback(endpoint.close)
        endpoint.attach(lambda take: driver.employ(number, "GGStreamManager", take).answer)
        programs = tokens.clients(self.group, self.layout, table.numbers).values()
        outlets = Outlets(
            manager,
            settings,
            self.group.region,
            self.layout.root,
            lambda: (*function_tokens, *(program.token for program in programs)),
        )
        await outlets.start()
        self._running.push_async_callback(outlets.stop)
        self.group = evolve(self.group, streams=evolve(settings, port=outlets.port))

    def _open_socket(
        self,
        loop: asyncio.AbstractEventLoop,
        status: Status,
        boot: bytes,
        shadows: ShadowEndpoint,
    ) -> None:
        table, router = status.table, status.driver
        limits = self.group.limits
        tools = Tools(
            loop,
            router,
            table,
            boot,
            table.numbers[TOOL],
            limits.topic_payload_bytes,
            status.report,
            self.request_stop,
            shadows,
        )
        self._running.callback(tools.close)
        listener = Listener(
            loop,
            router,
            tools,
            tokens.clients(self.group, self.layout, table.numbers),
            {
                "version": control.VERSION,
                "boot": boot,
                "strict": self.group.strict,
                "features": [],
                "spin_ns": _spin_ns(limits.spin_us),
                "limits": {
                    "topic_payload_bytes": limits.topic_payload_bytes,
                    "invoke_payload_bytes": limits.invoke_payload_bytes,
                },
            },
            tokens.tool(self.layout),
            table.numbers[TOOL],
        )
        status.listener = listener
        listener.open(self.layout.ipc_socket)
        self._running.callback(listener.close)


class _MachineOptions(TypedDict):
    """What either machine is made of."""

    work_items: int
    topic_payload_bytes: int
    invoke_payload_bytes: int
    strict: bool
    boot: bytes
    epoch: float


def _spin_ns(spin_us: int) -> int:
    """Return how long a call may spin: not at all where it would take its peer's time."""
    if _native.impl != "c":
        return 0
    from greengrass_sdk._native._ring import may_spin

    return spin_us * 1000 if may_spin() else 0


async def _tell_skipped(view: View) -> None:
    while True:
        await asyncio.sleep(_SKIPPED_S)
        view.flush()


def _raise_descriptors() -> tuple[int, int]:
    """Raise this process's limit of open files, and return the old one for the functions."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft, hard
