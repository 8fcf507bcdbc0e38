# SPDX-License-Identifier: Apache-2.0
"""A function, as the test holds it."""

from __future__ import annotations

import signal

import pytest

from greengrass_sdk import FunctionUnhandledError


def test_a_function_shows_who_it_is(core):
    fn = core.add_function("f", lambda event, _context: event, version="7")
    assert "FakeFunction('f')" == repr(fn)
    assert "arn:aws:lambda:us-east-1:000000000000:function:f:7" == fn.arn
    assert (0, 0, []) == (fn.workers, fn.starts, fn.logs)
    assert 1 == core.invoke(fn.arn, 1).json()
    assert (1, 1) == (fn.workers, fn.starts)


def test_a_crash_names_its_signal(core):
    fn = core.add_function("f", lambda event, _context: event)
    fn.crash(signal.SIGSEGV)
    with pytest.raises(FunctionUnhandledError, match="SIGSEGV"):
        core.invoke(fn)


def test_memory_without_a_limit_is_that_of_the_kernel(core):
    fn = core.add_function("f", lambda event, _context: event)
    fn.out_of_memory()
    with pytest.raises(FunctionUnhandledError, match="SIGKILL"):
        core.invoke(fn)
