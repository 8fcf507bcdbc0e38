# SPDX-License-Identifier: Apache-2.0
"""Records as JSON: bodies of messages that exports understand."""

from __future__ import annotations

from greengrasssdk.stream_manager.exceptions import ValidationException
from greengrasssdk.stream_manager.records import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Util"]


class Util:
    """AWS made these functions static methods."""

    @staticmethod
    def validate_and_serialize_to_json_bytes(data: Any) -> bytes:
        """
        Return a record as JSON, without its empty lists.

        Raises:
            ValidationException: A value breaks a rule.
        """
        import json

        if text := problem(data):
            raise ValidationException(text)
        return json.dumps(_without_empty_lists(data.as_dict())).encode()

    @staticmethod
    def deserialize_json_bytes_to_obj(bytes: Any, type: Any) -> Any:
        """Return the record of `type` that JSON stands for."""
        import json

        return type.from_dict(json.loads(bytes))


def _without_empty_lists(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_empty_lists(item) if isinstance(item, dict) else item
        for key, item in value.items()
        if item != []
    }
