# SPDX-License-Identifier: Apache-2.0
"""
Which function may read which secret, and by which names it may ask for it.

A secret has the name of its table in the group file. With an `arn` it can also be asked for by that
and by the name in it, which is the secret's own name in AWS. What a function may not read does not
exist for it: names are looked up among its own secrets only.

Ref: Greengrass V1 guide, "Deploy secrets to the AWS IoT Greengrass core", "Obtain secret values"
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from attrs import frozen

from greengrass_sdk.core.secrets.store import CURRENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from greengrass_sdk.model.group import Group, Secret

__all__ = ["Access", "Grant", "secret_arn"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SUFFIX_CHARS = 6
_SUFFIX = re.compile(rf"-[A-Za-z0-9]{{{_SUFFIX_CHARS}}}$")


@frozen(cache_hash=True)
class Grant:
    """
    A secret as its readers see it.

    Attributes:
        key: Its name in the group file, under which its values are kept.
        name: Its name in AWS; where it has no ARN there, the same as `key`.
        stages: The labels that may be asked for.
    """

    key: str
    name: str
    arn: str
    stages: tuple[str, ...]

    def hides(self, stages: Sequence[str]) -> bool:
        """Return whether a version with these labels may not be read."""
        return not any(stage in self.stages for stage in stages)

    @property
    def names(self) -> tuple[str, ...]:
        """What it can be asked for by; of two secrets, an earlier kind of name wins."""
        return self.key, self.arn, self.name


@frozen
class Access:
    """Who may read what, of one group."""

    _grants: Mapping[str, Mapping[str, Grant]]  # address -> name -> grant
    _known: Mapping[str, Grant]
    _names: Mapping[str, str]

    @classmethod
    def of(cls, group: Group) -> Access:
        """Return what a group says."""
        grants = {
            name: _grant(secret, group.region, group.account)
            for name, secret in group.secrets.items()
        }
        return cls(
            {
                function.arn: _by_name([grants[name] for name in function.secrets])
                for function in group.functions.values()
            },
            _by_name(list(grants.values())),
            {function.arn: name for name, function in group.functions.items()},
        )

    def find(self, caller: str, secret: str) -> Grant | None:
        """Return the secret that a caller, by its address, may read under this name."""
        return self._grants.get(caller, {}).get(secret)

    def name(self, caller: str) -> str:
        """Return the name of who asks, for the core's log."""
        return self._names.get(caller, caller)

    def why_not(self, caller: str, secret: str) -> str:
        """Return why `find` finds nothing, for the core's log."""
        grant = self._known.get(secret)
        function = self._names.get(caller)
        if grant is None:
            return "the group has no such secret"
        if function is None:
            return "only functions may read secrets"
        return f"[functions.{function}] does not have {grant.key!r} among its `secrets`"


def secret_arn(region: str, account: str, name: str) -> str:
    """Return the ARN of a secret that has none in AWS: always the same for the same name."""
    digest = hashlib.sha256(f"{region}:{account}:{name}".encode()).digest()
    suffix = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:_SUFFIX_CHARS])
    return f"arn:aws:secretsmanager:{region}:{account}:secret:{name}-{suffix}"


def _grant(secret: Secret, region: str, account: str) -> Grant:
    stages = tuple(dict.fromkeys((CURRENT, *secret.stages)))
    if secret.arn is None:
        return Grant(secret.name, secret.name, secret_arn(region, account, secret.name), stages)
    return Grant(secret.name, _SUFFIX.sub("", secret.arn.split(":")[6]), secret.arn, stages)


def _by_name(grants: list[Grant]) -> dict[str, Grant]:
    found: dict[str, Grant] = {}
    for kind in range(3):
        for grant in grants:
            found.setdefault(grant.names[kind], grant)
    return found
