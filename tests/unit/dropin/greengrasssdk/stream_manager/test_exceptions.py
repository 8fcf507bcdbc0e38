# SPDX-License-Identifier: Apache-2.0
"""Exceptions tell what happened, also to code that knows only their base."""

from __future__ import annotations

import pytest

from greengrasssdk.stream_manager import exceptions


@pytest.mark.parametrize("name", exceptions.__all__)
def test_an_exception_carries_message_status_and_request(name):
    error = getattr(exceptions, name)("text", "status", "r")
    assert isinstance(error, exceptions.StreamManagerException)
    assert ("text", "status", "r", "text") == (
        error.message,
        error.status,
        error.request_id,
        str(error),
    )
    bare = getattr(exceptions, name)()
    assert ("", None, None) == (bare.message, bare.status, bare.request_id)
