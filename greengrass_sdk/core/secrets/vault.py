# SPDX-License-Identifier: Apache-2.0
"""
The vault: sealed secrets, and the key that opens them.

Core and commands open the same file. What one writes the other sees at its next read, because
reading looks first whether the file has changed. A data key lives for one deployment: the core
makes a new one when its group has changed, `rotate` does at any time, and everything is sealed anew
in one transaction. Plaintext is in memory only while it is sealed or asked for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from greengrass_sdk.core.secrets.database import Contents, Database, Sealed, WrappedKey
from greengrass_sdk.core.secrets.keyring import Keyring
from greengrass_sdk.core.secrets.keys import WrongKeyError
from greengrass_sdk.core.secrets.sealing import KEY_BYTES, DataKey
from greengrass_sdk.core.secrets.store import check_value, staged
from greengrass_sdk.errors import ConfigError, SecretNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from greengrass_sdk.core.secrets.store import Version
    from greengrass_sdk.model.coreconfig import CoreConfig

__all__ = ["Vault"]


@define(eq=False)
class Vault:
    """
    The secrets under one root.

    Raises:
        OSError: From every method: the file cannot be read or written, or its key has become
            another one that is not ours.
    """

    _database: Database
    _keyring: Keyring
    _contents: Contents
    _key: DataKey = field(repr=False)

    @classmethod
    def open(
        cls, path: Path, key_file: Path, config: CoreConfig | None, *, deployment: str, now_ms: int
    ) -> Vault:
        """
        Open the vault, or make it, and see whether all of it can be read.

        Args:
            path: Of the database.
            key_file: Of the key for where `config` names none.
            deployment: A digest of the group; with another one than before there is a new data
                key. Empty: whatever group there is.

        Raises:
            ConfigError: The file is damaged, or its key is not here. It is left as it is.
        """
        keyring = Keyring.of(config, key_file)
        database = Database.open(path)
        try:
            contents = database.load()
            if contents.key is None:
                contents = database.change(
                    lambda found: _begun(found, keyring, deployment or "none", now_ms)
                )
            key = _check(database, keyring, contents)
            vault = cls(database, keyring, contents, key)
            vault._deploy(deployment, now_ms)
        except BaseException as error:
            database.close()
            if isinstance(error, OSError):
                raise database.unusable(str(error)) from error
            raise
        return vault

    def close(self) -> None:
        """Close the file, and let go of the key."""
        self._database.close()
        self._keyring.close()

    # As a store, for the service.

    def versions(self, secret: str) -> Sequence[Version]:
        """Return the versions of a secret."""
        return self._current().versions(secret)

    def reveal(self, version: Version) -> bytes:
        """Return the value of a version."""
        sealed = self._contents.sealed(version)
        if sealed is None:
            raise OSError(f"version {version.id!r} of secret {version.secret!r} is gone")
        try:
            return self._key.open(version, sealed)
        except WrongKeyError as error:
            raise OSError(str(error)) from error

    # As a safe, for commands.

    def put(self, version: Version, value: bytes) -> None:
        """
        Add a version; labels that it has leave other versions.

        Raises:
            InvalidInputError: The value is empty, or no text.
            LimitExceededError: It is too large.
        """
        check_value(value, binary=version.binary)

        def add(found: Contents) -> Contents:
            key = self._key_of(found)
            sealed = {each.version.id: each.sealed for each in found.of(version.secret)}
            sealed[version.id] = key.seal(version, value)
            others = [each.version for each in found.of(version.secret)]
            versions = [Sealed(each, sealed[each.id]) for each in staged(others, version)]
            return evolve(found, secrets=(*found.without(version.secret), *versions))

        self._change(add)

    def delete(self, secret: str) -> None:
        """
        Forget a secret, with all its versions.

        Raises:
            SecretNotFoundError: There is none.
        """

        def remove(found: Contents) -> Contents:
            if not found.of(secret):
                raise SecretNotFoundError(f"there is no secret {secret!r}", secret=secret)
            return evolve(found, secrets=found.without(secret))

        self._change(remove)

    def rotate(self, now_ms: int, deployment: str | None = None) -> None:
        """Make a new data key, wrapped by the preferred key, and seal everything with it."""

        def renew(found: Contents) -> Contents:
            old = self._key_of(found)
            group = deployment or ("none" if found.key is None else found.key.deployment)
            begun = _begun(Contents(), self._keyring, group, now_ms)
            new = self._key_of(begun)
            secrets = tuple(
                Sealed(each.version, new.seal(each.version, old.open(each.version, each.sealed)))
                for each in found.secrets
            )
            return evolve(begun, secrets=secrets)

        self._change(renew)

    def _deploy(self, deployment: str, now_ms: int) -> None:
        """Renew the data key if the group has changed, or another key is to wrap it."""
        key = self._contents.key
        if key is None or not deployment:
            return
        if key.deployment != deployment or key.wrapper != self._keyring.preferred().identity:
            self.rotate(now_ms, deployment)

    def _change(self, change: Callable[[Contents], Contents]) -> None:
        try:
            contents = self._database.change(change)
        except WrongKeyError as error:
            raise OSError(str(error)) from error
        self._key = self._key_of(contents)
        self._contents = contents

    def _current(self) -> Contents:
        """Return the contents as they are in the file now."""
        if self._database.is_new():
            contents = self._database.load()
            try:
                self._key = self._key_of(contents)
            except (WrongKeyError, ConfigError) as error:
                raise OSError(f"{error}; start the core again") from error
            self._contents = contents
        return self._contents

    def _key_of(self, contents: Contents) -> DataKey:
        if contents.key is not None and contents.key == self._contents.key:
            return self._key
        return _unwrapped(self._keyring, contents)


def _begun(found: Contents, keyring: Keyring, deployment: str, now_ms: int) -> Contents:
    """Return contents with a data key, new unless somebody was faster."""
    if found.key is not None:
        return found
    wrapper = keyring.preferred()
    wrapped = wrapper.wrap(os.urandom(KEY_BYTES))
    key = WrappedKey(wrapped, wrapper.identity, wrapper.place, deployment, now_ms)
    return evolve(found, key=key)


def _unwrapped(keyring: Keyring, contents: Contents) -> DataKey:
    if contents.key is None:
        raise WrongKeyError("it has no data key any more")
    wrapper = keyring.find(contents.key.wrapper)
    if wrapper is None:
        raise WrongKeyError(
            f"the key that it was written with is not here ({contents.key.wrapper}, it was"
            f" {contents.key.place})"
        )
    return DataKey(wrapper.unwrap(contents.key.wrapped))


def _check(database: Database, keyring: Keyring, contents: Contents) -> DataKey:
    """Return the data key, after having opened everything once."""
    try:
        key = _unwrapped(keyring, contents)
        for each in contents.secrets:
            key.open(each.version, each.sealed)
    except WrongKeyError as error:
        raise database.unusable(str(error)) from error
    return key
