# SPDX-License-Identifier: Apache-2.0
"""
Streams against a list: what was appended is there, in order, once, until something removes it.

The core may end at any moment: what it had is opened anew, as it was, or with a torn tail behind
it. Time passes, segments fill up, definitions change.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from greengrass_sdk.core.storage.segment import log_name
from greengrass_sdk.core.streams.service import Append, Appended, StreamService
from greengrass_sdk.core.streams.store import MemoryStore
from greengrass_sdk.errors import (
    NotEnoughMessagesError,
    StreamFullError,
    StreamPayloadTooLargeError,
)
from greengrass_sdk.model.stream import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    StrategyOnFull,
)
from greengrass_sdk.wire.blocks import HEADER_BYTES, encode_body, parse_blocks

TTL_MS = 60_000
PAYLOADS = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5)


class Streams(RuleBasedStateMachine):
    """One stream that changes its ways, and the list of all that it took."""

    def __init__(self):
        super().__init__()
        self.now_ms = 1
        self.store = MemoryStore()
        self.service = self.opened()
        self.definition = MessageStreamDefinition(
            "r",
            max_size=4096,
            stream_segment_size=1024,
            strategy_on_full=StrategyOnFull.RejectNewData,
            export_definition=ExportDefinition(kinesis=[KinesisConfig("k", "kinesis")]),
        )
        self.service.create(self.definition)
        self.taken = []  # payload and time of each message, by its number
        self.oldest = 0
        self.exported = 0

    def opened(self):
        service = StreamService(self.store, lambda: self.now_ms)
        service.open()
        return service

    @property
    def status(self):
        return self.service.describe("r").storage_status

    @rule(batches=st.lists(st.tuples(PAYLOADS, st.booleans()), min_size=1, max_size=4))
    def append(self, batches):
        requests = [
            Append("r", len(payloads), encode_body(payloads), separate)
            for payloads, separate in batches
        ]
        results = self.service.append(requests)
        for (payloads, separate), result in zip(batches, results, strict=True):
            if not isinstance(result, Appended):
                assert isinstance(result, StreamFullError | StreamPayloadTooLargeError), result
                continue
            assert len(self.taken) == result.first
            assert result.count == len(payloads) or (separate and result.refused is not None)
            self.taken += [(payload, self.now_ms) for payload in payloads[: result.count]]

    @rule(payload=st.binary(min_size=1, max_size=300))
    def append_where_there_is_room(self, payload):
        size = self.status.total_bytes + HEADER_BYTES + 4 + len(payload)
        [result] = self.service.append([Append("r", 1, encode_body([payload]))])
        keeps = self.definition.strategy_on_full == StrategyOnFull.RejectNewData
        assert isinstance(result, Appended) == (not keeps or size <= self.definition.max_size)
        if isinstance(result, Appended):
            self.taken.append((payload, self.now_ms))

    @rule(
        strategy=st.sampled_from(StrategyOnFull),
        max_size=st.sampled_from([4096, 8192]),
        segment=st.sampled_from([1024, 2048]),
        ttl=st.sampled_from([None, TTL_MS]),
    )
    def update(self, strategy, max_size, segment, ttl):
        if self.status.total_bytes > max_size:
            return
        self.definition = self.definition.replaced(
            strategy_on_full=strategy,
            max_size=max_size,
            stream_segment_size=segment,
            time_to_live_millis=ttl,
        )
        self.service.update(self.definition)

    @rule(ms=st.integers(0, TTL_MS // 2))
    def let_time_pass(self, ms):
        self.now_ms += ms

    @rule()
    def sync(self):
        for unsynced in self.service.take_unsynced():
            assert unsynced.sync({}) is None

    @rule()
    def end_and_open(self):
        before = self.status
        self.service = self.opened()
        assert before == self.status

    @rule(torn=st.binary(min_size=1, max_size=100))
    def end_in_the_middle_of_a_write(self, torn):
        before = self.status
        [stored] = self.store.load()
        logs = [name for name in stored.files.names() if name.endswith(".log")]
        if logs:
            file = stored.files.open(logs[-1])
            file.write(file.size, torn)
        self.service = self.opened()
        assert before == self.status

    @rule()
    def lose_the_indexes(self):
        [stored] = self.store.load()
        for name in stored.files.names():
            if name.endswith(".index"):
                stored.files.remove(name)
        self.end_and_open()

    @rule(most=st.integers(1, 20), max_bytes=st.integers(1, 2000))
    def export(self, most, max_bytes):
        blocks = self.service.read_export("r", "k", most, max_bytes)
        if not blocks:
            assert max(self.exported, self.status.oldest_sequence_number) == len(self.taken)
            return
        payloads = [payload for block in blocks for payload in block.payloads()]
        first = max(self.exported, self.status.oldest_sequence_number)
        assert first == blocks[0].first
        self.expect(first, payloads)
        self.exported = blocks[-1].stop
        size = sum(map(len, payloads))
        self.service.advance_export("r", "k", self.exported - 1, len(payloads), size)

    @rule(data=st.data(), most=st.integers(1, 50), max_bytes=st.integers(1, 5000))
    def read(self, data, most, max_bytes):
        start = data.draw(st.integers(0, len(self.taken) + 1))
        try:
            blocks = self.service.read("r", start, 1, most, max_bytes)
        except NotEnoughMessagesError:
            assert max(start, self.status.oldest_sequence_number) >= len(self.taken)
            return
        payloads = [payload for block in blocks for payload in block.payloads()]
        first = max(start, self.status.oldest_sequence_number)
        assert first == blocks[0].first
        assert len(payloads) <= most
        assert len(payloads) == 1 or sum(block.size for block in blocks) <= max_bytes + 400
        self.expect(first, payloads)
        stored = parse_blocks(b"".join(self.service.read_stored("r", start, 1, most, max_bytes)))
        assert [payload for block in stored for payload in block.payloads()] == payloads

    def expect(self, first, payloads):
        assert [payload for payload, _ in self.taken[first : first + len(payloads)]] == payloads

    @invariant()
    def everything_that_is_left_is_there(self):
        status = self.status
        assert len(self.taken) - 1 == status.newest_sequence_number
        assert self.oldest <= status.oldest_sequence_number
        assert status.total_bytes <= self.definition.max_size
        self.oldest = status.oldest_sequence_number
        if self.oldest < len(self.taken):
            blocks = self.service.read("r", 0, len(self.taken) - self.oldest, 1 << 30, 1 << 30)
            payloads = [payload for block in blocks for payload in block.payloads()]
            assert len(self.taken) - self.oldest == len(payloads)
            self.expect(self.oldest, payloads)

    @invariant()
    def whole_segments_are_removed(self):
        if self.oldest == len(self.taken):
            return
        [stored] = self.store.load()
        assert log_name(self.oldest) in stored.files.names()

    @precondition(lambda self: self.oldest < len(self.taken))
    @rule()
    def verify(self):
        found = self.service.verify("r", 0)
        assert (len(self.taken) - self.oldest, [], None) == (
            found["messages"],
            found["damaged"],
            found["next"],
        )


TestStreams = Streams.TestCase
