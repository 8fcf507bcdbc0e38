# SPDX-License-Identifier: Apache-2.0
"""A connection whose hello is done."""

from __future__ import annotations

from fake_core import ADDRESS, ENDPOINT

from greengrass_sdk.client import session


def test_a_session_has_the_limits_of_the_manual_unless_the_group_says_otherwise(core):
    default = core.session()
    assert (131_072, 6_291_456, False) == (
        default.topic_payload_bytes,
        default.invoke_payload_bytes,
        default.strict,
    )
    own = core.session(limits={"topic_payload_bytes": 1, "invoke_payload_bytes": 2}, strict=True)
    assert (1, 2, True) == (own.topic_payload_bytes, own.invoke_payload_bytes, own.strict)


def test_a_process_has_the_session_that_it_adopted_last(core):
    current = session.current()
    assert current is not None
    assert ADDRESS == current.identity
    session.adopt(None)
    assert session.current() is None


def test_a_process_that_is_many_functions_is_asked_which_one_calls(core):
    asked: list[object] = []
    session.seek(asked.append)
    try:
        assert ADDRESS == getattr(session.current(), "identity", None)
        session.adopt(None)
        assert session.current("probe") is None
        assert session.current() is None
    finally:
        session.seek(None)
    assert session.current() is None
    assert ["probe", None] == asked


def test_a_session_shows_who_it_is(core):
    assert f"Session(identity={ADDRESS!r}, endpoint={ENDPOINT})" == repr(core.session())
