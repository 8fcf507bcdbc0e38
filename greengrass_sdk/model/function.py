# SPDX-License-Identifier: Apache-2.0
"""
A function as the group file declares it.

Values only: where its code is, how it is called, what bounds it. Running it is the business of
`core.functions` and `runtime`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import limits
from greengrass_sdk.model.arn import check_function_name
from greengrass_sdk.model.tables import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from attrs import Attribute

__all__ = ["Function", "RunAs", "checked"]


def checked(table: str, key: str | None = None) -> Callable[[Any, Attribute[Any], Any], None]:
    """
    Return an attrs validator: the value must fit the key of the table of the group file.

    None and the default always fit: they stand for a key that was left out. `key` is the
    attribute's own name unless given.
    """

    def validate(_: Any, attribute: Attribute[Any], value: object) -> None:
        if value is None or value is attribute.default:
            return
        name = key or attribute.name
        for path, reason in kind_of(table, name).check(value):
            where = ".".join(str(part) for part in (name, *path))
            raise InvalidInputError(f"[{table}] {where}: {reason}")

    return validate


def _seconds(value: float) -> float:
    """Return whole seconds as a float; whatever else, for the validator to judge."""
    return float(value) if type(value) is int else value


def _names(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


@frozen(kw_only=True)
class RunAs:
    """User and group id of a function; None stands for the core's default identity."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_root(self) -> bool:
        """Whether user or group is root's."""
        return 0 in (self.uid, self.gid)


@frozen(kw_only=True)
class Function:
    """
    One `[functions.NAME]`.

    `code` is an absolute path once it was read from a file. `python` is None (the core's own), a
    command to look up on PATH, or an absolute path. `arn` is set by the Group it belongs to, and
    is its address. `line` is where it was declared.
    """

    name: str = field()
    code: Path
    handler: str = field(validator=checked("functions"))
    version: str = field(default="1", validator=checked("functions"))
    pinned: bool = field(default=False, validator=checked("functions"))
    timeout_s: float = field(
        default=limits.TIMEOUT_S, converter=_seconds, validator=checked("functions")
    )
    memory_kib: int | None = field(default=None, validator=checked("functions"))
    encoding: str = field(default="json", validator=checked("functions"))
    environment: Mapping[str, str] = field(factory=dict, validator=checked("functions"))
    python: str | None = field(default=None, validator=checked("functions"))
    sdk: str = field(default="ours", validator=checked("functions"))
    run_as: RunAs | None = None
    max_workers: int = field(default=limits.MAX_WORKERS, validator=checked("functions"))
    idle_s: float = field(default=limits.IDLE_S, converter=_seconds, validator=checked("functions"))
    queue_items: int = field(default=limits.QUEUE_ITEMS, validator=checked("functions"))
    queue_bytes: int = field(default=limits.QUEUE_BYTES, validator=checked("functions"))
    secrets: tuple[str, ...] = field(default=(), converter=_names, validator=checked("functions"))
    arn: str = ""
    line: int | None = field(default=None, eq=False, repr=False)

    @name.validator
    def _check_name(self, _: Attribute[str], value: str) -> None:
        check_function_name(value)

    @property
    def workers_limit(self) -> int:
        """How many workers may run at once: one if pinned."""
        return 1 if self.pinned else self.max_workers
