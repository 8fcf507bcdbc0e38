# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.testing.tracebacks: what of a traceback a user sees."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from greengrass_sdk import FunctionHandledError, InvalidInputError
from greengrass_sdk.testing import FakeCore
from greengrass_sdk.testing.tracebacks import shorten


def files(error):
    return [Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)]


def caught(call):
    with pytest.raises(Exception) as info:
        call()
    shorten(info.value)
    return info.value


def test_an_error_of_ours_ends_where_the_test_called_us():
    with FakeCore() as core:
        error = caught(lambda: core.subscribe("cloud", "a", "nobody"))
    assert isinstance(error, InvalidInputError)
    assert {"test_tracebacks.py"} == set(files(error))


def test_what_the_library_did_for_us_is_cut_too(tmp_path):
    with FakeCore() as core:
        error = caught(lambda: core.load(tmp_path))
    assert {"test_tracebacks.py"} == set(files(error))
    assert error.__cause__ is not None
    assert [] == files(error.__cause__)


def test_methods_that_attrs_writes_for_us_are_cut_too():
    with FakeCore() as core:
        error = caught(lambda: core.add_function("f", "no_module"))
    assert "handler: must be MODULE.FUNCTION" in str(error)
    assert {"test_tracebacks.py"} == set(files(error))


def test_what_the_library_did_for_a_test_stays():
    assert "decoder.py" == files(caught(lambda: json.loads("nonsense")))[-1]


def test_what_a_function_did_stays_up_to_its_call_of_ours():
    def nonsense(event, context):
        return json.loads("nonsense")

    with FakeCore() as core:
        core.add_function("f", nonsense)
        error = caught(lambda: core.invoke("f"))
    assert isinstance(error, FunctionHandledError)
    assert {"test_tracebacks.py"} == set(files(error))
    assert error.__cause__ is not None
    assert ["test_tracebacks.py", "__init__.py", "decoder.py", "decoder.py"] == files(
        error.__cause__
    )


def test_errors_in_a_circle_end():
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    shorten(first)


def test_what_is_suppressed_is_left_alone():
    with FakeCore() as core:

        def fail():
            try:
                core.subscribe("cloud", "a", "nobody")
            except InvalidInputError:
                raise ValueError("x") from None

        error = caught(fail)
    assert error.__context__ is not None
    assert 1 < len(files(error.__context__))
