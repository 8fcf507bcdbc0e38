# SPDX-License-Identifier: Apache-2.0
"""The known-answer test that the core runs when it starts."""

from __future__ import annotations

import pytest

from greengrass_sdk import errors
from greengrass_sdk._native import _selftest
from greengrass_sdk._native._py.frames import FrameDecoder, FrameError
from greengrass_sdk._native._py.index import TopicIndex


def test_passes_for_both_implementations(native):
    _selftest.check(native.FrameDecoder, native.TopicIndex)


def test_finds_a_decoder_that_swaps_bytes():
    class Swapped(FrameDecoder):
        __slots__ = ()

        def feed(self, data):
            frames = super().feed(data)
            for frame in frames:
                frame.endpoint = int.from_bytes(frame.endpoint.to_bytes(4, "big"), "little")
            return frames

    with pytest.raises(errors.NativeError, match="self-test of FrameDecoder: expected"):
        _selftest.check(Swapped, TopicIndex)


def test_finds_an_index_that_follows_mqtt_instead_of_the_guide():
    class Mqtt(TopicIndex):
        __slots__ = ()

        def add(self, source, topic_filter, row):
            super().add(source, topic_filter, row)
            if topic_filter.endswith(b"/#"):
                super().add(source, topic_filter[:-2], row)

    with pytest.raises(errors.NativeError, match=r"TopicIndex, b'a' of 1: expected \[1, 9\]"):
        _selftest.check(FrameDecoder, Mqtt)


def test_finds_a_decoder_that_does_not_see_a_bad_frame():
    class Blind(FrameDecoder):
        __slots__ = ()

        def feed(self, data):
            try:
                return super().feed(data)
            except FrameError as error:
                return error.frames

    with pytest.raises(errors.NativeError, match="bad kind"):
        _selftest.check(Blind, TopicIndex)
