# SPDX-License-Identifier: Apache-2.0
"""
Which keys of the core there are: the one for what is written now, and those for what was.

`crypto.principals.SecretsManager` of `config.json` names the key, else that of the core's own
certificate is taken if it is RSA, as V1 did, else a file that is made at the first start. The file
stays in use for what it wrapped when a key is configured later.

Ref: Greengrass V1 guide, "Secrets encryption"; "Security principals"
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from attrs import frozen

from greengrass_sdk.core.secrets.keys import KeyFile, RsaKey
from greengrass_sdk.core.secrets.pkcs11 import HardwareKey
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from greengrass_sdk.core.secrets.keys import WrappingKey
    from greengrass_sdk.model.coreconfig import CoreConfig, Crypto, Principal

__all__ = ["Keyring"]

log = logging.getLogger(__name__)


@frozen
class Keyring:
    """
    The keys of a core.

    Attributes:
        configured: The key that `config.json` says.
        file: Where the key file is, if there is one.
    """

    configured: WrappingKey | None
    file: Path

    @classmethod
    def of(cls, config: CoreConfig | None, file: Path) -> Keyring:
        """
        Return the keys that a configuration and a key file give; nothing is made.

        Raises:
            ConfigError: The key that is named for secrets cannot be used.
        """
        return cls(None if config is None else _configured(config), file)

    def preferred(self) -> WrappingKey:
        """
        Return the key for what is wrapped now; the key file is made if need be.

        Raises:
            ConfigError: The key file cannot be used.
        """
        return self.configured or KeyFile.load(self.file) or KeyFile.make(self.file)

    def find(self, identity: str) -> WrappingKey | None:
        """
        Return the key of this identity; None if it is none of ours.

        Raises:
            ConfigError: The key file cannot be used.
        """
        if self.configured is not None and self.configured.identity == identity:
            return self.configured
        kept = KeyFile.load(self.file)
        return kept if kept is not None and kept.identity == identity else None

    def close(self) -> None:
        """End the session with a hardware module, if there is one."""
        if isinstance(self.configured, HardwareKey):
            self.configured.close()


def _configured(config: CoreConfig) -> WrappingKey | None:
    crypto = config.crypto
    if crypto is not None and crypto.secrets_manager is not None:
        return _of_principal(crypto.secrets_manager, crypto)
    try:
        if crypto is not None:
            return _of_principal(crypto.iot_certificate, crypto)
        thing = config.core_thing
        if thing is not None and thing.private_key_path is not None:
            return RsaKey.load(thing.private_key_path)
    except ConfigError as error:
        log.info("the secrets have a key of their own: that of the core cannot wrap (%s)", error)
    return None


def _of_principal(principal: Principal, crypto: Crypto) -> WrappingKey:
    if principal.private_key_path is not None:
        return RsaKey.load(principal.private_key_path)
    if crypto.pkcs11 is None:
        raise ConfigError(f"{principal.private_key_uri} needs crypto.PKCS11 in config.json")
    return HardwareKey.load(principal.private_key_uri, crypto.pkcs11)
