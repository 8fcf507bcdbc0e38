# SPDX-License-Identifier: Apache-2.0
"""The frame format, in both implementations."""

from __future__ import annotations

import itertools
import json
import pickle
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from greengrass_sdk import errors
from greengrass_sdk._native._py.frames import (
    HEADER_BYTES,
    MAX_CONTEXT,
    MAX_FRAME,
    MAX_TOPIC,
    Flag,
    Frame,
    FrameError,
    Kind,
    Status,
    encode_frame,
    encode_header,
    request_id,
)

VECTORS = json.loads(
    Path(__file__).parents[3].joinpath("data", "native", "frames.json").read_text(encoding="utf-8")
)
ALLOWED = {
    Kind.PUBLISH: 3,
    Kind.MESSAGE: 0,
    Kind.INVOKE: 1,
    Kind.RESULT: 7,
    Kind.VERDICT: 7,
    Kind.READY: 1,
    Kind.CONTROL: 0,
}
SMALL = encode_frame(Kind.PUBLISH, Flag.ANSWER, 7, 9, b"a/b", b"ctx", b"hello")


def named(vectors):
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def frame_of(vector) -> Frame:
    fields = dict(vector["frame"])
    for name in ("topic", "context", "payload"):
        fields[name] = bytes.fromhex(fields[name])
    return Frame(**fields)


@st.composite
def frames(draw) -> Frame:
    kind = draw(st.sampled_from(sorted(ALLOWED)))
    return Frame(
        kind,
        draw(st.integers(0, 255)) & ALLOWED[kind],
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 2**64 - 1)),
        draw(st.binary(max_size=40)),
        draw(st.binary(max_size=40)),
        draw(st.binary(max_size=200)),
    )


def encoded(frame: Frame) -> bytes:
    return encode_frame(*frame.as_tuple())


def cut(data: bytes, points) -> list[bytes]:
    edges = [0, *sorted(point % (len(data) + 1) for point in points), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def conversation(decoder_class, pieces, max_frame=MAX_FRAME):
    """Return all that a peer's bytes led to: frames, the reason of the end, and what is pending."""
    decoder = decoder_class(max_frame)
    seen: list[Frame] = []
    for piece in pieces:
        try:
            seen += decoder.feed(piece)
        except FrameError as error:
            return seen + error.frames, error.reason, None
    return seen, None, decoder.pending


class TestEncoding:
    @pytest.mark.parametrize("vector", named(VECTORS["good"]))
    def test_gives_the_known_bytes(self, vector):
        assert bytes.fromhex(vector["hex"]) == encoded(frame_of(vector))

    def test_header_of_the_lengths_is_the_beginning_of_the_frame(self):
        assert SMALL[:HEADER_BYTES] == encode_header(Kind.PUBLISH, Flag.ANSWER, 7, 9, 3, 3, 5)

    @pytest.mark.parametrize(
        "fields",
        [
            {"kind": 0},
            {"kind": 8},
            {"kind": 256},
            {"kind": -1},
            {"kind": Kind.MESSAGE, "flags": 1},
            {"kind": Kind.PUBLISH, "flags": 4},
            {"kind": Kind.PUBLISH, "flags": 256},
            {"kind": Kind.PUBLISH, "endpoint": 2**32},
            {"kind": Kind.PUBLISH, "endpoint": -1},
            {"kind": Kind.PUBLISH, "id": 2**64},
            {"kind": Kind.PUBLISH, "id": -1},
            {"kind": Kind.PUBLISH, "topic": bytes(MAX_TOPIC + 1)},
            {"kind": Kind.INVOKE, "context": bytes(MAX_CONTEXT + 1)},
        ],
        ids=str,
    )
    def test_refuses_what_a_receiver_would_refuse(self, fields):
        with pytest.raises(errors.LocalProtocolError, match="cannot encode a frame"):
            encode_frame(**fields)

    def test_refuses_a_payload_that_no_length_can_tell(self):
        with pytest.raises(errors.LocalProtocolError, match="4294967296 bytes"):
            encode_header(Kind.PUBLISH, 0, 0, 0, 0, 0, 2**32)


class TestFrame:
    def test_repr_shows_sizes_and_no_payload(self):
        text = repr(Frame(Kind.PUBLISH, topic=b"a/b", context=b"secret", payload=b"secret"))
        assert "topic=b'a/b'" in text
        assert "secret" not in text
        assert "payload=<6 bytes>" in text

    def test_equals_by_value_only_another_frame(self):
        assert Frame(1, topic=b"a") == Frame(1, topic=b"a")
        assert Frame(1, topic=b"a") != Frame(1, topic=b"b")
        assert Frame(1) != (1, 0, 0, 0, b"", b"", b"")

    def test_takes_no_other_attribute(self):
        with pytest.raises(AttributeError):
            Frame(1).subject = b""  # type: ignore[attr-defined]

    def test_error_survives_pickling(self):
        error = pickle.loads(pickle.dumps(FrameError("why", [Frame(1)])))
        assert ("why", [Frame(1)]) == (error.reason, error.frames)


class TestDecoding:
    @pytest.mark.parametrize("vector", named(VECTORS["good"]))
    def test_gives_the_known_fields(self, native, vector):
        decoder = native.FrameDecoder()
        assert [frame_of(vector)] == decoder.feed(bytes.fromhex(vector["hex"]))
        assert decoder.pending == 0

    @pytest.mark.parametrize("vector", named(VECTORS["bad"]))
    def test_names_what_is_wrong(self, native, vector):
        decoder = native.FrameDecoder(1000)
        with pytest.raises(FrameError) as caught:
            decoder.feed(SMALL + bytes.fromhex(vector["hex"]))
        assert vector["reason"] == caught.value.reason
        assert vector["reason"] == str(caught.value)
        assert len(caught.value.frames) == 1
        assert isinstance(caught.value, errors.RemoteProtocolError)

    @pytest.mark.parametrize("vector", named(VECTORS["bad"]))
    def test_names_what_is_wrong_when_the_header_comes_in_two_pieces(self, native, vector):
        decoder = native.FrameDecoder(1000)
        bad = bytes.fromhex(vector["hex"])
        assert [decoder.feed(SMALL)[0]] == native.FrameDecoder().feed(SMALL)
        assert decoder.feed(bad[:7]) == []
        with pytest.raises(FrameError) as caught:
            decoder.feed(bad[7:])
        assert vector["reason"] == caught.value.reason
        assert caught.value.frames == []

    @pytest.mark.parametrize("vector", named(VECTORS["bad"]))
    def test_ends_at_the_header_before_the_body_has_arrived(self, native, vector):
        with pytest.raises(FrameError):
            native.FrameDecoder(1000).feed(bytes.fromhex(vector["hex"])[:HEADER_BYTES])

    def test_a_dead_decoder_stays_dead(self, native):
        decoder = native.FrameDecoder()
        with pytest.raises(FrameError):
            decoder.feed(bytes(HEADER_BYTES))
        with pytest.raises(FrameError) as caught:
            decoder.feed(SMALL)
        assert caught.value.reason == "length 0 is less than the 24 bytes of the header"
        assert caught.value.frames == []

    @pytest.mark.parametrize("kind", [*range(10), 16, 128, 255])
    def test_takes_the_flags_of_its_kind_and_no_other(self, native, kind):
        for flags in range(256):
            frame = bytearray(HEADER_BYTES)
            frame[0], frame[4], frame[5] = HEADER_BYTES, kind, flags
            good = kind in ALLOWED and not flags & ~ALLOWED[kind]
            seen, reason, _ = conversation(native.FrameDecoder, [frame])
            assert good == (reason is None)
            assert good == (len(seen) == 1)

    def test_every_status_is_a_valid_verdict(self, native):
        statuses = [value for name, value in vars(Status).items() if name.isupper()]
        data = b"".join(encode_frame(Kind.VERDICT, status) for status in statuses)
        assert statuses == [frame.flags for frame in native.FrameDecoder().feed(data)]

    def test_takes_the_largest_topic_and_context(self, native):
        frame = Frame(Kind.INVOKE, topic=b"t" * MAX_TOPIC, context=b"c" * MAX_CONTEXT, payload=b"p")
        assert [frame] == native.FrameDecoder().feed(encoded(frame))

    def test_limit_counts_the_whole_frame(self, native):
        assert len(native.FrameDecoder(len(SMALL)).feed(SMALL)) == 1
        with pytest.raises(FrameError, match="more than the 34 bytes"):
            native.FrameDecoder(len(SMALL) - 1).feed(SMALL)

    @pytest.mark.parametrize("max_frame", [-1, 0, HEADER_BYTES - 1, 2**32])
    def test_refuses_a_limit_that_makes_no_sense(self, native, max_frame):
        with pytest.raises(errors.InvalidInputError, match="max_frame"):
            native.FrameDecoder(max_frame)

    def test_nothing_in_gives_nothing_out(self, native):
        decoder = native.FrameDecoder()
        assert decoder.feed(b"") == []
        assert decoder.feed(SMALL[:3]) == []
        assert decoder.feed(b"") == []
        assert decoder.pending == 3

    def test_pending_counts_what_waits_for_the_rest(self, native):
        decoder = native.FrameDecoder()
        assert len(decoder.feed(SMALL + SMALL[:30])) == 1
        assert decoder.pending == 30
        assert len(decoder.feed(SMALL[30:] + SMALL[:1])) == 1
        assert decoder.pending == 1

    @pytest.mark.parametrize("type_", [bytes, bytearray, memoryview])
    def test_any_buffer_does(self, native, type_):
        frames = native.FrameDecoder().feed(type_(SMALL * 3))
        assert len(frames) == 3
        assert (bytes, bytes, bytes) == (
            type(frames[0].topic),
            type(frames[0].context),
            type(frames[0].payload),
        )

    @pytest.mark.parametrize("size", [24, 34, 40, 100])
    def test_the_callers_buffer_is_not_held(self, native, size):
        """A buffer of 64 KiB must not live as long as the 5 bytes that somebody keeps of it."""
        decoder = native.FrameDecoder()
        buffer = bytearray((SMALL * 3)[:size])
        kept = decoder.feed(buffer)
        buffer += b"resizable again, so nothing looks into it"
        data = bytes((SMALL * 3)[:size])
        before = sys.getrefcount(data)
        kept += native.FrameDecoder().feed(data)
        assert before == sys.getrefcount(data)

    def test_a_large_frame_in_small_pieces_takes_little_more_than_itself(self, native):
        size = 2 * 1024 * 1024
        data = encode_frame(Kind.INVOKE, topic=b"f", payload=bytes(size))
        decoder = native.FrameDecoder()
        tracemalloc.start()
        try:
            frames = [
                frame
                for at in range(0, len(data), 4096)
                for frame in decoder.feed(data[at : at + 4096])
            ]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert [size] == [len(frame.payload) for frame in frames]
        assert peak < 3 * size
        assert decoder.pending == 0

    def test_an_announced_length_allocates_nothing(self, native):
        header = encode_header(Kind.INVOKE, 0, 0, 0, 0, 0, 6 * 1024 * 1024)
        decoder = native.FrameDecoder()
        tracemalloc.start()
        try:
            decoder.feed(header + b"x")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 64 * 1024

    @pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 200])
    def test_more_frames_than_a_batch_come_out_in_order(self, native, count):
        data = b"".join(encode_frame(Kind.MESSAGE, id=number) for number in range(count))
        assert list(range(count)) == [frame.id for frame in native.FrameDecoder().feed(data)]

    @pytest.mark.parametrize("count", [63, 64, 65, 128])
    def test_a_bad_frame_at_the_edge_of_a_batch_is_found(self, native, count):
        with pytest.raises(FrameError) as caught:
            native.FrameDecoder().feed(SMALL * count + bytes(HEADER_BYTES))
        assert count == len(caught.value.frames)

    @given(st.lists(frames(), max_size=8), st.lists(st.integers(0, 10**6), max_size=12))
    def test_pieces_do_not_matter(self, native, sent, points):
        data = b"".join(map(encoded, sent))
        assert (sent, None, 0) == conversation(native.FrameDecoder, cut(data, points))

    @given(frames())
    def test_every_frame_byte_by_byte(self, native, sent):
        data = encoded(sent)
        pieces = [data[at : at + 1] for at in range(len(data))]
        assert ([sent], None, 0) == conversation(native.FrameDecoder, pieces)


class TestBothDecoders:
    """The C and the Python decoder cannot be told apart by a peer."""

    @given(
        st.lists(frames(), max_size=6),
        st.lists(st.integers(0, 10**6), max_size=8),
        st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
        st.integers(HEADER_BYTES, 300),
    )
    @example([], [], [], HEADER_BYTES)
    def test_agree_on_corrupted_streams(self, both, sent, points, damage, max_frame):
        data = bytearray().join(map(encoded, sent))
        for at, value in damage:
            if data:
                data[at % len(data)] = value
        self.agree(both, cut(bytes(data), points), max_frame)

    @given(st.lists(st.binary(max_size=120), max_size=5), st.integers(HEADER_BYTES, 2**32 - 1))
    def test_agree_on_any_bytes(self, both, pieces, max_frame):
        self.agree(both, pieces, max_frame)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([0, 23, 24, 25, 40, 600, 66000, 2**31, 2**32 - 1]),
                st.integers(0, 9),
                st.integers(0, 8),
                st.sampled_from([0, 1, 16, 512, 513, 65535]),
                st.sampled_from([0, 1, 16, 65536, 65537, 2**32 - 1]),
            ),
            max_size=3,
        ),
        st.binary(max_size=64),
    )
    def test_agree_on_headers_at_the_limits(self, both, headers, rest):
        data = b"".join(
            length.to_bytes(4, "little")
            + bytes([kind, flags])
            + topic.to_bytes(2, "little")
            + context.to_bytes(4, "little")
            + bytes(12)
            for length, kind, flags, topic, context in headers
        )
        self.agree(both, [data + rest], 66000)

    @staticmethod
    def agree(both, pieces, max_frame):
        c, python = both
        assert conversation(python.FrameDecoder, pieces, max_frame) == conversation(
            c.FrameDecoder, pieces, max_frame
        )


class TestRequestId:
    def test_is_the_known_uuid(self):
        boot = bytes.fromhex("1011121314151617")
        assert request_id(boot, 0x0102030405060708) == "10111213-1415-8617-8102-030405060708"

    @given(st.binary(min_size=8, max_size=8), st.integers(0, 2**62 - 1))
    def test_is_a_uuid_of_version_8_that_keeps_the_work_id(self, boot, work_id):
        import uuid

        text = request_id(boot, work_id)
        parsed = uuid.UUID(text)
        assert (text, 8, uuid.RFC_4122) == (str(parsed), parsed.version, parsed.variant)
        assert work_id == parsed.int & (2**62 - 1)
        assert boot[:6] == parsed.bytes[:6]

    @pytest.mark.parametrize("boot", [b"", bytes(7), bytes(9)])
    def test_wants_eight_bytes(self, boot):
        with pytest.raises(errors.InvalidInputError, match="must have 8"):
            request_id(boot, 1)
