# SPDX-License-Identifier: Apache-2.0
"""
The core's key, which wraps data keys: in a file of its own, or an RSA key of `config.json`.

A key has an identity, a digest that says nothing about it, so that a wrapped data key can say which
one it needs.

Ref: Greengrass V1 guide, "Secrets encryption", "Security principals": RSA of at least 2048 bits
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "RSA_BITS",
    "KeyFile",
    "RsaKey",
    "WrappingKey",
    "WrongKeyError",
    "cryptography",
    "rsa_identity",
]

RSA_BITS = 2048
_FILE_BYTES = 32
_NONCE_BYTES = 12
_PURPOSE = b"greengrass data key 1"
_MODE = 0o600


class WrongKeyError(Exception):
    """Raised when something does not open; the text says what."""


class WrappingKey(Protocol):
    """A key that wraps data keys."""

    @property
    def identity(self) -> str:
        """What wrapped keys are labelled with."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""

    def wrap(self, key: bytes) -> bytes:
        """Return a data key, encrypted."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the data key; WrongKeyError if it does not open."""


class _Cryptography:
    """What is used of the package `cryptography`, imported once."""

    def __init__(self) -> None:
        from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.InvalidTag = InvalidTag
        self.UnsupportedAlgorithm = UnsupportedAlgorithm
        self.AESGCM = AESGCM
        self.hashes = hashes
        self.padding = padding
        self.rsa = rsa
        self.serialization = serialization


_loaded: list[_Cryptography] = []


def cryptography() -> _Cryptography:
    """
    Return the package that encrypts.

    Raises:
        ConfigError: It is not installed.
    """
    if not _loaded:
        try:
            _loaded.append(_Cryptography())
        except ImportError as error:
            raise ConfigError(
                f"secrets need the package cryptography ({error}); install it with:"
                " pip install 'greengrass-core[secrets]'"
            ) from error
    return _loaded[0]


@frozen
class KeyFile:
    """A random key of 256 bits in a file that only its owner reads."""

    path: Path
    _key: bytes = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> KeyFile | None:
        """
        Read the file; None if there is none.

        Raises:
            ConfigError: Others may read it, or it holds no key.
        """
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                key = file.read(_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"the key of the secrets, {path}, cannot be read: {error.strerror}; run this as the"
                " owner of the root"
            ) from error
        if mode & 0o077:
            raise ConfigError(
                f"the key of the secrets, {path}, is open to others (mode {mode:03o}); look who"
                f" read it, then chmod 600 {path}"
            )
        if len(key) != _FILE_BYTES:
            raise ConfigError(
                f"the key of the secrets, {path}, is damaged: it must have {_FILE_BYTES} bytes;"
                " restore it from a backup"
            )
        return cls(path, key)

    @classmethod
    def make(cls, path: Path) -> KeyFile:
        """
        Make the file; it is on disk when this returns, whole.

        Raises:
            ConfigError: It cannot be written, or is there.
        """
        cryptography()
        key = os.urandom(_FILE_BYTES)
        new = path.with_name(f"{path.name}.new")
        try:
            new.unlink(missing_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:  # noqa: PTH123 - of a descriptor
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
            _name(new, path)
            _sync(path.parent)
        except FileExistsError:
            with suppress(OSError):
                new.unlink()
            made = cls.load(path)
            if made is None:
                raise ConfigError(f"the key of the secrets, {path}, came and went") from None
            return made
        except OSError as error:
            raise ConfigError(
                f"the key of the secrets, {path}, cannot be written: {error.strerror}"
            ) from error
        return cls(path, key)

    @property
    def identity(self) -> str:
        """A digest of it, which of 256 random bits gives nothing away."""
        return f"file:{_digest(self._key)}"

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def wrap(self, key: bytes) -> bytes:
        """Encrypt a data key."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + cryptography().AESGCM(self._key).encrypt(nonce, key, _PURPOSE)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Decrypt a data key."""
        tools = cryptography()
        try:
            cipher = tools.AESGCM(self._key)
            return cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _PURPOSE)
        except (tools.InvalidTag, ValueError):
            raise WrongKeyError(f"the data key does not open with {self.place}") from None


@frozen
class RsaKey:
    """An RSA key in a PEM file, PKCS#1 or PKCS#8; wraps with OAEP and SHA-256."""

    path: Path
    _key: Any = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> RsaKey:
        """
        Read the file.

        Raises:
            ConfigError: It cannot be read, or holds no RSA key of at least 2048 bits.
        """
        tools = cryptography()
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"the private key {path} cannot be read: {error.strerror}") from error
        try:
            key = tools.serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError, tools.UnsupportedAlgorithm) as error:
            raise ConfigError(
                f"{path} is no private key in PEM without a password: {error}"
            ) from error
        if not isinstance(key, tools.rsa.RSAPrivateKey):
            raise ConfigError(f"{path} is no RSA key; secrets need RSA of at least {RSA_BITS} bits")
        if key.key_size < RSA_BITS:
            raise ConfigError(
                f"{path} is an RSA key of {key.key_size} bits; secrets need at least {RSA_BITS}"
            )
        return cls(path, key)

    @property
    def identity(self) -> str:
        """A digest of the public key."""
        numbers = self._key.public_key().public_numbers()
        return rsa_identity("oaep", numbers.n, numbers.e)

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def wrap(self, key: bytes) -> bytes:
        """Encrypt a data key."""
        return bytes(self._key.public_key().encrypt(key, _oaep()))

    def unwrap(self, wrapped: bytes) -> bytes:
        """Decrypt a data key."""
        try:
            return bytes(self._key.decrypt(wrapped, _oaep()))
        except ValueError:
            raise WrongKeyError(f"the data key does not open with {self.place}") from None


def rsa_identity(padding: str, modulus: int, exponent: int) -> str:
    """Return the identity of an RSA key that is used with one kind of padding."""
    size = (modulus.bit_length() + 7) // 8
    public = modulus.to_bytes(size, "big") + exponent.to_bytes(8, "big")
    return f"rsa-{padding}:{_digest(public)}"


def _name(new: Path, path: Path) -> None:
    """Give a file its name, but not that of one that somebody made meanwhile."""
    try:
        path.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        new.rename(path)
    else:
        new.unlink()


def _digest(data: bytes) -> str:
    return hashlib.sha256(b"greengrass key identity" + data).hexdigest()[:32]


def _oaep() -> Any:
    tools = cryptography()
    sha256 = tools.hashes.SHA256()
    return tools.padding.OAEP(tools.padding.MGF1(sha256), sha256, None)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
