# SPDX-License-Identifier: Apache-2.0
"""`greengrass stream`, against the stream manager itself."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
from stream_core import StreamCore

from greengrass_sdk.client.streams import Stream
from greengrass_sdk.errors import FunctionNotFoundError
from greengrass_sdk.model.stream import ExportDefinition, KinesisConfig


@pytest.fixture
def streams(monkeypatch):
    """Return a core of which a function gets streams by their names."""
    core = StreamCore()

    def ask(root, op, fields):
        assert (None, "invoke", False) == (root, op, fields["event"])
        result = core.invoke("arn:aws:lambda:::function:GGStreamManager:1", fields["payload"])
        return {"outcome": "ok", "payload": result.payload, "request_id": "r"}

    monkeypatch.setattr("greengrass_sdk.cli.stream.ask", ask)
    yield lambda name="r": Stream(core.invoke, name)
    core.close()


@pytest.fixture
def filled(streams):
    stream = streams()
    stream.create()
    stream.append_many([b"a", b"b", b"\xff"])
    return stream


def typed(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=bool))


class TestLists:
    def test_no_streams_are_said_to_be_none(self, run, streams):
        assert (0, "", "no streams\n") == run("stream", "list")
        assert {"schema": 1, "streams": []} == json.loads(run("stream", "list", "--json")[1])

    def test_streams_are_listed_with_what_they_hold(self, run, filled):
        code, out, _ = run("stream", "list")
        assert 0 == code
        head, row = (line.split() for line in out.splitlines())
        assert ["NAME", "MESSAGES", "BYTES", "OLDEST", "NEWEST", "EXPORTS"] == head
        assert ["r", "3", "47", "0", "2", "0"] == row

    def test_a_description_is_what_aws_tells(self, run, filled):
        _, out, _ = run("stream", "describe", "r")
        document = json.loads(out)
        assert ("r", 2) == (
            document["definition"]["name"],
            document["storageStatus"]["newestSequenceNumber"],
        )
        assert {"schema": 1, **document} == json.loads(run("stream", "describe", "r", "--json")[1])


class TestCreate:
    def test_a_stream_is_made_with_defaults(self, run, streams):
        assert (0, "", "created stream r\n") == run("stream", "create", "r")
        definition = streams().describe().definition
        assert (268435456, 0, 0) == (
            definition.max_size,
            definition.strategy_on_full,
            definition.persistence,
        )

    def test_a_stream_is_made_as_options_say(self, run, streams):
        options = ["--max-size", "64M", "--segment-size", "1MiB", "--ttl", "60"]
        options += ["--overwrite", "--memory", "--flush", "--json"]
        _, out, _ = run("stream", "create", "r", *options)
        assert {"schema": 1, "stream": "r", "outcome": "created"} == json.loads(out)
        definition = streams().describe().definition
        assert (64 << 20, 1 << 20, 60_000, 1, 1, True) == (
            definition.max_size,
            definition.stream_segment_size,
            definition.time_to_live_millis,
            definition.strategy_on_full,
            definition.persistence,
            definition.flush_on_write,
        )

    def test_a_definition_may_be_given_whole(self, run, streams):
        exports = ExportDefinition(kinesis=[KinesisConfig("k", "kinesis")])
        given = {"strategyOnFull": 1, "exportDefinition": exports.as_dict()}
        assert 0 == run("stream", "create", "r", "--definition", json.dumps(given))[0]
        definition = streams().describe().definition
        assert (1, exports) == (definition.strategy_on_full, definition.export_definition)

    def test_a_definition_that_breaks_a_rule_is_refused(self, run, streams):
        code, _, err = run("stream", "create", "r", "--max-size", "1K", "--ttl", "1")
        assert (34, True) == (code, "time_to_live_millis must be at least 60000" in err)

    def test_a_stream_is_deleted(self, run, filled):
        assert (0, "", "deleted stream r\n") == run("stream", "delete", "r")
        code, _, err = run("stream", "delete", "r")
        assert (31, "error: stream r doesn't exist; there are none yet\n") == (code, err)


class TestMessages:
    def test_an_append_prints_the_sequence_number(self, run, filled):
        assert (0, "3\n", "") == run("stream", "append", "r", "hello")
        assert b"hello" == filled.read(3)[0].payload

    def test_lines_are_appended_as_messages(self, run, filled, monkeypatch):
        typed(monkeypatch, b"one\n\ntwo\n")
        assert (0, "3 to 4\n", "") == run("stream", "append", "r", "-", "--lines")
        assert [b"one", b"two"] == [message.payload for message in filled.read(3)]

    def test_many_lines_are_appended_in_batches(self, run, filled, monkeypatch):
        typed(monkeypatch, b"x\n" * 2500)
        _, out, _ = run("stream", "append", "r", "-", "--lines", "--json")
        assert {"schema": 1, "stream": "r", "first": 3, "last": 2502} == json.loads(out)

    def test_nothing_is_not_appended(self, run, filled, monkeypatch):
        typed(monkeypatch, b"\n")
        assert 2 == run("stream", "append", "r", "-", "--lines")[0]
        assert 34 == run("stream", "append", "r", "")[0]

    def test_messages_are_printed_as_they_are(self, filled, capfdbinary):
        from greengrass_sdk import cli

        assert 0 == cli.main(["stream", "read", "r"])
        assert b"a\nb\n\xff\n" == capfdbinary.readouterr().out

    def test_messages_are_printed_as_json_with_their_numbers(self, run, filled):
        _, out, _ = run("stream", "read", "r", "--json", "--from", "1")
        rows = [json.loads(line) for line in out.splitlines()]
        assert [(1, "b", "utf-8"), (2, "/w==", "base64")] == [
            (row["sequence_number"], row["payload"], row["encoding"]) for row in rows
        ]

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--count", "2"], "a\nb\n"),
            (["--count", "0"], ""),
            (["--from", "1", "--count", "1"], "b\n"),
        ],
    )
    def test_a_read_is_bounded(self, run, filled, options, expected):
        assert (0, expected, "") == run("stream", "read", "r", *options)

    def test_a_tail_shows_the_last_messages_and_those_that_come(self, run, filled, monkeypatch):
        seen = []

        def follow(stream, start):
            seen.append(start)
            yield from stream.read(start)
            raise KeyboardInterrupt

        monkeypatch.setattr(Stream, "follow", follow)
        filled.append_many([b"%d" % number for number in range(20)])
        code, out, _ = run("stream", "tail", "r")
        assert (130, [str(number) for number in range(10, 20)]) == (code, out.splitlines())
        run("stream", "tail", "r", "--count", "2")
        run("stream", "tail", "r", "--from", "5")
        assert [13, 21, 5] == seen


class TestExportsAndDamage:
    def test_exports_are_told_with_what_is_behind(self, run, streams):
        exports = ExportDefinition(
            kinesis=[KinesisConfig("k", "kinesis"), KinesisConfig("off", "x", disabled=True)]
        )
        assert (0, "", "no exports\n") == run("stream", "export-status")
        stream = streams()
        stream.create(export_definition=exports)
        stream.append_many([b"a", b"b"])
        code, out, _ = run("stream", "export-status")
        assert 0 == code
        assert ["r", "k", "kinesis", "-1", "2", "0"] == out.splitlines()[1].split()
        assert "disabled" == out.splitlines()[2].split()[-1]
        rows = json.loads(run("stream", "export-status", "r", "--json")[1])["exports"]
        assert [("k", None), ("off", "disabled")] == [(row["export"], row["error"]) for row in rows]

    def test_a_good_stream_is_verified(self, run, filled):
        assert (0, "r: 3 messages, 47 bytes\n", "") == run("stream", "verify")

    def test_damage_is_told_and_fails(self, run, filled, monkeypatch):
        monkeypatch.setattr(
            Stream,
            "verify",
            lambda _, start: {
                "messages": 1,
                "bytes": 9,
                "damaged": [[start, start + 1]],
                "next": None if start else 5,
            },
        )
        code, out, _ = run("stream", "verify", "r")
        assert (1, "r: 2 messages, 18 bytes") == (code, out.splitlines()[0])
        assert ["  messages 0 to 1 are damaged", "  messages 5 to 6 are damaged"] == (
            out.splitlines()[1:]
        )
        document = json.loads(run("stream", "verify", "r", "--json")[1])
        assert [[[0, 1], [5, 6]]] == [row["damaged"] for row in document["streams"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["describe"], "describe needs the NAME of a stream"),
        (["list", "r"], "list takes no NAME"),
        (["append", "r"], "append needs a MESSAGE; - reads it from standard input"),
        (["read", "r", "--from=-1"], "'-1' is no number of messages"),
        (["create", "r", "--ttl", "5m"], "'5m' is no number of seconds"),
        (["read", "r", "x"], "read takes no MESSAGE"),
        (["read", "r", "--flush"], "read takes no --flush"),
        (["create", "r", "--from", "1"], "create takes no --from"),
        (["create", "r", "--max-size", "big"], "'big' is no size"),
        (["fetch", "r"], "invalid choice"),
        (["create", "r", "--definition", "[]"], "must be a JSON object"),
    ],
)
def test_words_that_make_no_sense_are_refused(run, streams, words, said):
    code, _, err = run("stream", *words)
    assert (2, True) == (code, said in err), err


def test_a_stream_that_is_none_is_told_with_what_may_have_been_meant(run, streams):
    assert "stream readigs doesn't exist; there are none yet" in run("stream", "read", "readigs")[2]
    streams("readings").create()
    code, _, err = run("stream", "read", "readigs")
    assert (31, True) == (code, "stream readigs doesn't exist; did you mean readings?" in err)
    assert "`greengrass stream list` shows which do" in run("stream", "delete", "x")[2]


def test_reading_behind_the_newest_message_says_where_that_is(run, filled):
    note = "no messages from 9 on: the newest one is 2\n"
    assert (0, "", note) == run("stream", "read", "r", "--from", "9")


def test_a_group_without_a_stream_manager_says_how_to_get_one(run, monkeypatch):
    def ask(root, op, fields):
        raise FunctionNotFoundError("no such function")

    monkeypatch.setattr("greengrass_sdk.cli.stream.ask", ask)
    code, _, err = run("stream", "list")
    assert (28, True) == (code, "enabled = true in the table [streams]" in err)
