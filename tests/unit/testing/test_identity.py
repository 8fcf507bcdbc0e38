# SPDX-License-Identifier: Apache-2.0
"""Who calls, where one process is many functions."""

from __future__ import annotations

import functools
import threading

import pytest

from greengrass_sdk import Client, CoreUnavailableError
from greengrass_sdk.client import session
from greengrass_sdk.testing import FakeCore
from greengrass_sdk.testing.identity import namespace_of

client = Client()


def handler(_event, _context):
    client.publish("handled", "")


def test_a_call_from_the_module_of_the_only_function_is_its_own(core):
    core.add_function("only", handler)
    client.publish("t", "")
    assert "only" == core.published("t").one().source


def test_where_several_functions_come_from_a_module_the_error_says_what_to_do(core):
    core.add_function("a", handler)
    core.add_function("b", handler)
    with pytest.raises(CoreUnavailableError) as caught:
        client.publish("t", "")
    assert "with greengrass.acting_as('a'):" in str(caught.value)
    assert "a, b" in str(caught.value)


def test_where_no_function_is_known_the_error_says_so(core):
    with pytest.raises(CoreUnavailableError, match="none yet"):
        client.publish("t", "")


def test_acting_wins_over_the_module_and_ends_with_its_block(core):
    core.add_function("a", handler)
    core.add_function("b", handler)
    with core.acting_as("b"):
        client.publish("t", "")
        with core.acting_as("a"):
            client.publish("t", "")
        client.publish("t", "")
    assert ["b", "a", "b"] == [message.source for message in core.published("t")]
    with pytest.raises(CoreUnavailableError):
        client.publish("t", "")


def test_the_thread_of_a_function_is_always_its_own(core):
    core.add_function("a", handler)
    core.add_function("b", handler)
    with core.acting_as("b"):
        core.invoke("a")
    assert "a" == core.published("handled").one().source


def test_a_thread_of_a_thread_belongs_to_the_function(core):
    def outer(_event, _context):
        def inner():
            threading.Timer(1, client.publish, ("t", "")).start()

        threading.Thread(target=inner).start()

    core.add_function("a", outer)
    core.add_function("b", handler)
    core.invoke("a")
    core.advance(seconds=1)
    assert "a" == core.published("t").one().source


def test_identity_decides_between_cores(core):
    with FakeCore() as other:
        core.add_function("a", handler)
        other.add_function("a", handler)
        with pytest.raises(CoreUnavailableError, match="several functions"):
            client.publish("t", "")
        with other.acting_as("a"):
            client.publish("t", "")
        assert 1 == len(other.published("t"))
        assert 0 == len(core.published("t"))


def test_a_client_with_a_name_of_its_own_looks_for_a_real_core(core, monkeypatch, tmp_path):
    monkeypatch.setenv("GREENGRASS_ROOT", str(tmp_path))
    core.add_function("a", handler)
    with pytest.raises(CoreUnavailableError, match="no core is running at"):
        Client(name="probe").publish("t", "")


def test_without_a_core_everything_is_as_before():
    core = FakeCore()
    core.close()
    assert session.current() is None
    with pytest.raises(CoreUnavailableError, match="uses the fixture `greengrass`"):
        client.publish("t", "")


def test_the_module_of_a_wrapped_handler_is_found():
    wrapped = functools.partial(functools.wraps(handler)(lambda *_: None))
    assert globals() is namespace_of(wrapped)

    class Holder:
        def method(self, _event, _context):
            pass

    assert globals() is namespace_of(Holder().method)
