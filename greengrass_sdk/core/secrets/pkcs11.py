# SPDX-License-Identifier: Apache-2.0
"""
The core's key in a hardware security module, reached by PKCS#11.

The private key never leaves the module, which decrypts; encrypting takes the public key alone and
is done here. The padding is PKCS#1 v1.5, as V1 has it for keys in hardware.

Ref: Greengrass V1 guide, "Hardware security integration"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from attrs import field, frozen

from greengrass_sdk.core.secrets.keys import (
    RSA_BITS,
    WrongKeyError,
    cryptography,
    rsa_identity,
)
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

    from greengrass_sdk.model.coreconfig import Pkcs11

__all__ = ["HardwareKey", "read_uri"]


@frozen
class HardwareKey:
    """An RSA key in a module; a session with the module stays open."""

    uri: str
    modulus: int = field(repr=False)
    exponent: int = field(repr=False)
    _key: Any = field(repr=False)
    _session: Any = field(repr=False)

    @classmethod
    def load(cls, uri: str, settings: Pkcs11) -> HardwareKey:
        """
        Find the key that an RFC 7512 URI names.

        Raises:
            ConfigError: The provider, the slot, the PIN or the key is not as `config.json` says.
        """
        pkcs11 = _package()
        label, identifier = read_uri(uri)
        try:
            token = pkcs11.lib(settings.provider).get_token(token_label=settings.slot_label)
            session = token.open(user_pin=settings.slot_user_pin)
            key = session.get_key(
                object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label, id=identifier
            )
            if key.key_type != pkcs11.KeyType.RSA:
                raise ConfigError(f"{uri} is no RSA key; secrets need one")
            modulus = int.from_bytes(key[pkcs11.Attribute.MODULUS], "big")
            exponent = int.from_bytes(key[pkcs11.Attribute.PUBLIC_EXPONENT], "big")
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            raise _failed(uri, settings, error) from error
        if modulus.bit_length() < RSA_BITS:
            raise ConfigError(
                f"{uri} is an RSA key of {modulus.bit_length()} bits; secrets need at least"
                f" {RSA_BITS}"
            )
        return cls(uri, modulus, exponent, key, session)

    @property
    def identity(self) -> str:
        """A digest of the public key."""
        return rsa_identity("pkcs1", self.modulus, self.exponent)

    @property
    def place(self) -> str:
        """The URI."""
        return self.uri

    def wrap(self, key: bytes) -> bytes:
        """Encrypt a data key with the public key."""
        tools = cryptography()
        public = tools.rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()
        return bytes(public.encrypt(key, tools.padding.PKCS1v15()))

    def unwrap(self, wrapped: bytes) -> bytes:
        """Have the module decrypt a data key."""
        pkcs11 = _package()
        try:
            return bytes(self._key.decrypt(wrapped, mechanism=pkcs11.Mechanism.RSA_PKCS))
        except pkcs11.PKCS11Error as error:
            raise WrongKeyError(
                f"the data key does not open with {self.place}: {_described(error)}"
            ) from None

    def close(self) -> None:
        """End the session; afterwards nothing is unwrapped."""
        self._session.close()


def read_uri(uri: str) -> tuple[str | None, bytes | None]:
    """
    Return label and id of the key that a `pkcs11:` URI names.

    Raises:
        ConfigError: It names none, or no private key.
    """
    parts = dict(
        part.partition("=")[::2] for part in uri.removeprefix("pkcs11:").split("?")[0].split(";")
    )
    if parts.get("type", "private") != "private" or not ({"object", "id"} & parts.keys()):
        raise ConfigError(f"{uri!r} names no private key; use pkcs11:object=LABEL;type=private")
    label = unquote(parts["object"]) if "object" in parts else None
    identifier = unquote(parts["id"], "latin-1").encode("latin-1") if "id" in parts else None
    return label, identifier


def _package() -> ModuleType:
    try:
        import pkcs11
    except ImportError as error:
        raise ConfigError(
            f"keys in hardware modules need the package python-pkcs11 ({error}); install it with:"
            " pip install 'greengrass-core[hsm]'"
        ) from error
    return pkcs11


def _failed(uri: str, settings: Pkcs11, error: Exception) -> ConfigError:
    """Return the error for a module that does not give the key; the PIN is not in it."""
    return ConfigError(
        f"cannot use the key {uri} in the slot {settings.slot_label!r} of {settings.provider}:"
        f" {_described(error)}; see crypto.PKCS11 in config.json"
    )


def _described(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
