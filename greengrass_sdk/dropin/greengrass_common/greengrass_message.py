# SPDX-License-Identifier: Apache-2.0
"""The envelope of messages between SDK and core before there was HTTP; nothing here uses it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

__all__ = ["GreengrassMessage"]


class GreengrassMessage:
    """A payload and a dict of what goes with it."""

    def __init__(self, payload: bytes = b"", **extension_map: Any) -> None:
        self.payload = payload
        self.extension_map = extension_map

    def encode(self) -> str:
        """
        Return both as JSON, the payload in base64.

        Raises:
            ValueError: They cannot be written so.
        """
        import base64
        import json

        try:
            payload = base64.b64encode(self.payload).decode("ascii")
            return json.dumps({"Payload": payload, "ExtensionMap_": self.extension_map})
        except TypeError as error:
            raise ValueError(f"the message cannot be encoded: {error}") from error

    @classmethod
    def decode(cls, encoded_string: str | bytes | None) -> Self | None:
        """
        Return the message in what `encode` returned; None for nothing.

        Raises:
            ValueError: It is none.
        """
        import base64
        import json

        if not encoded_string:
            return None
        try:
            document = json.loads(encoded_string)
            payload = base64.b64decode(document["Payload"])
            return cls(payload, **document["ExtensionMap_"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"the message cannot be decoded: {error}") from error
