# SPDX-License-Identifier: Apache-2.0
"""Counters of changes, shared by all who have a file open."""

from contextlib import closing

import pytest

from greengrass_sdk.core.secrets.changes import Changes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file-changes"


@pytest.fixture
def reader(path):
    with closing(Changes.open(path)) as reader:
        yield reader


@pytest.fixture
def writer(path, reader):
    with closing(Changes.open(path)) as writer:
        yield writer


def test_the_counters_are_for_their_owner_alone(path, reader):
    assert 0o600 == path.stat().st_mode & 0o777
    assert reader.is_settled(reader.look())


def test_each_change_of_another_is_seen_from_its_beginning(reader, writer):
    before = reader.look()
    writer.begin()
    during = reader.look()
    writer.end()
    after = reader.look()
    assert 3 == len({before, during, after})
    assert [True, False, True] == [*map(reader.is_settled, (before, during, after))]


def test_nothing_changes_when_nothing_was_begun(reader, writer):
    before = reader.look()
    writer.end()
    assert before == reader.look()


def test_a_writer_that_died_leaves_it_open_until_the_next_change(path, reader, writer):
    with closing(Changes.open(path)) as died:
        died.begin()
    assert not reader.is_settled(reader.look())
    writer.begin()
    writer.end()
    assert reader.is_settled(reader.look())


def test_who_ends_last_does_not_hide_who_came_after(path, reader, writer):
    with closing(Changes.open(path)) as other:
        writer.begin()  # and has committed
        other.begin()
        writer.end()
        assert not reader.is_settled(reader.look())
        other.end()
        assert reader.is_settled(reader.look())


def test_who_ends_late_does_not_open_it_again(path, reader, writer):
    with closing(Changes.open(path)) as other:
        writer.begin()
        other.begin()
        other.end()
        writer.end()
    assert reader.is_settled(reader.look())


def test_it_lasts_beyond_those_who_have_it_open(path, reader, writer):
    writer.begin()
    writer.end()
    with closing(Changes.open(path)) as later:
        assert later.look() == reader.look()
