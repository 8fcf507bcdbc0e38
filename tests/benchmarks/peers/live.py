# SPDX-License-Identifier: Apache-2.0
"""Peers that run: started together, measured in turn with our own, ended together."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from peers.kit import CONSUMERS, Child, LostError, SkippedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a figure is compared with is named by the first column.
MODULES = {
    "zenoh": "zenoh_router",
    "zmq": "zeromq",
    "nats": "nats_server",
    "mosquitto": "mosquitto",
    "gRPC": "grpc_unix",
}
PUBSUB, CALLS = "pubsub", "calls"
LOST_S = 8.0  # beyond what a run was asked to take
CALLS_S = 60.0


class LivePeer:
    """A broker with the processes around it."""

    def __init__(self, module: str, kind: str, address: str) -> None:
        self._module = module
        self._kind = kind
        self._address = address
        self._stack = contextlib.ExitStack()
        self._start()

    def _start(self) -> None:
        roles: list[tuple[str, ...]] = [("server",), ("caller",)]
        if self._kind == PUBSUB:
            roles = [("sink", str(number)) for number in range(CONSUMERS)] + [("source",)]
        try:
            # The last one is who is asked.
            for role, *rest in roles:
                child = Child(self._module, role, self._address, *rest)
                self._asked = self._stack.enter_context(child).ready()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def rate(self, topic: str, size: int, seconds: float, consumers: int) -> float:
        """Return how many messages a second every consumer got."""
        command = {"topic": topic, "size": size, "seconds": seconds, "consumers": consumers}
        try:
            return rate_of(self._asked.ask(command, seconds + LOST_S))
        except LostError:  # a loss leaves counts behind
            self._stack.close()
            self._start()
            raise

    def spans(self, size: int, calls: int, warm: int, pause_s: float = 0.0) -> list[float]:
        """Return the microseconds of calls."""
        command = {"size": size, "calls": calls, "warm": warm, "pause_s": pause_s}
        return [span / 1e3 for span in self._asked.ask(command, CALLS_S)["ns"]]


def rate_of(found: dict[str, Any]) -> float:
    """Return the messages a second of a source's result."""
    if found["wrong"]:
        raise LostError(f"{found['wrong']} of the acknowledgements had another size")
    return float(found["messages"] / found["ns"] * 1e9)


class Peers:
    """
    Those that can be measured here.

    Attributes:
        versions: What takes part.
        skipped: What does not, and why.
    """

    def __init__(self, cache: Path, wanted: frozenset[str] | None = None) -> None:
        self.cache = cache
        self.versions: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        for name, module in MODULES.items():
            if wanted is not None and name not in wanted:
                self.skipped[name] = "not asked for"
                continue
            self._look_at(name, importlib.import_module(f"peers.{module}"))

    def _look_at(self, name: str, module: Any) -> None:
        try:
            text = module.version()
            if hasattr(module, "broker_version"):
                text = f"{text}, {module.broker_version(self.cache)}"
        except (SkippedError, ImportError) as error:
            self._skip(name, error)
        else:
            self.versions[name] = text

    def _skip(self, name: str, error: Exception) -> None:
        self.versions.pop(name, None)
        self.skipped[name] = str(error)
        print(f"{name} is skipped: {error}", flush=True)

    @contextlib.contextmanager
    def live(self, kind: str) -> Iterator[dict[str, LivePeer]]:
        """Start all that have the roles; those that do not start are skipped."""
        with contextlib.ExitStack() as stack:
            found: dict[str, LivePeer] = {}
            for name in list(self.versions):
                module = importlib.import_module(f"peers.{MODULES[name]}")
                if kind not in module.ROLES:
                    continue
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-")))
                with contextlib.ExitStack() as starting:
                    try:
                        address = starting.enter_context(module.broker(self.cache, folder))
                        found[name] = starting.enter_context(LivePeer(MODULES[name], kind, address))
                    except (SkippedError, ImportError, OSError) as error:
                        self._skip(name, error)
                        continue
                    stack.push(starting.pop_all())
            yield found
