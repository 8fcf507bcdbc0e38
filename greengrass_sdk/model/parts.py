# SPDX-License-Identifier: Apache-2.0
"""
The smaller parts of a group: its settings, and the members that have few.

Each class is one table of the group file, its attributes are the keys. `function` and
`subscription` have modules of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from greengrass_sdk.model import limits
from greengrass_sdk.model.function import checked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "CloudSettings",
    "Device",
    "Limits",
    "LocalClient",
    "Logger",
    "Secret",
    "Shadows",
    "Streams",
]


@frozen(kw_only=True)
class Limits:
    """`[limits]`: the bounds of the whole core."""

    work_items: int = field(default=limits.WORK_ITEMS, validator=checked("limits"))
    topic_payload_bytes: int = field(
        default=limits.TOPIC_PAYLOAD_BYTES, validator=checked("limits")
    )
    invoke_payload_bytes: int = field(
        default=limits.INVOKE_PAYLOAD_BYTES, validator=checked("limits")
    )
    ring_bytes: int = field(default=limits.RING_BYTES, validator=checked("limits"))
    spin_us: int = field(default=limits.SPIN_US, validator=checked("limits"))


@frozen(kw_only=True)
class CloudSettings:
    """`[cloud]`: the broker that stands for the cloud. Paths are absolute once read from a file."""

    url: str = field(validator=checked("cloud"))
    ca_path: Path | None = None
    certificate_path: Path | None = None
    private_key_path: Path | None = None
    client_id: str | None = field(default=None, validator=checked("cloud"))
    keep_alive_s: int = field(default=limits.KEEP_ALIVE_S, validator=checked("cloud"))


@frozen(kw_only=True)
class Device:
    """One `[devices.NAME]`; `arn`, its address, is set by the Group."""

    name: str
    sync_shadow: bool = field(default=False, validator=checked("devices"))
    arn: str = ""


@frozen(kw_only=True)
class LocalClient:
    """One `[clients.NAME]`; `arn`, its address, is set by the Group."""

    name: str
    arn: str = ""


def _labels(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


@frozen(kw_only=True)
class Secret:
    """One `[secrets.NAME]`. There is no value here, on purpose."""

    name: str
    arn: str | None = field(default=None, validator=checked("secrets"))
    stages: tuple[str, ...] = field(
        default=("AWSCURRENT",), converter=_labels, validator=checked("secrets")
    )


@frozen(kw_only=True)
class Shadows:
    """`[shadows]`: the settings of the shadow service."""

    state_bytes: int = field(default=limits.SHADOW_STATE_BYTES, validator=checked("shadows"))
    members_only: bool = field(default=False, validator=checked("shadows"))


@frozen(kw_only=True)
class Streams:
    """`[streams]`: the settings of the stream manager. Paths are absolute once read from a file."""

    enabled: bool = field(default=False, validator=checked("streams"))
    port: int = field(default=limits.STREAM_PORT, validator=checked("streams"))
    authenticate_client: bool = field(default=True, validator=checked("streams"))
    store_dir: Path | None = None
    bandwidth_kbit_s: int | None = field(default=None, validator=checked("streams"))
    threads: int = field(default=limits.STREAM_THREADS, validator=checked("streams"))
    read_only_dirs: tuple[Path, ...] = field(default=(), converter=tuple)
    sync_interval_ms: int = field(default=limits.STREAM_SYNC_MS, validator=checked("streams"))
    s3_part_bytes: int = field(default=limits.STREAM_PART_BYTES, validator=checked("streams"))


@frozen(kw_only=True)
class Logger:
    """One `[[loggers]]`: how much of a component is written, and where it stops."""

    component: str = field(validator=checked("loggers"))
    level: str = field(default="INFO", validator=checked("loggers"))
    space_kib: int = field(default=limits.LOG_SPACE_KIB, validator=checked("loggers"))
