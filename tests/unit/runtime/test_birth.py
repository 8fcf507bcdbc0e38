# SPDX-License-Identifier: Apache-2.0
"""What of a birth can be seen without giving it; the rest is in test_worker.py, in real workers."""

from __future__ import annotations

import os
import time

import pytest

from greengrass_sdk.runtime import birth


def message(**changes):
    return {"sys_path": [], "code": "/code", "environment": {}, **changes}


@pytest.mark.parametrize(
    ("sys_path", "expected"),
    [
        (["/dropin"], ["/dropin", "/code", "/lib", "/site"]),
        (["/dropin", "/code"], ["/dropin", "/code", "/lib", "/site"]),
        (["/code", "/dropin"], ["/code", "/dropin", "/lib", "/site"]),
        (["/site"], ["/site", "/code", "/lib"]),
    ],
)
def test_the_code_comes_where_the_request_puts_it_and_before_the_interpreter(sys_path, expected):
    assert expected == birth.import_path(message(sys_path=sys_path), ["/lib", "/site"])


def test_the_functions_pythonpath_comes_behind_its_code():
    environment = {"PYTHONPATH": f"/one{os.pathsep}{os.pathsep}/code{os.pathsep}/two"}
    path = birth.import_path(message(environment=environment), ["/lib"])
    assert path == ["/code", "/one", "/two", "/lib"]


def test_an_environment_replaces_the_whole_one():
    before = dict(os.environ)
    birth.take_environment({"TZ": "XYZ-3", "A": "b"})
    try:
        assert dict(os.environ) == {"TZ": "XYZ-3", "A": "b"}
        assert time.localtime(0).tm_hour == 3
    finally:
        birth.take_environment(before)
