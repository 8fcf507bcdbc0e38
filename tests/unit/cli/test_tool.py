# SPDX-License-Identifier: Apache-2.0
"""Asking a running core, and what arguments mean."""

from __future__ import annotations

import io
import os
from typing import ClassVar

import pytest

from greengrass_sdk.cli._output import UsageError
from greengrass_sdk.cli._tool import ask, encoded_payload, parse_json_object, read_payload


class Connection:
    """Stands for `ToolConnection`."""

    made: ClassVar[list[Connection]] = []

    def __init__(self, root):
        self.root = root
        self.closed = False
        self.made.append(self)

    def request(self, op, *, timeout_s, **fields):
        return {"op": op, "timeout_s": timeout_s, **fields}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closed = True


@pytest.fixture(autouse=True)
def _connection(monkeypatch):
    Connection.made = []
    monkeypatch.setattr("greengrass_sdk.client.tools.ToolConnection", Connection)


def test_a_question_has_a_connection_of_its_own():
    assert ask("/r", "status") == {"op": "status", "timeout_s": 30.0}
    assert [(one.root, one.closed) for one in Connection.made] == [("/r", True)]


def test_an_invocation_is_waited_for_as_long_as_it_takes():
    answer = ask(None, "invoke", {"function": "f"})

    assert answer == {"op": "invoke", "timeout_s": None, "function": "f"}


def test_a_payload_is_the_bytes_of_its_argument():
    assert read_payload('{"grün": 1}') == '{"grün": 1}'.encode()
    assert read_payload(os.fsdecode(b"\xff")) == b"\xff"


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\x00\xff")))

    assert read_payload("-") == b"\x00\xff"


def test_without_standard_input_a_dash_is_wrong_usage(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)

    with pytest.raises(UsageError, match="no standard input"):
        read_payload("-")


def test_text_stays_text_and_the_rest_becomes_base64():
    assert encoded_payload("grün".encode()) == {"payload": "grün", "encoding": "utf-8"}
    assert encoded_payload(b"\xff") == {"payload": "/w==", "encoding": "base64"}


def test_an_option_that_takes_an_object_says_what_it_got():
    assert parse_json_object('{"a": 1}', "--x", prog="greengrass x") == {"a": 1}
    with pytest.raises(UsageError, match="--x is not JSON") as caught:
        parse_json_object("{", "--x", prog="greengrass x")
    assert caught.value.prog == "greengrass x"
    with pytest.raises(UsageError, match="--x must be a JSON object"):
        parse_json_object("[]", "--x", prog="greengrass x")
