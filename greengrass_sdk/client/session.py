# SPDX-License-Identifier: Apache-2.0
"""
A connection whose hello is done, and the one that a function's process was born with.

The runtime adopts the session of its worker; every client in that process then shares it, and none
of them closes it. Where one process is many functions (the test doubles), `seek` has somebody find
out which one calls.
"""

from __future__ import annotations

from greengrass_sdk.model.limits import INVOKE_PAYLOAD_BYTES, TOPIC_PAYLOAD_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greengrass_sdk._native._abc import Channel

__all__ = ["Session", "adopt", "current", "seek"]


class Session:
    """
    A channel and what the core said about it.

    `publish` is the short way of a publish, where the channel has one and nobody waits for a
    verdict; else it does nothing and says so. `endpoint` and `identity` (an address) are who we
    are, `boot` makes request ids of numbers. The limits are those of the group; `strict` groups
    want to know whether a publish was routed.
    """

    __slots__ = (
        "boot",
        "channel",
        "endpoint",
        "identity",
        "invoke_payload_bytes",
        "publish",
        "strict",
        "topic_payload_bytes",
    )

    def __init__(
        self,
        channel: Channel,
        endpoint: int,
        boot: bytes,
        identity: str,
        limits: Mapping[str, int] | None = None,
        *,
        strict: bool | None = None,
    ) -> None:
        """Take `topic_payload_bytes`, `invoke_payload_bytes`, `strict` from `limits` if there."""
        limits = {} if limits is None else limits
        self.channel = channel
        self.endpoint = endpoint
        self.boot = boot
        self.identity = identity
        self.topic_payload_bytes = limits.get("topic_payload_bytes", TOPIC_PAYLOAD_BYTES)
        self.invoke_payload_bytes = limits.get("invoke_payload_bytes", INVOKE_PAYLOAD_BYTES)
        self.strict = bool(limits.get("strict", False)) if strict is None else strict
        way = None if self.strict else getattr(channel, "publish", None)
        self.publish: Callable[[str, object, int, int, int], bool] = way or _no_way

    @property
    def is_short(self) -> bool:
        """Whether there is a short way."""
        return self.publish is not _no_way

    def __repr__(self) -> str:
        return f"Session(identity={self.identity!r}, endpoint={self.endpoint})"


def _no_way(*_publication: object) -> bool:
    return False


_current: Session | None = None
_finder: Callable[[str | None], Session | None] | None = None


def adopt(session: Session | None) -> None:
    """Make this the session of the process; None takes it back, for tests and for the end."""
    global _current  # noqa: PLW0603 - a process is one function
    _current = session


def seek(finder: Callable[[str | None], Session | None] | None) -> None:
    """
    Ask `finder` for the session where the process has none of its own; None asks nobody.

    It gets the name that the client was given, None for a function's, and may raise instead.
    """
    global _finder  # noqa: PLW0603 - as for `adopt`
    _finder = finder


def current(name: str | None = None) -> Session | None:
    """
    Return the session that this process was born with, None outside functions.

    Args:
        name: What the client that asks was given as its name.
    """
    if _current is not None or _finder is None:
        return _current
    return _finder(name)
