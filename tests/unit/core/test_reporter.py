# SPDX-License-Identifier: Apache-2.0
import logging
from typing import Any

import pytest

from greengrass_sdk._native import Kind, request_id
from greengrass_sdk._native._py.router.events import Finished, Outcome, Tapped, Unrouted
from greengrass_sdk._native._py.router.state import Item
from greengrass_sdk.core.reporter import Reporter
from greengrass_sdk.core.router.table import TOOL, Table
from greengrass_sdk.core.telemetry.view import View
from greengrass_sdk.model.group import parse_group

BOOT = bytes(range(8))
GROUP = """
schema = 1
[group]
name = "g"
core = "c"
[functions.f]
code = "."
handler = "f.handler"
[clients.dashboard]
[[subscriptions]]
id = "row"
source = "cloud"
subject = "a/b"
target = "f"
"""


class Log:
    def __init__(self):
        self.records = []

    def write(self, level, origin, message):
        self.records.append((level, message))


class Bench:
    def __init__(self, folder):
        self.table = Table(parse_group(GROUP, base=folder, file="group.toml"))
        self.log = Log()
        self.events: list[dict[str, Any]] = []
        self.f = self.table.number("f")
        self.cloud = self.table.number("cloud")
        self.tool = self.table.numbers[TOOL]
        view = View(self.events.append, clock=lambda: 0.0, now_ms=lambda: 1)
        view.started("/root", 1)
        self.events.clear()
        self.reporter = Reporter(self.table, {self.f: self.log}, BOOT, view)
        self.tape: list[dict[str, Any]] = []
        taped = View(None, clock=lambda: 0.0, now_ms=lambda: 1, tape=self.tape.append)
        taped.started("/root", 1)
        self.tape.clear()
        self.recorder = Reporter(self.table, {self.f: self.log}, BOOT, taped)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def ended(bench, kind, outcome, document=b"{}"):
    item = Item(kind, bench.tool, b"a/b", b"", b"")
    item.id = 5
    item.queued_at = 1.0
    item.started_at = 2.0
    return Finished(bench.f, item, outcome, document, 2.25)


def test_a_tapped_message_is_shown_with_names(bench):
    route = bench.table.routes[0]
    bench.reporter.tapped(Tapped(bench.cloud, route, b"a/b", b"x", "delivered", ""))
    bench.reporter.tapped(Tapped(bench.f, None, b"n", b"x", "dropped", "no subscription matches"))
    first, second = bench.events
    assert ("cloud", "f", "delivered", None) == (
        first["source"],
        first["target"],
        first["outcome"],
        first["reason"],
    )
    assert (None, "no subscription matches") == (second["target"], second["reason"])


def test_an_unrouted_message_is_warned_about_with_the_nearest_row(bench, caplog):
    caplog.set_level(logging.WARNING)
    bench.reporter.unrouted(Unrouted(bench.cloud, b"a/c"))
    text = (
        "no subscription routes topic 'a/c' from 'cloud'; dropped. nearest is subscription 'row' "
        "(cloud -> f), but its subject is 'a/b'"
    )
    assert [text] == caplog.messages


def test_a_group_without_rows_says_so(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    group = parse_group(GROUP.partition("[[")[0], base=tmp_path, file="group.toml")
    table = Table(group)
    view = View(None, clock=lambda: 0.0, now_ms=lambda: 1)
    Reporter(table, {}, BOOT, view).unrouted(Unrouted(table.number("cloud"), b"a"))
    assert "the group has no subscription" in caplog.text


def test_an_invocation_is_shown_with_its_running_time(bench):
    bench.reporter.finished(ended(bench, Kind.INVOKE, Outcome.OK))
    [event] = bench.events
    assert ("tool", "f", request_id(BOOT, 5), "ok", 250.0) == (
        event["caller"],
        event["function"],
        event["request_id"],
        event["outcome"],
        event["duration_ms"],
    )
    assert [] == bench.log.records


@pytest.mark.parametrize(
    ("kind", "what"), [(Kind.MESSAGE, "message on 'a/b'"), (Kind.INVOKE, "invocation")]
)
def test_an_unhandled_end_is_logged_with_its_request_and_reason(bench, kind, what):
    document = b'{"errorMessage": "exited with code 3", "errorType": "x"}'
    bench.reporter.finished(ended(bench, kind, Outcome.UNHANDLED, document))
    number = request_id(BOOT, 5)
    assert [("ERROR", f"{what} {number} ended unhandled: exited with code 3")] == bench.log.records


def test_a_handled_end_is_the_functions_own_to_log(bench):
    bench.reporter.finished(ended(bench, Kind.MESSAGE, Outcome.HANDLED))
    assert [] == bench.log.records
    assert [("a/b", "handled")] == [(e["subject"], e["outcome"]) for e in bench.events]


@pytest.mark.parametrize(
    ("kind", "event", "type_"),
    [
        (Kind.MESSAGE, False, "message"),
        (Kind.INVOKE, True, "event"),
        (Kind.INVOKE, False, "call"),
    ],
)
def test_a_failed_run_is_shown_with_its_error_and_who_hears_of_it(bench, kind, event, type_):
    document = b'{"errorMessage": "m", "errorType": "T", "stackTrace": [["f", 1, "g", "x"], 5]}'
    finished = ended(bench, kind, Outcome.HANDLED, document)
    finished.item.event = event
    bench.reporter.finished(finished)
    [shown] = bench.events
    assert type_ == shown["type"]
    assert {
        "errorType": "T",
        "errorMessage": "m",
        "stackTrace": [["f", 1, "g", "x"]],
    } == shown["error"]


@pytest.mark.parametrize("document", [b"", b"[]", b"nonsense", b"[" * 100_000, b'{"stackTrace":1}'])
def test_an_error_document_that_is_none_is_shown_all_the_same(bench, document):
    bench.reporter.finished(ended(bench, Kind.MESSAGE, Outcome.HANDLED, document))
    assert ("", []) == (
        bench.events[0]["error"]["errorType"],
        bench.events[0]["error"]["stackTrace"],
    )


def test_a_flood_of_unrouted_topics_is_warned_about_within_bounds(bench, caplog):
    caplog.set_level(logging.WARNING)
    for number in range(100):
        bench.reporter.unrouted(Unrouted(bench.cloud, b"t/%d" % number))
    assert 31 == len(caplog.messages)
    assert "more than 30 topics without a subscription in a minute" in caplog.messages[-1]


def test_what_failed_in_a_service_of_the_core_is_told_in_its_own_log(bench, caplog):
    item = Item(Kind.INVOKE, bench.tool, b"arn", b"", b"")
    service = bench.table.number("GGShadowService")
    document = b'{"errorMessage": "it waited"}'
    bench.reporter.finished(Finished(service, item, Outcome.UNHANDLED, document, 1.0))
    assert [] == bench.log.records
    assert "GGShadowService: invocation" in caplog.text
    assert "it waited" in caplog.text


def asked(bench, source="tool", target="f", kind=Kind.INVOKE):
    """Let a run end that `source` asked for, and return what the tape has of the request."""
    table = bench.table
    sender = bench.tool if source == "tool" else table.number(source)
    item = Item(kind, sender, b"x", b'{"custom": {}}', b"[1]")
    bench.recorder.finished(Finished(table.number(target), item, Outcome.OK, b"[2]", 0.0))
    return bench.tape[-1]["request"]


@pytest.mark.parametrize("source", ["tool", "dashboard"])
@pytest.mark.parametrize("target", ["f", "GGShadowService"])
def test_what_is_asked_from_outside_is_on_the_tape(bench, source, target):
    request = asked(bench, source, target)
    assert ("[1]", '{"custom": {}}', "[2]") == (
        request["payload"],
        request["client_context"],
        request["result"]["payload"],
    )


def test_what_functions_ask_each_other_is_not_on_the_tape(bench):
    assert asked(bench, "f") is None


def test_what_a_message_starts_is_on_the_tape_as_the_message_only(bench):
    assert asked(bench, "cloud", kind=Kind.MESSAGE) is None


def test_the_row_of_a_message_is_on_the_tape(bench):
    route = bench.table.routes[0]
    bench.recorder.tapped(Tapped(bench.cloud, route, b"a/b", b"x", "delivered", ""))
    bench.recorder.tapped(Tapped(bench.cloud, None, b"a/b", b"x", "dropped", ""))
    assert ["row", None] == [event["subscription"] for event in bench.tape]
