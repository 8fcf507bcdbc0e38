# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os

import pytest

from greengrass_sdk._native._py.lent import Lent, read_in_python, read_lent


@pytest.fixture
def descriptor(tmp_path):
    (tmp_path / "file").write_bytes(b"some bytes")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_what_is_lent_is_a_head_and_bytes_of_a_file(descriptor):
    lent = Lent(os.dup(descriptor), 5, 4, b"the ")
    assert (8, b"the byte") == (len(lent), bytes(lent))


def test_a_file_is_closed_with_what_was_lent_of_it(descriptor):
    mine = os.dup(descriptor)
    lent = Lent(mine, 0, 1)
    os.fstat(mine)
    del lent
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(mine)


def test_who_takes_the_descriptor_closes_it(descriptor):
    lent = Lent(os.dup(descriptor), 0, 1, b"head ")
    taken = lent.detach()
    assert b"head " == bytes(lent)
    del lent
    os.close(taken)


@pytest.mark.parametrize("read", [read_in_python, read_lent], ids=["python", "chosen"])
def test_what_cannot_be_read_is_left_out(read, descriptor):
    assert b"so some bytes" == read(descriptor, 0, 10, b"so ")
    assert b"tes" == read(descriptor, 7, 10, b"")
    assert b"so " == read(descriptor, 99, 10, b"so ")
    assert b"so " == read(-1, 0, 10, b"so ")
