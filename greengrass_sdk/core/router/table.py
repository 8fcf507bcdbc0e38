# SPDX-License-Identifier: Apache-2.0
"""
The subscription table, compiled: from a group's rows to numbers that the router machine routes by.

Every address of a group gets one endpoint number; a row (source, subject, target) becomes one
`Route`, its row number an entry of the topic index.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from attrs import field, frozen

from greengrass_sdk._native import TopicIndex
from greengrass_sdk._native._py.router.state import FunctionRules, Route
from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import limits
from greengrass_sdk.model.arn import CLOUD, SECRETS_ARN, SHADOW_ARN, SHADOW_SERVICE, STREAMS_ARN
from greengrass_sdk.model.function import Function
from greengrass_sdk.model.topic import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from greengrass_sdk._native import _abc
    from greengrass_sdk.core.ports import Machine
    from greengrass_sdk.model.group import Device, Group, LocalClient
    from greengrass_sdk.model.subscription import Subscription

__all__ = ["TOOL", "Nearest", "Table"]

TOOL = "tool"
"""Address of the commands of the core's owner, as the caller of an invocation."""

_SERVICE = FunctionRules(
    pinned=True,
    timeout_s=limits.TIMEOUT_S_MAX,  # a slow disk is waited for
    max_workers=1,
    idle_s=limits.IDLE_S,
    queue_items=limits.QUEUE_ITEMS,
    queue_bytes=limits.QUEUE_BYTES,
    credit=512,  # items: it answers many at once
)
_SECRETS = _SERVICE._replace(confidential=True)
_STREAMS = FunctionRules(
    pinned=False,
    timeout_s=limits.TIMEOUT_S_MAX,
    max_workers=limits.STREAM_REQUESTS,
    idle_s=limits.TIMEOUT_S_MAX,
    queue_items=limits.QUEUE_ITEMS,
    queue_bytes=limits.QUEUE_BYTES,
)


def _encoded(*names: str) -> tuple[bytes, ...]:
    return tuple(name.encode() for name in names)


_SHADOW_NAMES = _encoded(SHADOW_ARN, f"{SHADOW_ARN}:1", SHADOW_SERVICE)
_SECRET_NAMES = _encoded(SECRETS_ARN, SECRETS_ARN.removesuffix(":1"))
_STREAM_NAMES = _encoded(STREAMS_ARN, STREAMS_ARN.removesuffix(":1"), "GGStreamManager")


@frozen
class Nearest:
    """The row that comes closest to routing a message, and what it lacks."""

    subscription: Subscription
    why: str


@frozen
class Table:
    """
    Endpoints and rows of one group.

    Attributes:
        numbers: Endpoint number of each address, those of the table before included.
        addresses: The reverse of `numbers`.
        routes: One for each subscription, in the order of the group file.
    """

    group: Group
    _before: Mapping[str, int] = field(factory=dict, repr=False)
    _defined: frozenset[str] = frozenset()
    numbers: dict[str, int] = field(init=False)
    addresses: dict[int, str] = field(init=False)
    routes: list[Route] = field(init=False)
    index: _abc.TopicIndex = field(init=False)

    def __attrs_post_init__(self) -> None:
        group = self.group
        members = [*group.functions, *group.devices, *group.clients]
        addresses = [
            TOOL,
            CLOUD,
            SHADOW_SERVICE,
            SECRETS_ARN,
            *(group.address(name) for name in members),
        ]
        if group.streams.enabled:
            addresses.append(STREAMS_ARN)
        for row in group.subscriptions:
            addresses += [row.source, row.target]
        numbers = dict(self._before)
        for address in addresses:
            numbers.setdefault(address, len(numbers) + 1)
        index = TopicIndex()
        routes = []
        for number, row in enumerate(group.subscriptions):
            index.add(numbers[row.source], row.subject.encode(), number)
            routes.append(Route(row.id, numbers[row.target]))
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "addresses", {n: address for address, n in numbers.items()})
        object.__setattr__(self, "routes", routes)
        object.__setattr__(self, "index", index)

    def successor(self, group: Group) -> Table:
        """Return the table of a changed group: who is connected keeps its number."""
        return Table(group, self.numbers, self._defined | {arn for arn, _ in self._members()})

    def install(self, machine: Machine) -> None:
        """
        Define every function, device and client with the router machine, and its routes.

        What the table before had defined stays as it is, with its workers and what waits there;
        rows with the id of an old one go on with its counters.
        """
        for arn, member in self._members():
            if arn in self._defined:
                continue
            if isinstance(member, Function):
                self._define(machine, member)
                continue
            machine.define_peer_target(
                self.numbers[arn], queue_items=limits.QUEUE_ITEMS, queue_bytes=limits.QUEUE_BYTES
            )
        if SHADOW_SERVICE not in self._before:
            self._define_services(machine)
        if STREAMS_ARN in self.numbers and STREAMS_ARN not in self._before:
            self._define_streams(machine)
        machine.install_routes(self.index, self.routes)

    def _members(self) -> Iterator[tuple[str, Function | Device | LocalClient]]:
        for members in (self.group.functions, self.group.devices, self.group.clients):
            for member in members.values():
                yield member.arn, member

    def _define_services(self, machine: Machine) -> None:
        """Define functions, as V1's SDK invokes services: each has one worker, in the core."""
        machine.define_function(self.numbers[SHADOW_SERVICE], _SERVICE, _SHADOW_NAMES)
        machine.define_function(self.numbers[SECRETS_ARN], _SECRETS, _SECRET_NAMES)

    def _define_streams(self, machine: Machine) -> None:
        """Define a function on demand, with workers in the core: a request may wait for long."""
        machine.define_function(self.numbers[STREAMS_ARN], _STREAMS, _STREAM_NAMES)

    def _define(self, machine: Machine, function: Function) -> None:
        unqualified = function.arn.rpartition(":")[0]
        version = f":{function.version}"
        names = (function.arn, unqualified, function.name + version, function.name)
        rules = FunctionRules(
            function.pinned,
            function.timeout_s,
            function.workers_limit,
            function.idle_s,
            function.queue_items,
            function.queue_bytes,
        )
        machine.define_function(self.numbers[function.arn], rules, _encoded(*names))

    def number(self, name_or_address: str) -> int:
        """Return the endpoint number of a name or address; KeyError if the group has none such."""
        return self.numbers[self.group.address(name_or_address)]

    def name(self, endpoint: int) -> str:
        """Return the short name of an endpoint, for people."""
        address = self.addresses[endpoint]
        return address if address == TOOL else self.group.name_of(address)

    def sender(self, name: str) -> int:
        """
        Return the endpoint that a tool may publish as: the cloud or a device.

        Raises:
            InvalidInputError: The group has none such, or it is a function or client, which publish
                for themselves.
        """
        address = self.group.address(name)
        devices = self.group.devices
        if address != CLOUD and address not in {device.arn for device in devices.values()}:
            allowed = ", ".join([CLOUD, *devices])
            raise InvalidInputError(
                f"cannot publish as {name!r}, only as the cloud or a device ({allowed})"
            )
        return self.numbers[address]

    def nearest_row(self, source: int, topic: str) -> dict[str, str] | None:
        """Return the row that almost routes `topic`, with names, and `why` it does not."""
        nearest = self.nearest(source, topic)
        if nearest is None:
            return None
        row = nearest.subscription
        return {
            "id": row.id,
            "source": self.group.name_of(row.source),
            "subject": row.subject,
            "target": self.group.name_of(row.target),
            "why": nearest.why,
        }

    def subscription(self, route: Route) -> Subscription:
        """Return the row that `route` was compiled from."""
        return next(row for row in self.group.subscriptions if row.id == route.id)

    def nearest(self, source: int, topic: str) -> Nearest | None:
        """
        Return the row that almost routes `topic` from `source`.

        A row whose subject matches but whose source is another one comes first, because a wrong
        source is the commonest mistake; then the row of this source with the most similar subject.
        """
        rows = self.group.subscriptions
        for row in rows:
            if matches(row.subject, topic):
                return Nearest(row, f"its source is {self.group.name_of(row.source)!r}")
        own = [row for row in rows if self.numbers[row.source] == source]
        similar = _most_similar(own or rows, topic)
        if similar is None:
            return None
        why = f"its subject is {similar.subject!r}"
        if not own:
            why = f"its source is {self.group.name_of(similar.source)!r} and {why}"
        return Nearest(similar, why)


def _most_similar(rows: Sequence[Subscription], topic: str) -> Subscription | None:
    def similarity(row: Subscription) -> float:
        return difflib.SequenceMatcher(None, row.subject, topic).ratio()

    return max(rows, key=similarity, default=None)
