# SPDX-License-Identifier: Apache-2.0

import io

import pytest

from greengrass_sdk.cli import _progress
from greengrass_sdk.cli._output import Output
from greengrass_sdk.cli._progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(_progress, "_PATIENCE_S", 0.0)


def work(output, unit="messages"):
    with Progress(output, "read", 4, unit) as progress:
        progress.advance(1)
        progress.advance(1)
    return output.stderr.getvalue()


def test_a_bar_grows_on_the_terminal_and_is_gone_at_the_end():
    shown = work(Output(stdout=io.StringIO(), stderr=Terminal()))
    assert "read [#######" in shown
    assert " 25% of 4 messages" in shown
    assert " 50% of 4 messages" in shown
    assert shown.endswith("\r\x1b[K")


@pytest.mark.parametrize(
    "output",
    [
        Output(stdout=io.StringIO(), stderr=io.StringIO()),
        Output(stdout=io.StringIO(), stderr=Terminal(), json=True),
        Output(stdout=io.StringIO(), stderr=Terminal(), quiet=True),
        Output(stdout=Terminal(), stderr=Terminal()),
    ],
    ids=["no terminal", "json", "quiet", "the result is shown there"],
)
def test_nothing_is_shown_where_it_would_be_in_the_way(output):
    assert "" == work(output)


def test_a_summary_leaves_room_for_a_bar():
    assert "50%" in work(Output(stdout=Terminal(), stderr=Terminal()), "bytes")


def test_what_is_done_quickly_shows_nothing(monkeypatch):
    monkeypatch.setattr(_progress, "_PATIENCE_S", 60.0)
    assert "" == work(Output(stdout=io.StringIO(), stderr=Terminal()))


def test_nothing_to_do_is_done():
    output = Output(stdout=io.StringIO(), stderr=Terminal())
    with Progress(output, "read", 0, "messages") as progress:
        progress.advance(0)
    assert isinstance(output.stderr, Terminal)
    assert "100% of 0" in output.stderr.getvalue()
