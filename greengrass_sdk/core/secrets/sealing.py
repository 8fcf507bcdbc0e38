# SPDX-License-Identifier: Apache-2.0
"""
A value under a data key: AES-256-GCM, bound to the name and the version that it belongs to.

What was sealed as one version of one secret cannot be opened as another: name, version and kind
are associated data, so that a row that was swapped in the database is noticed.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from greengrass_sdk.core.secrets.keys import WrongKeyError, cryptography

if TYPE_CHECKING:
    from greengrass_sdk.core.secrets.store import Version

__all__ = ["KEY_BYTES", "DataKey"]

KEY_BYTES = 32
_NONCE_BYTES = 12
_DOMAIN = b"greengrass secret 1"
_VERSIONS = 1024  # whose associated data is kept


class DataKey:
    """A key for values; it lives in memory only, on disk it is wrapped."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = cryptography().AESGCM(key)

    def seal(self, version: Version, value: bytes) -> bytes:
        """Return `value` encrypted for one version of one secret."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, _associated(version))

    def open(self, version: Version, sealed: bytes) -> bytes:
        """
        Return the value that was sealed.

        Raises:
            WrongKeyError: It was damaged, or sealed under another key or for another version.
        """
        try:
            nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, text, _associated(version))
        except (cryptography().InvalidTag, ValueError):
            raise WrongKeyError(
                f"version {version.id!r} of secret {version.secret!r} is damaged"
            ) from None


@lru_cache(_VERSIONS)
def _associated(version: Version) -> bytes:
    parts = (
        _DOMAIN,
        version.secret.encode(),
        version.id.encode(),
        b"b" if version.binary else b"t",
    )
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)
