# SPDX-License-Identifier: Apache-2.0
"""The log handler of the oldest versions."""

from __future__ import annotations

import logging
import os

from greengrass_common.local_cloudwatch_handler import LocalCloudwatchLogHandler


def test_a_record_says_its_level_and_place(monkeypatch):
    written: list[bytes] = []

    def write(_descriptor, data):
        written.append(data)
        return len(data)

    monkeypatch.setattr(os, "write", write)
    handler = LocalCloudwatchLogHandler("GreengrassSystem", "python_runtime")
    place = (__file__, 7, "hello", None, None)
    handler.handle(logging.LogRecord("name", logging.INFO, *place))
    handler.write("printed\n")
    handler.write("\n")
    first, second = written
    assert first.startswith(b"[INFO]-test_local_cloudwatch_handler.py:")
    assert first.endswith(b",hello\n")
    assert second.endswith(b",printed\n")
    assert ("GreengrassSystem", "python_runtime") == (
        handler.component_type,
        handler.component_name,
    )
