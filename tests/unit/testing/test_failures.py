# SPDX-License-Identifier: Apache-2.0
"""What the doubles raise themselves."""

from __future__ import annotations

from greengrass_sdk import GreengrassError
from greengrass_sdk.testing import FunctionFailure, SimulationError, UnreadErrors
from greengrass_sdk.testing.failures import Killed, ProcessExit


def test_unread_errors_have_all_tracebacks():
    failures = [FunctionFailure(name, "handled", f"ValueError: {name}") for name in ("a", "b")]
    error = UnreadErrors(failures)
    assert failures == error.errors
    assert str(error).startswith("2 errors in functions that the test did not look at")
    assert "function 'b' (handled):\nValueError: b" in str(error)


def test_ends_of_threads_are_no_exceptions_that_code_catches():
    assert not issubclass(Killed, Exception)
    assert not issubclass(ProcessExit, Exception)
    assert 256 == ProcessExit(256).status
    assert issubclass(SimulationError, GreengrassError)
