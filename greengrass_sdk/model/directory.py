# SPDX-License-Identifier: Apache-2.0
"""
Who is in a group, by name and by address.

`Group` asks it in both directions; the reader of the group file asks it before there is a group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import arn as arns
from greengrass_sdk.model.kinds import nearest
from greengrass_sdk.model.tables import RESERVED_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Directory"]

_SHADOW_ARNS = (arns.SHADOW_ARN, f"{arns.SHADOW_ARN}:1")  # V1's definitions write both


@frozen
class Directory:
    """Names and addresses of the members of one group; the reserved words stand for themselves."""

    addresses: dict[str, str]
    unqualified: dict[str, str]  # unqualified function ARN -> address
    names: dict[str, str] = field(init=False)

    @names.default
    def _names(self) -> dict[str, str]:
        return {address: name for name, address in self.addresses.items()}

    @classmethod
    def of(
        cls,
        region: str,
        account: str,
        *,
        functions: Mapping[str, str],
        devices: Iterable[str],
        clients: Iterable[str],
    ) -> Directory:
        """Return the directory of functions (name to version), devices and clients."""
        addresses = {name: arns.client_arn(region, account, name) for name in clients}
        addresses |= {name: arns.thing_arn(region, account, name) for name in devices}
        addresses |= {
            name: arns.function_arn(region, account, name, version)
            for name, version in functions.items()
        }
        return cls(
            addresses,
            {addresses[name].rpartition(":")[0]: addresses[name] for name in functions},
        )

    def address(self, name_or_arn: str) -> str:
        """
        Return the address that a name or a full ARN stands for.

        Raises:
            InvalidInputError: Nothing has that name or ARN; the message says what is nearest.
        """
        if name_or_arn in RESERVED_NAMES or name_or_arn in self.names:
            return name_or_arn
        if name_or_arn in _SHADOW_ARNS:
            return arns.SHADOW_SERVICE
        found = self.addresses.get(name_or_arn) or self.unqualified.get(name_or_arn)
        if found is None:
            raise InvalidInputError(self._unknown(name_or_arn))
        return found

    def name_of(self, address: str) -> str:
        """Return the name of an address, for people. Unknown addresses are shortened."""
        return self.names.get(address) or arns.short_name(address)

    def _unknown(self, text: str) -> str:
        if "/connectors/" in text:
            return f"connectors are not supported yet: {text!r}"
        known = [*self.addresses, *RESERVED_NAMES]
        name = arns.short_name(text)
        if name != text and name in self.addresses:
            return (
                f"the group has no {text!r}, its {name!r} is {self.addresses[name]!r}; write the "
                "name, or give region, account and version the values of the ARN"
            )
        best = nearest(name, known)
        hint = f"did you mean {best!r}?" if best else f"it has: {', '.join(known)}"
        return f"the group has no function, device or client {text!r}; {hint}"
