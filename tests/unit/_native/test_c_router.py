# SPDX-License-Identifier: Apache-2.0
"""
The router machine in C: the conversations of the one in Python, word for word, and what only a
caller of C sees.
"""

from __future__ import annotations

import importlib.util
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import router_bench
from hypothesis import example, given, strategies as st
from router_bench import CLIENT, CLOUD, DEMAND, PINNED, TOOL, Bench, only

from greengrass_sdk._native import Flag, Frame, Kind
from greengrass_sdk._native._py import index as python_index
from greengrass_sdk._native._py.router.events import CutOff, Finished, Send, Tapped
from greengrass_sdk._native._py.router.machine import Router as PythonRouter
from greengrass_sdk._native._py.router.state import CORE, FunctionRules, PeerTarget
from greengrass_sdk._native._py.router.texts import message_of
from greengrass_sdk.errors import InvalidInputError, LocalProtocolError, NativeError

_c_router = pytest.importorskip(
    "greengrass_sdk._native._c_router", reason="the C extension is not built"
)
_c = pytest.importorskip("greengrass_sdk._native._c")

CONVERSATIONS = Path(__file__).parent / "_py" / "router"

# conversation -> why it is not held with the machine in C
NOT_HELD: dict[str, str] = {
    "test_a_peer_that_was_cut_off_is_forgotten_at_once": "looks at the Python machine's own dict",
}


@pytest.fixture(autouse=True)
def in_c(monkeypatch):
    """Let every bench be built around the machine in C."""
    monkeypatch.setattr(router_bench, "Router", _c_router.Router)
    monkeypatch.setattr(router_bench, "TopicIndex", _c.TopicIndex)


def conversations(name):
    """Return the tests of a file of the Python machine, to be collected here as well."""
    path = CONVERSATIONS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_in_c", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_") and name not in NOT_HELD
    }


globals().update(conversations("test_machine"))
globals().update(conversations("test_work"))


# What only the machine in C does.

RULES = FunctionRules(True, 3.0, 1, 60.0, 4, 1000)


def test_a_cut_off_peer_is_forgotten_at_once():
    bench = Bench()
    machine: Any = bench.machine
    before = machine._count()[3]
    bench.machine.attach(21, CLIENT)
    bench.machine.cut(21, "did not read", bench.now)
    assert [CutOff(21, "did not read")] == bench.step()
    assert machine._count()[3] == before


def test_the_index_must_be_the_one_in_c():
    with pytest.raises(InvalidInputError, match="needs the index in C"):
        Bench().machine.install_routes(python_index.TopicIndex(), [])


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("attach_worker", (11, PINNED, 0.0), "peer 11 is attached already"),
        ("attach_worker", (12, CLIENT, 0.0), "endpoint 3 is not a function"),
        ("worker_failed", (CLIENT, b"", 0.0), "endpoint 3 is not a function"),
        ("define_function", (PINNED, RULES, [b"f"]), "endpoint 1 is in use"),
        ("define_function", (9, RULES._replace(idle_s=-1.0), [b"f"]), "no valid rules"),
    ],
)
def test_a_careless_caller_is_told(method, arguments, message):
    bench = Bench()
    bench.worker(11, PINNED)
    with pytest.raises(InvalidInputError, match=message):
        getattr(bench.machine, method)(*arguments)


def test_a_function_in_use_does_not_become_a_client():
    bench = Bench()
    bench.worker(11, PINNED)
    with pytest.raises(InvalidInputError, match="is a function in use"):
        bench.machine.define_peer_target(PINNED, queue_items=1, queue_bytes=1)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("attach", (11, 99)),
        ("attach_worker", (11, 99, 0.0)),
        ("worker_failed", (99, b"", 0.0)),
        ("target_state", (99,)),
    ],
)
def test_an_endpoint_that_is_not_defined_is_a_key_error_as_in_python(method, arguments):
    with pytest.raises(KeyError, match="99"):
        getattr(Bench().machine, method)(*arguments)


def test_a_route_to_an_endpoint_that_is_not_defined_is_an_error_of_the_table():
    bench = Bench(rows=[(CLOUD, b"a", 99)])
    with pytest.raises(NativeError, match="The endpoint is not defined"):
        bench.publish(b"a")


def test_a_topic_that_no_frame_could_carry_is_refused():
    with pytest.raises(InvalidInputError, match="the topic has 513 bytes"):
        Bench().publish(b"x" * 513)


def test_memory_that_runs_out_is_a_memory_error():
    machine: Any = Bench().machine
    with pytest.raises(MemoryError, match="gg_plane_attach"):
        machine._check("gg_plane_attach", _c_router.lib.GG_ENOMEM)


def test_an_output_larger_than_the_buffer_is_handed_out(monkeypatch):
    monkeypatch.setattr(_c_router, "_BUFFER_BYTES", 64)
    bench = Bench(rows=[(CLOUD, b"a", CLIENT)])
    bench.machine.attach(21, CLIENT)
    for _ in range(3):
        [message] = bench.publish(b"a", bytes(100))
        assert message.payload == bytes(100)


def test_outputs_of_an_older_table_keep_its_routes():
    bench = Bench(rows=[(CLOUD, b"a", TOOL)])
    bench.machine.tap = True
    bench.machine.receive(CORE, Frame(Kind.PUBLISH, 0, CLOUD, 0, b"a"), 0.0)
    bench.machine.install_routes(_c.TopicIndex(), [])
    [tapped] = only(bench.step(), Tapped)
    assert tapped.route is bench.routes[0]
    assert bench.routes[0].delivered == 1


def test_a_route_goes_on_counting_under_a_new_table():
    bench = Bench(rows=[(CLOUD, b"a", CLIENT)])
    bench.publish(b"a")
    index = _c.TopicIndex()
    index.add(CLOUD, b"a", 0)
    bench.machine.install_routes(index, bench.routes)
    bench.publish(b"a")
    assert bench.routes[0].dropped == {"not connected": 2}


def test_the_counters_of_many_routes_are_brought_up_to_date():
    bench = Bench(rows=[(CLOUD, b"%d" % number, TOOL) for number in range(200)])
    for number in range(200):
        frame = Frame(Kind.PUBLISH, 0, CLOUD, 0, b"%d" % number)
        bench.machine.receive(CORE, frame, 0.0)
    bench.step()
    assert [route.delivered for route in bench.routes] == [1] * 200


def test_the_state_of_a_client_tells_what_is_kept_for_it():
    bench = Bench(rows=[(CLOUD, b"a", CLIENT)])
    bench.machine.attach(21, CLIENT)
    bench.machine.hold(21, held=True)
    bench.publish(b"a", b"1")
    state = bench.machine.target_state(CLIENT)
    assert isinstance(state, PeerTarget)
    assert state.peer is not None
    assert (21, [(b"a", b"1")], 1) == (state.peer.number, list(state.waiting), state.waiting_bytes)


# Words, byte by byte.

ASSIGNED = st.characters(codec="utf-8", exclude_categories=["Cn", "Cs"])


def in_both(**options):
    benches = []
    for kind, index in ((_c_router.Router, _c.TopicIndex), (PythonRouter, python_index.TopicIndex)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(router_bench, "Router", kind)
            patch.setattr(router_bench, "TopicIndex", index)
            benches.append(Bench(**options))
    return benches


@given(st.text(ASSIGNED, max_size=90).map(str.encode) | st.binary(max_size=12))
@example("'\"\\\t\n\r\x7f\xa0\xad\u2028\ue000\U000e0001\U00010348".encode())
@example(b"\xf0\x90\x80")
@example(b"a\xed\xa0\x80")
@example(b"\xf5")
@example("é".encode() * 129)
@example(b"a\0")
@example(b"#")
def test_a_bad_topic_is_described_as_python_does(topic):
    if any(unicodedata.category(c) == "Cn" for c in topic.decode(errors="replace")):
        return  # which code points are not assigned differs among Pythons
    answers = []
    for bench in in_both(strict=True):
        bench.worker(11, PINNED)
        fields = (0, PINNED, 1, topic)
        [published] = bench.frame(11, Kind.PUBLISH, Flag.ANSWER, *fields[1:])[-1:]
        [invoked] = bench.frame(11, Kind.INVOKE, *fields)
        answers.append((published.flags, published.payload, invoked.payload))
    assert answers[0] == answers[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(
    st.binary(max_size=30)
    | st.builds(
        lambda message, other, escaped: json.dumps(
            {"other": other, "errorMessage": message}, ensure_ascii=escaped
        ).encode("utf-8", "surrogatepass"),
        st.text() | st.none() | st.booleans() | st.integers(),
        JSON,
        st.booleans(),
    )
)
@example(json.dumps({"errorMessage": "\ud800x\udc00"}).encode())
@example(json.dumps({"errorMessage": "😀" * 4097}).encode())
@example(b'\xef\xbb\xbf{"errorMessage":"\xed\xa0\x80"}')
@example(b'{"errorMessage": "a", "\\u0065rrorMessage": "b"}')
@example(b'{"x": {"errorMessage": "inner"}}')
@example(b'{"errorMessage": -Infinity, "y": NaN}')
@example(b'{"errorMessage": ' + b"1" * 4301 + b"}")
@example(b'{"errorMessage": ' + b"1" * 4300 + b"}")
@example(b'{"errorMessage": 01}')
@example(b'{"errorMessage": "a"} x')
@example(b'{"errorMessage": "a", }')
@example(b'{"errorMessage": "\x01"}')
@example(b'{"errorMessage": "\\u12"}')
@example(b"[" * 5000)
def test_an_error_document_is_read_as_python_does(document):
    answers = []
    for bench in in_both():
        bench.machine.worker_failed(PINNED, document, 0.0)
        bench.invoke(b"pinned")
        [answer] = only(bench.at(70.0).step(), Send)[-1:]
        answers.append(answer.payload)
    assert answers[0] == answers[1]


def test_values_that_are_no_text_are_shown_as_they_were_written():
    """The one difference: Python shows `str()` of lists, objects and floating-point numbers."""
    document = b'{"errorMessage": {"a": [1.50, null]}}'
    bench = Bench()
    bench.worker(11, PINNED)
    bench.ready(11, PINNED, Flag.FAILED, document)
    bench.invoke(b"pinned")
    [answer] = only(bench.at(70.0).step(), Send)
    assert json.loads(answer.payload)["errorMessage"].endswith('start: {"a": [1.50, null]}')
    assert message_of(document) == "{'a': [1.5, None]}"


def test_the_core_is_told_what_it_did_wrong():
    with pytest.raises(LocalProtocolError, match="the core answered item 5, which it was not"):
        Bench().frame(CORE, Kind.RESULT, 0, CLOUD, 5)


def test_a_frame_of_a_kind_that_nobody_defines_cuts_off():
    bench = Bench()
    bench.worker(11, PINNED)
    [cut, *_] = bench.frame(11, 200, 0, PINNED)
    assert isinstance(cut, CutOff)
    assert "kind 200" in cut.reason


def test_what_finished_is_told_with_all_that_the_item_was():
    bench = Bench()
    bench.invoke(b"demand", b"in", number=5)
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    [finished] = only(bench.at(3.0).step(), Finished)
    item = finished.item
    assert (Kind.INVOKE, TOOL, b"demand", b"ctx", b"in") == (
        item.kind,
        item.source,
        item.topic,
        item.context,
        item.payload,
    )
    assert (1, 5, False, 0.0, 0.0) == (
        item.id,
        item.number,
        item.event,
        item.queued_at,
        item.started_at,
    )
    assert item.caller is not None
    assert item.caller.number == CORE
