# SPDX-License-Identifier: Apache-2.0
"""A small group around the router machine, to hold conversations with: frames in, outputs out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from greengrass_sdk._native import Flag, Frame, Kind, TopicIndex
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import CORE, FunctionRules, FunctionTarget, Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from greengrass_sdk._native._py.router.events import Output

__all__ = ["BOOT", "CLIENT", "CLOUD", "DEMAND", "PINNED", "TOOL", "Bench", "only"]

PINNED, DEMAND, CLIENT, CLOUD, TOOL = 1, 2, 3, 4, 5
BOOT = bytes(range(8))

_O = TypeVar("_O")


class Bench:
    """
    A machine with a pinned and an on-demand function, a client, the cloud and a tool.

    Args:
        timeout_s: Of the pinned function.
        demand: Rules of the on-demand function that differ from the usual ones.
    """

    def __init__(
        self,
        *,
        rows: Sequence[tuple[int, bytes, int]] = (),
        work_items: int = 100,
        strict: bool = False,
        timeout_s: float = 3.0,
        **demand: Any,
    ) -> None:
        self.machine = Router(
            work_items=work_items,
            topic_payload_bytes=100,
            invoke_payload_bytes=200,
            strict=strict,
            boot=BOOT,
            epoch=1_700_000_000.0,
        )
        pinned = _rules(pinned=True, max_workers=1, timeout_s=timeout_s)
        self.machine.define_function(PINNED, pinned, [b"pinned"])
        self.machine.define_function(DEMAND, _rules(**demand), [b"demand", b"demand:1"])
        self.machine.define_peer_target(CLIENT, queue_items=2, queue_bytes=50)
        self.machine.define_service(CLOUD)
        self.machine.define_service(TOOL)
        index = TopicIndex()
        self.routes = []
        for number, (source, subject, target) in enumerate(rows):
            index.add(source, subject, number)
            self.routes.append(Route(f"row-{number}", target))
        self.machine.install_routes(index, self.routes)
        self.now = 0.0

    def step(self) -> list[Any]:
        return [*self.machine.step(self.now)]

    def at(self, now: float) -> Bench:
        self.now = now
        return self

    def frame(self, peer: int, *fields: Any) -> list[Any]:
        """Let `peer` send a frame; fields left out at the end are zero or empty."""
        blank = (0, 0, 0, 0, b"", b"", b"")
        self.machine.receive(peer, Frame(*fields, *blank[len(fields) :]), self.now)
        return self.step()

    def publish(
        self,
        topic: bytes,
        payload: bytes = b"x",
        *,
        source: int = CLOUD,
        peer: int = CORE,
        flags: int = 0,
        number: int = 0,
    ) -> list[Any]:
        return self.frame(peer, Kind.PUBLISH, flags, source, number, topic, b"", payload)

    def invoke(
        self, name: bytes, payload: bytes = b"{}", *, number: int = 7, event: bool = False
    ) -> list[Any]:
        flags = Flag.EVENT if event else 0
        return self.frame(CORE, Kind.INVOKE, flags, TOOL, number, name, b"ctx", payload)

    def worker(self, peer: int, endpoint: int) -> list[Any]:
        self.machine.attach_worker(peer, endpoint, self.now)
        return self.step()

    def ready(self, peer: int, endpoint: int, flags: int = 0, payload: bytes = b"") -> list[Any]:
        return self.frame(peer, Kind.READY, flags, endpoint, 0, b"", b"", payload)

    def result(
        self, peer: int, endpoint: int, number: int, payload: bytes = b"", flags: int = 0
    ) -> list[Any]:
        return self.frame(peer, Kind.RESULT, flags, endpoint, number, b"", b"", payload)

    def target(self, endpoint: int) -> FunctionTarget:
        state = self.machine.target_state(endpoint)
        assert isinstance(state, FunctionTarget)
        return state


def only(outputs: Iterable[Output], kind: type[_O]) -> list[_O]:
    """Return the outputs of one kind."""
    return [output for output in outputs if isinstance(output, kind)]


def _rules(**changes: Any) -> FunctionRules:
    values: dict[str, Any] = {
        "pinned": False,
        "timeout_s": 3.0,
        "max_workers": 2,
        "idle_s": 60.0,
        "queue_items": 4,
        "queue_bytes": 1000,
    }
    return FunctionRules(**{**values, **changes})
