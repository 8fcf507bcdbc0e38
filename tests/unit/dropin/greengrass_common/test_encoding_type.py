# SPDX-License-Identifier: Apache-2.0
"""The values of ENCODING_TYPE."""

from __future__ import annotations

from greengrass_common import encoding_type


def test_a_function_is_json_or_binary():
    assert ("json", "binary") == (encoding_type.JSON, encoding_type.BINARY)
