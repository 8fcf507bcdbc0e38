# SPDX-License-Identifier: Apache-2.0
"""
Turn the checked tables of a group file into a `Group`.

Here is what keys mean together: names are unique, paths exist, secrets are declared, rows name
members of the group. Problems are noted, never raised, so that all of them are found; the group is
built only when there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import parts
from greengrass_sdk.model.definition import Group
from greengrass_sdk.model.directory import Directory
from greengrass_sdk.model.function import Function, RunAs
from greengrass_sdk.model.kinds import nearest
from greengrass_sdk.model.paths import absolute, code_path, python_command
from greengrass_sdk.model.reader import dotted
from greengrass_sdk.model.subscription import Subscription
from greengrass_sdk.model.tables import RESERVED_NAMES, TABLES

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from greengrass_sdk.model.reader import Problems, Tables

__all__ = ["Builder"]

_MEMBERS = ("functions", "devices", "clients")
_CLOUD_PATHS = ("ca_path", "certificate_path", "private_key_path")


@define
class Builder:
    """One building of one group. `base` is the folder that relative paths start from."""

    tables: Tables
    problems: Problems
    base: Path
    names: dict[str, str] = field(factory=dict)  # name -> where it was declared

    def check(self) -> None:
        """Note everything that is wrong between tables."""
        self._check_names()
        for name, keys in self.tables.named["functions"].items():
            self._check_function(name, keys)
        self._check_secrets()
        self._check_loggers()
        self._check_subscriptions()

    # --- checks

    def _check_names(self) -> None:
        core = self.tables.single["group"].get("core")
        for table in _MEMBERS:
            for name in self.tables.named[table]:
                path = (table, name)
                if name in RESERVED_NAMES:
                    self.problems.add(
                        path, f"the name {name!r} is reserved for rows; choose another"
                    )
                elif name in self.names:
                    self.problems.add(
                        path,
                        f"the name {name!r} is taken by {self.names[name]}; names are unique over "
                        "functions, devices and clients",
                    )
                elif table == "devices" and name == core:
                    self.problems.add(
                        path, f"{name!r} is the core itself; a device is another thing"
                    )
                self.names.setdefault(name, dotted(path))

    def _check_function(self, name: str, keys: dict[str, Any]) -> None:
        """Replace the paths of a function by absolute ones, and its secrets by their names."""
        for key, resolve in (("code", code_path), ("python", python_command)):
            text = keys.get(key)
            if text is not None:
                try:
                    keys[key] = resolve(self.base, text)
                except InvalidInputError as error:
                    self.problems.add(("functions", name, key), str(error))
        declared = self.tables.named["secrets"]
        by_arn = {
            secret["arn"]: secret_name
            for secret_name, secret in declared.items()
            if secret.get("arn")
        }
        resolved = []
        for position, text in enumerate(keys.get("secrets", ())):
            secret = by_arn.get(text, text)
            path = ("functions", name, "secrets", position)
            if secret not in declared:
                best = nearest(text, [*declared, *by_arn])
                hint = f"did you mean {best!r}?" if best else f"declare it: [secrets.{text}]"
                self.problems.add(path, f"there is no secret {text!r}; {hint}")
            elif secret in resolved:
                self.problems.add(path, f"the secret {secret!r} stands there twice")
            resolved.append(secret)
        keys["secrets"] = resolved

    def _check_secrets(self) -> None:
        # Guide: "a secret may be referenced only once per group".
        owners: dict[str, str] = {}
        for name, keys in self.tables.named["secrets"].items():
            arn = keys.get("arn")
            if arn is None:
                continue
            if arn in owners:
                self.problems.add(
                    ("secrets", name, "arn"),
                    f"is the ARN of [secrets.{owners[arn]}]; a secret stands once in a group",
                )
            owners.setdefault(arn, name)

    def _check_loggers(self) -> None:
        seen: set[str] = set()
        for index, keys in enumerate(self.tables.repeated["loggers"]):
            component = keys.get("component")
            if component in seen:
                self.problems.add(
                    ("loggers", index, "component"), f"there is a logger for {component!r} already"
                )
            if component is not None:
                seen.add(component)

    def _check_subscriptions(self) -> None:
        """Replace sources and targets by addresses, and give rows without an id one."""
        directory = self._directory()
        rows = self.tables.repeated["subscriptions"]
        taken: dict[str, int] = {}
        for index, keys in enumerate(rows):
            identifier = keys.get("id")
            if identifier is not None and identifier in taken:
                self.problems.add(
                    ("subscriptions", index, "id"),
                    f"the id {identifier!r} is taken by subscriptions[{taken[identifier]}]",
                )
            elif identifier is not None:
                taken[identifier] = index
            for key in ("source", "target"):
                text = keys.get(key)
                if text is None or (text.startswith("arn:") and not self._has_identity()):
                    continue
                try:
                    keys[key] = directory.address(text)
                except InvalidInputError as error:
                    self.problems.add(("subscriptions", index, key), str(error))
        for index, keys in enumerate(rows):
            if keys.get("id") is None:
                keys["id"] = _free_id(index + 1, taken)
                taken[keys["id"]] = index

    def _has_identity(self) -> bool:
        """Whether region and account are right, without which no ARN can be compared."""
        return {"region", "account"} <= set(self.tables.single["group"])

    def _directory(self) -> Directory:
        named, group = self.tables.named, self.tables.single["group"]
        return Directory.of(
            group.get("region", ""),
            group.get("account", ""),
            functions={name: keys.get("version", "") for name, keys in named["functions"].items()},
            devices=named["devices"],
            clients=named["clients"],
        )

    # --- the result

    def build(self, file: Path | None) -> Group:
        """Return the group. Only after `check` has found no problem."""
        single, named, repeated = self.tables.single, self.tables.named, self.tables.repeated
        return Group(
            **single["group"],
            limits=parts.Limits(**single["limits"]),
            functions={
                name: self._function(name, keys) for name, keys in named["functions"].items()
            },
            devices={
                name: parts.Device(name=name, **keys) for name, keys in named["devices"].items()
            },
            clients={name: parts.LocalClient(name=name) for name in named["clients"]},
            secrets={
                name: parts.Secret(name=name, **keys) for name, keys in named["secrets"].items()
            },
            shadows=parts.Shadows(**single["shadows"]),
            streams=self._streams(single["streams"]),
            loggers=[parts.Logger(**keys) for keys in repeated["loggers"]],
            subscriptions=[
                Subscription(**keys, line=self.problems.line(("subscriptions", index)))
                for index, keys in enumerate(repeated["subscriptions"])
            ],
            cloud=self._cloud(single["cloud"]),
            path=file,
            lines=self._table_lines(),
        )

    def _function(self, name: str, keys: dict[str, Any]) -> Function:
        run_as = keys["run_as"]
        return Function(
            **{**keys, "run_as": None if run_as is None else RunAs(**run_as)},
            name=name,
            line=self.problems.line(("functions", name)),
        )

    def _cloud(self, keys: dict[str, Any]) -> parts.CloudSettings | None:
        if "url" not in keys:
            return None
        paths = {key: self._path(keys[key]) for key in _CLOUD_PATHS}
        return parts.CloudSettings(**{**keys, **paths})

    def _streams(self, keys: dict[str, Any]) -> parts.Streams:
        folders = [absolute(self.base, text) for text in keys["read_only_dirs"]]
        store = self._path(keys["store_dir"])
        return parts.Streams(**{**keys, "store_dir": store, "read_only_dirs": folders})

    def _path(self, text: str | None) -> Path | None:
        return None if text is None else absolute(self.base, text)

    def _table_lines(self) -> dict[str, int]:
        """Return where tables start, for the messages of `lint`."""
        depth = {"single": 1, "named": 2, "repeated": 2}
        forms = {table.name: depth[table.form] for table in TABLES}
        return {
            dotted(path): line
            for path, line in self.problems.lines.items()
            if len(path) <= forms.get(str(path[0]), 0)
        }


def _free_id(number: int, taken: Container[str]) -> str:
    """Return `subscription-N`, or the next one that no row has taken by its own choice."""
    while f"subscription-{number}" in taken:
        number += 1
    return f"subscription-{number}"
