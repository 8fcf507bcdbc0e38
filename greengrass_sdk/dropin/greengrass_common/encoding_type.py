# SPDX-License-Identifier: Apache-2.0
"""How the payloads of a function are encoded; the values of ENCODING_TYPE."""

from __future__ import annotations

__all__ = ["BINARY", "JSON"]

JSON = "json"
BINARY = "binary"
