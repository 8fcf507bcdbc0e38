# SPDX-License-Identifier: Apache-2.0
"""
A group as a value: one core, its functions, devices, local clients, and the rows between them.

It turns names into addresses and back, which is all that most readers of a group need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs
from attrs import field, frozen

from greengrass_sdk.errors import FunctionNotFoundError, InvalidInputError
from greengrass_sdk.model import arn as arns
from greengrass_sdk.model.directory import Directory
from greengrass_sdk.model.function import Function, checked
from greengrass_sdk.model.parts import (
    CloudSettings,
    Device,
    Limits,
    LocalClient,
    Logger,
    Secret,
    Shadows,
    Streams,
)
from greengrass_sdk.model.tables import RESERVED_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from greengrass_sdk.model.subscription import Subscription

__all__ = [
    "Group",
]

_Member = TypeVar("_Member", Function, Device, LocalClient)


@frozen(kw_only=True)
class Group:
    """
    A whole group definition.

    The dictionaries are keyed by name, and the names are unique over functions, devices and
    clients. Their ARNs follow from `region` and `account`, so `attrs.evolve` keeps them true; the
    addresses in `subscriptions` do not follow, use `core.config.merge` for that.

    Attributes:
        path: The file it was read from, or None.
        warnings: What `lint_group` had to say when it was read.
        lines: Where tables start in the file, by name (`cloud`, `functions.echo`).
    """

    name: str = field(validator=checked("group"))
    core: str = field(validator=checked("group"))
    region: str = field(default="us-east-1", validator=checked("group"))
    account: str = field(default="000000000000", validator=checked("group"))
    strict: bool = field(default=False, validator=checked("group"))
    limits: Limits = field(factory=Limits)
    functions: dict[str, Function] = field(factory=dict)
    devices: dict[str, Device] = field(factory=dict)
    clients: dict[str, LocalClient] = field(factory=dict)
    secrets: dict[str, Secret] = field(factory=dict)
    shadows: Shadows = field(factory=Shadows)
    streams: Streams = field(factory=Streams)
    loggers: list[Logger] = field(factory=list)
    subscriptions: list[Subscription] = field(factory=list)
    cloud: CloudSettings | None = None
    path: Path | None = None
    warnings: list[str] = field(factory=list, eq=False)
    lines: dict[str, int] = field(factory=dict, eq=False, repr=False)
    directory: Directory = field(init=False, eq=False, repr=False)

    @directory.default
    def _directory(self) -> Directory:
        return Directory.of(
            self.region,
            self.account,
            functions={name: function.version for name, function in self.functions.items()},
            devices=self.devices,
            clients=self.clients,
        )

    def __attrs_post_init__(self) -> None:
        names = [*self.functions, *self.devices, *self.clients, *RESERVED_NAMES]
        if len(set(names)) != len(names):
            raise InvalidInputError(
                "names of functions, devices and clients must differ from each other and from "
                + " and ".join(RESERVED_NAMES)
            )
        for members in ("functions", "devices", "clients"):
            with_arns = {
                name: _addressed(member, name, self.directory.addresses[name])
                for name, member in getattr(self, members).items()
            }
            object.__setattr__(self, members, with_arns)

    @property
    def core_thing_arn(self) -> str:
        """The ARN of the core's thing."""
        return arns.thing_arn(self.region, self.account, self.core)

    @property
    def root_functions(self) -> list[Function]:
        """The functions with user or group id 0; only `allowFunctionsToRunAsRoot` admits them."""
        return [
            function
            for function in self.functions.values()
            if function.run_as is not None and function.run_as.is_root
        ]

    def root_refusal(self) -> str | None:
        """
        Return V1's text for functions that may not run as root, or None if there are none.

        Ref: Greengrass V1 guide, "Running a Lambda function as root"
        """
        found = " ".join(function.arn for function in self.root_functions)
        if not found:
            return None
        return (
            f"lambda(s) [{found}] are configured to run as root while Greengrass is not configured "
            "to run lambdas with root permissions"
        )

    def address(self, name_or_arn: str) -> str:
        """
        Return the address that a name or a full ARN stands for.

        An ARN must be one of this group's: of its region and account, and for a function of its
        version or unqualified. `GGShadowService` is known under its ARN too.

        Raises:
            InvalidInputError: Nothing in the group has that name or ARN; the message says what is
                nearest.
        """
        return self.directory.address(name_or_arn)

    def name_of(self, address: str) -> str:
        """Return the name of an address, for people. Unknown addresses are shortened."""
        return self.directory.name_of(address)

    def function(self, name_or_arn: str, qualifier: str | None = None) -> Function:
        """
        Return the function that a caller means.

        A name and an unqualified ARN mean the version that the group has; a qualifier, in the ARN
        or beside it, must be that version.

        Raises:
            FunctionNotFoundError: There is no such function, or not in that version.
        """
        name, version = name_or_arn, qualifier
        if name_or_arn.startswith("arn:"):
            try:
                parsed = arns.parse_lambda_arn(name_or_arn)
            except InvalidInputError as error:
                raise FunctionNotFoundError(str(error), function=name_or_arn) from error
            name, version = parsed.name, parsed.qualifier or qualifier
            if qualifier is not None and version != qualifier:
                raise FunctionNotFoundError(
                    f"{name_or_arn!r} names another version than the qualifier {qualifier!r}",
                    function=name_or_arn,
                )
            if (parsed.region, parsed.account) != (self.region, self.account):
                name = ""
        found = self.functions.get(name)
        if found is None:
            known = ", ".join(self.functions) or "none"
            raise FunctionNotFoundError(
                f"function {name_or_arn!r} is not in group {self.name!r}; its functions: {known}",
                function=name_or_arn,
            )
        if version not in (None, found.version):
            raise FunctionNotFoundError(
                f"function {name!r} has version {found.version!r} in group {self.name!r}, "
                f"not {version!r}",
                function=name_or_arn,
            )
        return found

    def logger(self, component: str) -> Logger:
        """Return the logger of `GreengrassSystem` or `Lambda`, the defaults if there is none."""
        for logger in self.loggers:
            if logger.component == component:
                return logger
        return Logger(component=component)


def _addressed(member: _Member, name: str, arn: str) -> _Member:
    if (member.name, member.arn) == (name, arn):
        return member
    return attrs.evolve(member, name=name, arn=arn)
