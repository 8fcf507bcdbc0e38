# SPDX-License-Identifier: Apache-2.0

import asyncio
import json

import pytest

from greengrass_sdk._native import Flag, Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.shadow.endpoint import ShadowEndpoint
from greengrass_sdk.core.shadow.requests import ShadowId
from greengrass_sdk.core.shadow.service import ShadowService
from greengrass_sdk.core.shadow.store import MemoryStore

TOPIC = "$aws/things/T/shadow/"


class Held:
    """A committer whose commits end when the test says so."""

    def __init__(self, store):
        self.store = store
        self.jobs = []

    def commit(self, changes, done):
        self.jobs.append((changes, done))

    def end(self, failure=None):
        changes, done = self.jobs.pop(0)
        if failure is None:
            self.store.commit(changes)
        done(failure)


class Bench:
    """An endpoint, and in `told` what it published (topic) and answered (number), in order."""

    def __init__(self):
        self.store = MemoryStore()
        self.committer = Held(self.store)
        self.told = []
        self.payloads = []
        self.flushes = 0
        self.number = 0
        self.service = ShadowService(self.store)
        self.endpoint = ShadowEndpoint(
            self.service,
            self.committer,
            publish=self.publish,
            flush=self.flush,
            topic_payload_bytes=1000,
            everything=list,
            clock=lambda: 100.0,
        )
        self.endpoint.answer = self.answer

    def publish(self, topic, payload):
        self.told.append(topic.removeprefix(TOPIC))
        self.payloads.append(json.loads(payload))

    def answer(self, number, payload):
        self.told.append(number)
        self.payloads.append(json.loads(payload) if payload else None)

    def flush(self):
        self.flushes += 1

    def message(self, topic, payload=b""):
        self.number += 1
        return Send(5, Kind.MESSAGE, 0, 1, self.number, topic.encode(), b"", payload)

    def call(self, operation, payload=b"", *, context=None, flags=0, thing="T"):
        self.number += 1
        if context is None:
            subject = f"$aws/things/{thing}/shadow/{operation}"
            context = json.dumps({"custom": {"subject": subject}}).encode()
        return Send(5, Kind.INVOKE, flags, 1, self.number, b"arn", context, payload)

    def update(self, **options):
        return self.call("update", b'{"state": {"desired": {"a": 1}}}', **options)


@pytest.fixture
def bench():
    return Bench()


def test_a_call_is_answered_after_the_commit_and_after_the_messages(bench):
    bench.endpoint.take([bench.update()])
    assert [] == bench.told
    bench.committer.end()
    assert ["update/delta", "update/documents", "update/accepted", 1] == bench.told
    assert bench.payloads[2] == bench.payloads[3]
    assert 1 == bench.flushes


def test_what_comes_while_answers_leave_is_answered_after_its_own_commit(bench):
    """The driver hands over what came when it has answers leave."""
    things = {number: f"T{number}" for number in range(1, 9)}
    coming = [bench.update(thing=thing) for thing in things.values()]

    def flush():
        for _ in range(min(2, len(coming))):
            bench.endpoint.take([coming.pop(0)])

    bench.endpoint.flush = flush
    flush()
    while bench.committer.jobs:
        bench.committer.end()
        for number in bench.told:
            assert isinstance(number, str) or ShadowId(things[number], "") in bench.store.records
    assert [*things] == [number for number in bench.told if isinstance(number, int)]


def test_what_failed_while_answers_leave_is_not_taken_for_kept(bench):
    coming = [bench.update(), bench.update()]
    bench.endpoint.flush = lambda: coming and bench.endpoint.take([coming.pop(0)])
    bench.endpoint.flush()
    bench.committer.end()
    bench.committer.end(OSError("the disk is gone"))
    bench.endpoint.take([bench.call("get")])
    assert 1 == bench.payloads[-1]["version"]


def test_answers_that_cannot_leave_stop_nothing(bench):
    def broken():
        raise LookupError

    bench.endpoint.flush = broken
    bench.endpoint.take([bench.update()])
    with pytest.raises(LookupError):
        bench.committer.end()
    bench.endpoint.flush = bench.flush
    bench.endpoint.take([bench.update()])
    bench.committer.end()
    assert 2 == bench.told[-1]


def test_a_read_is_answered_at_once(bench):
    bench.endpoint.take([bench.call("get"), bench.call("list")])
    assert [1, 2] == bench.told
    assert (404, []) == (bench.payloads[0]["code"], bench.payloads[1]["results"])


def test_a_message_is_answered_on_topics_and_its_item_without_a_result(bench):
    bench.endpoint.take([bench.message(f"{TOPIC}get")])
    assert ["get/rejected", 1] == bench.told
    assert bench.payloads[1] is None


def test_an_event_is_answered_without_a_result(bench):
    bench.endpoint.take([bench.call("get", flags=Flag.EVENT)])
    assert ([1], [None]) == (bench.told, bench.payloads)


def test_items_wait_behind_a_commit_and_share_the_next(bench):
    bench.endpoint.take([bench.update()])
    for _ in range(3):
        bench.endpoint.take([bench.update(thing="U"), bench.call("get")])
    assert 1 == len(bench.committer.jobs)
    bench.committer.end()
    [(changes, _)] = bench.committer.jobs
    assert {ShadowId("U"): 3} == {shadow: record.version for shadow, record in changes.items()}
    bench.committer.end()
    assert [1, 2, 3, 4, 5, 6, 7] == [each for each in bench.told if isinstance(each, int)]
    versions = [p["version"] for p in bench.payloads if p and "metadata" in p and "state" in p]
    assert versions


def test_all_messages_of_an_update_come_before_those_of_the_next(bench):
    bench.endpoint.take([bench.update(), bench.update()])
    bench.committer.end()
    one = ["update/delta", "update/documents", "update/accepted"]
    assert [*one, 1, *one, 2] == bench.told


def test_a_commit_that_fails_refuses_updates_and_reads_again(bench, caplog):
    bench.endpoint.take([bench.update(), bench.call("get"), bench.message(f"{TOPIC}update", b"no")])
    bench.committer.end(OSError("cannot write the shadows in x: disk full"))
    assert [1, 2, "update/rejected", 3] == bench.told
    assert [500, 404, 400] == [payload["code"] for payload in bench.payloads if payload]
    assert "disk full; the updates are refused" in caplog.text
    bench.endpoint.take([bench.update()])
    bench.committer.end()
    assert 1 == bench.payloads[-1]["version"]


@pytest.mark.parametrize(
    "context",
    [
        b"",
        b"no",
        b"[]",
        b"{}",
        b'{"custom": 1}',
        b'{"custom": {"subject": 1}}',
        b"[" * 100_000,
        b'{"custom": {"subject": "a/b"}}',
    ],
    ids=range(8),
)
def test_a_call_that_is_no_request_is_told_so(bench, context):
    bench.endpoint.take([bench.call("", context=context)])
    [answer] = bench.payloads
    assert 400 == answer["code"]
    assert "the client context must be" in answer["message"]


@pytest.mark.parametrize(
    ("subject", "code", "said"),
    [
        ("$aws/things/a/b/shadow/get", 400, "Invalid thing name: "),
        ("$aws/things//shadow/get", 400, "Invalid thing name: "),
        ("$aws/things/T/shadow/name/a/b/get", 400, "Invalid shadow name: "),
        ("$aws/things/T/shadow/name//get", 400, "Invalid shadow name: "),
        ("$aws/things/T/shadow/x/get", 400, "Invalid request: "),
        ("$aws/things/T/shadow/put", 405, "Method Not Allowed"),
        ("$aws/things/T/shadow/", 405, "Method Not Allowed"),
    ],
)
def test_a_call_hears_what_is_wrong_with_its_topic(bench, subject, code, said):
    context = json.dumps({"custom": {"subject": subject}}).encode()
    bench.endpoint.take([bench.call("", context=context)])
    [answer] = bench.payloads
    assert code == answer["code"]
    assert answer["message"].startswith(said)


@pytest.mark.parametrize("topic", ["a/b", f"{TOPIC}update/accepted", f"{TOPIC}list"])
def test_a_message_that_is_no_request_is_told_in_the_log_once(bench, topic, caplog):
    bench.endpoint.take([bench.message(topic), bench.message(topic)])
    assert ([1, 2], [None, None]) == (bench.told, bench.payloads)
    assert 1 == caplog.text.count("is ignored: requests are on")


def test_a_message_larger_than_the_groups_limit_is_told_in_the_log(bench, caplog):
    state = {"state": {"reported": {"a": "x" * 900}}}
    bench.endpoint.take([bench.call("update", json.dumps(state).encode())])
    bench.committer.end()
    assert [1] == [each for each in bench.told if each != "update/accepted"]
    assert "is not published: the group's topic_payload_bytes is 1000" in caplog.text


def test_an_item_is_answered_although_its_message_cannot_be_published(bench, caplog):
    def publish(topic, payload):
        raise ZeroDivisionError

    bench.endpoint.publish = publish
    bench.endpoint.take([bench.message(f"{TOPIC}get")])
    assert [1] == bench.told
    assert "a bug of ours" in caplog.text


def test_a_change_is_waited_for(bench):
    async def scenario():
        async with asyncio.timeout(10):
            assert None is await bench.endpoint.changed("T", "", None, 0)
            waiting = asyncio.create_task(bench.endpoint.changed("T", "", None, 5))
            await asyncio.sleep(0)
            bench.endpoint.take([bench.update(thing="U")])
            bench.committer.end()
            bench.endpoint.take([bench.update()])
            await asyncio.sleep(0)
            assert not waiting.done()
            bench.committer.end()
            assert 1 == await waiting
            assert 1 == await bench.endpoint.changed("T", "", 0, 5)
            assert 1 == await bench.endpoint.changed("T", "", 1, 0.001)

    asyncio.run(scenario())
    assert {} == bench.endpoint._watchers


def test_who_stops_waiting_for_a_change_is_forgotten(bench):
    async def scenario():
        waiting = asyncio.create_task(bench.endpoint.changed("T", "", None, 5))
        await asyncio.sleep(0)
        assert 1 == len(bench.endpoint._watchers)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scenario())
    assert {} == bench.endpoint._watchers
