# SPDX-License-Identifier: Apache-2.0
"""The group that a test builds up, piece by piece, before and while it runs."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, fields

from greengrass_sdk.errors import ConfigError, InvalidInputError
from greengrass_sdk.model.arn import function_arn, parse_lambda_arn
from greengrass_sdk.model.definition import Group
from greengrass_sdk.model.directory import Directory
from greengrass_sdk.model.function import Function
from greengrass_sdk.model.parts import Device, LocalClient, Secret, Streams
from greengrass_sdk.model.subscription import Subscription
from greengrass_sdk.model.tables import RESERVED_NAMES
from greengrass_sdk.testing.functions import Member
from greengrass_sdk.testing.modules import find_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from greengrass_sdk.model.parts import Limits

__all__ = [
    "Declarations",
    "code_of",
    "file_of",
    "group_of",
    "handler_name",
    "new_function",
    "working_directory",
]

_INLINE = "test.handler"
_OPTIONS = [
    option.name
    for option in fields(Function)
    if option.name not in {"name", "handler", "code", "arn", "line"}
]
_DEFAULTS = Group(name="test", core="test-core", streams=Streams(enabled=True, port=0))


class Declarations:
    """
    What exists: functions, devices, clients, rows.

    Args:
        settings: Those of a Group: `name`, `core`, `region`, `account`, `strict`, `limits`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = evolve(_DEFAULTS, **settings) if settings else _DEFAULTS
        self.members: dict[str, Member] = {}
        self.changed = True
        self.fresh: list[Member] = []
        """Functions that were declared since `take`."""
        self._devices: dict[str, Device] = {}
        self._clients: dict[str, LocalClient] = {}
        self._rows: dict[str, Subscription] = {}
        self._secrets: dict[str, Secret] = {}
        self._fixed: set[str] = set()  # secrets of group files
        self._directory: Directory | None = None

    @property
    def limits(self) -> Limits:
        """The bounds of the core."""
        return self._settings.limits

    @property
    def strict(self) -> bool:
        """Whether a publish that no row matches is refused."""
        return self._settings.strict

    def add_function(self, model: Function, handler: Callable[[Any, Any], Any] | None) -> Member:
        """Declare a function."""
        self._check_name(model.name)
        member = self.members[model.name] = Member(model, handler)
        self.fresh.append(member)
        self._change()
        return member

    def arn(self, function: str, version: str = "1") -> str:
        """Return the ARN that a function has."""
        return function_arn(self._settings.region, self._settings.account, function, version)

    def add_device(self, name: str) -> None:
        """Declare a device."""
        self._check_name(name)
        self._devices[name] = Device(name=name)
        self._change()

    def add_secret(self, name: str, arn: str | None, stages: Iterable[str]) -> None:
        """Declare a secret whose labels may be read; what a group file declares stays as it is."""
        known = self._secrets.get(name)
        if name in self._fixed:
            return
        before = Secret(name=name) if known is None else known
        labels = dict.fromkeys((*before.stages, *stages))
        after = evolve(before, arn=arn or before.arn, stages=labels)
        if after != known:
            self._secrets[name] = after
            self.changed = True

    def has_secret(self, name: str) -> bool:
        """Return whether a secret is declared."""
        return name in self._secrets

    def add_row(self, source: str, subject: str, target: str, id: str | None) -> None:
        """Declare a row; source and target are names or addresses."""
        number = f"row-{len(self._rows) + 1}"
        self._take_row(
            Subscription(id or number, self.address(source), subject, self.address(target))
        )

    def load(self, path: Path, *, started: bool) -> None:
        """Take a whole group file in; its settings count where it is the first thing."""
        from greengrass_sdk.model.groupfile import load_group

        group = load_group(path)
        if not (self.members or self._devices or self._rows or started):
            self._settings = evolve(group, functions={}, devices={}, clients={}, subscriptions=[])
        elif (group.limits, group.strict) != (self.limits, self.strict):
            raise InvalidInputError(
                f"{path} has other limits than what was declared before; load it first"
            )
        for function in group.functions.values():
            self.add_function(evolve(function, arn=""), None)
        for device in group.devices.values():
            self._check_name(device.name)
            self._devices[device.name] = device
        for client in group.clients.values():
            self._check_name(client.name)
            self._clients[client.name] = client
        self._secrets |= group.secrets
        self._fixed |= group.secrets.keys()
        self._change()
        for row in group.subscriptions:
            source, target = (group.name_of(end) for end in (row.source, row.target))
            self._take_row(evolve(row, source=self.address(source), target=self.address(target)))

    def _take_row(self, row: Subscription) -> None:
        if row.id in self._rows:
            raise InvalidInputError(f"there is a subscription {row.id!r} already")
        self._rows[row.id] = row
        self.changed = True

    def address(self, name_or_arn: str) -> str:
        """Return the address of a name or ARN; see `Group.address`."""
        if self._directory is None:
            self._directory = Directory.of(
                self._settings.region,
                self._settings.account,
                functions={name: m.model.version for name, m in self.members.items()},
                devices=self._devices,
                clients=self._clients,
            )
        return self._directory.address(name_or_arn)

    def member(self, name_or_arn: str) -> Member:
        """
        Return a function by its name or ARN.

        Raises:
            InvalidInputError: There is none; the message says what is nearest.
        """
        found = self.members.get(name_or_arn)
        if found is None and name_or_arn.startswith("arn:"):
            found = self.members.get(parse_lambda_arn(name_or_arn).name)
        if found is None:
            self.address(name_or_arn)  # which says what is nearest
            raise InvalidInputError(f"{name_or_arn!r} is no function")
        return found

    def take(self) -> tuple[Group, list[Member]]:
        """
        Return the group as it is now, and the functions that are new.

        Raises:
            InvalidInputError: A function names a secret that there is not.
        """
        for member in self.members.values():
            for secret in member.model.secrets:
                if secret not in self._secrets:
                    raise InvalidInputError(
                        f"function {member.name!r} names a secret {secret!r}, and there is none;"
                        f" add it: add_secret({secret!r}, VALUE)"
                    )
        fresh, self.fresh = self.fresh, []
        self.changed = False
        group = evolve(
            self._settings,
            functions={name: member.model for name, member in self.members.items()},
            devices=dict(self._devices),
            clients=dict(self._clients),
            subscriptions=list(self._rows.values()),
            secrets=dict(self._secrets),
        )
        return group, fresh

    def _check_name(self, name: str) -> None:
        if name in RESERVED_NAMES:
            raise InvalidInputError(f"the name {name!r} is reserved for rows; choose another")
        if name in self.members or name in self._devices or name in self._clients:
            raise InvalidInputError(
                f"the name {name!r} is taken; names are unique over functions, devices and clients"
            )

    def _change(self) -> None:
        self._directory = None
        self.changed = True


def working_directory() -> Path:
    """Return the working directory; `Path.cwd` takes long where every test asks."""
    return _path(os.getcwd())  # noqa: PTH109 - see above


@lru_cache(1)
def _path(name: str) -> Path:
    return Path(name)


def new_function(name: str, handler: str, code: Path, arn: str = "", **options: Any) -> Function:
    """
    Return a function as `add_function` is told of it.

    Raises:
        TypeError: There is no such option; the message says what is nearest.
        InvalidInputError: A value is not allowed.
    """
    for option in options.keys() - _OPTIONS:
        near = get_close_matches(option, _OPTIONS, n=1)
        raise TypeError(
            f"add_function has no option {option!r}; "
            + (f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(_OPTIONS)}")
        )
    return Function(name=name, handler=handler, code=code, arn=arn, **options)


def handler_name(handler: Callable[[Any, Any], Any]) -> str:
    """Return a handler string for a callable, for texts."""
    module = getattr(handler, "__module__", None)
    name = getattr(handler, "__name__", "")
    if not isinstance(module, str) or not isinstance(name, str) or not name.isidentifier():
        return _INLINE
    return f"{module}.{name}"


def file_of(path: str | os.PathLike[str], beside: str | None) -> Path:
    """
    Return a file or folder that a test names: absolute, or relative to the test's file.

    What is not there is looked for in the working directory: a test means the same wherever it is
    run from.
    """
    file = Path(path)
    if file.is_absolute() or beside is None:
        return file
    near = Path(beside).parent / file
    return near if near.exists() else file


def code_of(handler: str, code: str | Path | None, beside: str | None) -> Path:
    """
    Return the code folder of a function that is imported.

    Args:
        code: As the test gave it; see `file_of`.
        beside: The file of the test.

    Raises:
        InvalidInputError: It is not there.
    """
    if code is not None:
        folder = file_of(code, beside).absolute()
        if not folder.exists():
            names = [path.name for path in _around(beside) if path.is_dir()]
            raise InvalidInputError(_not_there("code", Path(code), beside, names))
        return folder
    module = handler.rpartition(".")[0]
    found = find_code(module)
    top = module.replace("/", ".").partition(".")[0]
    here = None if beside is None else Path(beside).parent
    if found is None and here is not None and (here / f"{top}.py").is_file():
        found = here
    if found is not None and _is_folder_of(found / top, top):
        found /= top
    return found or working_directory()


def _is_folder_of(folder: Path, module: str) -> bool:
    """Return whether a folder is no package and holds the module of its name, as `init` has it."""
    return (folder / f"{module}.py").is_file() and not (folder / "__init__.py").exists()


def group_of(path: str | os.PathLike[str], beside: str | None) -> Path:
    """
    Return a group file, or its folder, that a test names; see `file_of`.

    Raises:
        ConfigError: It is not there.
    """
    file = file_of(path, beside)
    if not file.exists():
        names = [path.name for path in _around(beside) if path.suffix == ".toml" or path.is_dir()]
        raise ConfigError(_not_there("group file", Path(path), beside, names))
    return file


def _folders(beside: str | None) -> list[Path]:
    folders = [Path.cwd()] if beside is None else [Path(beside).parent, Path.cwd()]
    return list(dict.fromkeys(folders))


def _around(beside: str | None) -> list[Path]:
    return [path for folder in _folders(beside) for path in folder.glob("*")]


def _not_there(what: str, path: Path, beside: str | None, names: list[str]) -> str:
    places = [] if path.is_absolute() else [str(folder) for folder in _folders(beside)]
    near = get_close_matches(path.name, names, n=1)
    return (
        f"there is no {what} {str(path)!r}"
        + (f" in {' or '.join(places)}" if places else "")
        + (f"; did you mean {near[0]!r}?" if near else "")
    )
