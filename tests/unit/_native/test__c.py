# SPDX-License-Identifier: Apache-2.0
"""What concerns the binding alone; what both implementations must do is tested in _py/."""

from __future__ import annotations

import gc

import pytest

from greengrass_sdk import errors
from greengrass_sdk._native._py import frames

_c = pytest.importorskip("greengrass_sdk._native._c", reason="the C extension is not built")
_lib = pytest.importorskip("greengrass_sdk._native._lib")


def test_the_limits_of_c_are_those_of_python():
    assert (frames.HEADER_BYTES, frames.MAX_TOPIC, frames.MAX_CONTEXT) == (
        _lib.lib.GG_FRAME_HEADER,
        _lib.lib.GG_MAX_TOPIC,
        _lib.lib.GG_MAX_CONTEXT,
    )


def test_the_structs_have_the_layout_that_python_reads():
    view, row = (_lib.ffi.typeof(f"struct {name}") for name in ("gg_frame", "gg_subscription"))
    assert [
        ("id", 0),
        ("topic", 8),
        ("context", 16),
        ("payload", 24),
        ("end", 32),
        ("endpoint", 40),
        ("kind", 44),
        ("flags", 45),
        ("zero", 46),
    ] == [(name, field.offset) for name, field in view.fields]
    assert [("source", 0), ("row", 4), ("filter", 8), ("filter_size", 12)] == [
        (name, field.offset) for name, field in row.fields
    ]
    assert (48, 16) == (_lib.ffi.sizeof(view), _lib.ffi.sizeof(row))


def test_a_status_becomes_an_error_with_its_sentence():
    error = _c._failure("gg_index_init", _lib.lib.GG_ENOSPC)
    assert isinstance(error, errors.NativeError)
    assert error.status == _lib.lib.GG_ENOSPC
    assert str(error) == "gg_index_init() failed with status -2: The memory given is too small"


def test_a_filter_that_c_alone_refuses_is_an_error_of_ours(monkeypatch):
    """Python checks first; if the two ever disagree, nothing is built from what C refused."""
    monkeypatch.setattr(_c, "check_entry", lambda *_: None)
    index = _c.TopicIndex()
    index.add(1, b"a/#/b", 0)
    with pytest.raises(errors.NativeError, match="The topic filter is malformed") as caught:
        index.match(1, b"a")
    assert caught.value.status == _lib.lib.GG_EFILTER


def test_a_frame_that_c_alone_refuses_is_an_error_of_ours(monkeypatch):
    monkeypatch.setattr(_c, "explain", lambda *_: None)
    with pytest.raises(errors.NativeError, match="The length of the frame") as caught:
        _c.FrameDecoder().feed(bytes(frames.HEADER_BYTES))
    assert caught.value.status == _lib.lib.GG_ELENGTH


def test_an_index_frees_its_memory_with_the_last_reference():
    index = _c.TopicIndex()
    index.add(1, b"a/+", 3)
    assert index.match(1, b"a/b") == [3]
    old = index._built
    assert old is not None
    index.add(1, b"a/b", 4)
    assert index.match(1, b"a/b") == [3, 4]
    gc.collect()
    assert old.match(1, b"a/b") == [3]  # a thread that was still matching in it


def test_result_arrays_are_reused():
    index = _c.TopicIndex()
    index.add(1, b"#", 3)
    for _ in range(10):
        index.match(1, b"a")
    assert index._built is not None
    assert len(index._built.spare) == 1
