# SPDX-License-Identifier: Apache-2.0
"""The port and the exports of a stream manager, opened and closed together."""

from __future__ import annotations

import asyncio
import json

import pytest

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.manager import StreamManager
from greengrass_sdk.core.streams.outlets import Outlets
from greengrass_sdk.core.streams.store import FolderStore
from greengrass_sdk.errors import ConfigError
from greengrass_sdk.model.parts import Streams
from greengrass_sdk.model.stream import (
    ExportDefinition,
    FileConfig,
    MessageStreamDefinition,
    StrategyOnFull,
)
from greengrass_sdk.wire import cbor

pytestmark = pytest.mark.sockets

WAIT_S = 10.0


def run(tmp_path, conversation, **settings):
    async def whole():
        manager = StreamManager(FolderStore(tmp_path / "store"))
        await manager.start()
        streams = Streams(enabled=True, port=0, **settings)
        outlets = Outlets(manager, streams, "us-east-1", tmp_path, lambda: ["token"])
        await outlets.start()
        try:
            await conversation(manager, outlets)
        finally:
            await outlets.stop()
            await manager.stop()

    asyncio.run(whole())


def definition(**exports):
    return MessageStreamDefinition(
        "s",
        strategy_on_full=StrategyOnFull.RejectNewData,
        export_definition=ExportDefinition(**exports),
    )


def test_messages_leave_by_the_exports_of_their_stream(tmp_path):
    async def conversation(manager, outlets):
        await manager.create_message_stream(definition(file=[FileConfig("f", "out.jsonl")]))
        await manager.append_messages("s", [b"a", b"b"])
        async with asyncio.timeout(WAIT_S):
            while True:
                info = await manager.describe_message_stream("s")
                if info.export_statuses[0].last_exported_sequence_number == 1:
                    break
                await asyncio.sleep(0.005)

    run(tmp_path, conversation)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(0, "a"), (1, "b")] == [(line["sequenceNumber"], line["payload"]) for line in lines]


@pytest.mark.parametrize("asked", [True, False])
def test_clients_show_a_token_unless_the_group_wants_none(tmp_path, asked):
    async def conversation(manager, outlets):
        assert outlets.port > 0
        assert asked != outlets._server.authenticate(None)
        assert outlets._server.authenticate("token")

    run(tmp_path, conversation, authenticate_client=asked)


def test_without_its_extra_the_port_is_not_opened_and_streams_work(tmp_path, monkeypatch, caplog):
    def missing():
        raise ConfigError("pip install greengrass-core[streams]")

    monkeypatch.setattr(cbor, "require", missing)

    async def conversation(manager, outlets):
        assert outlets._server is None
        assert 0 == outlets.port
        await manager.create_message_stream(definition())
        assert 0 == await manager.append_message("s", b"a")

    run(tmp_path, conversation)
    assert any("AWS's clients cannot connect: pip install" in text for text in caplog.messages)


def test_exporters_get_what_the_group_says(tmp_path):
    async def conversation(manager, outlets):
        schedule = outlets._schedule
        assert (3, 512, 6_000_000, tmp_path) == (
            schedule.threads,
            schedule.kbit_s,
            schedule.setting.part_bytes,
            schedule.setting.root,
        )
        assert (tmp_path,) == schedule.setting.read_only_dirs

    settings = {"threads": 3, "bandwidth_kbit_s": 512, "s3_part_bytes": 6_000_000}
    run(tmp_path, conversation, read_only_dirs=(tmp_path,), **settings)


def test_an_exporter_appends_from_its_thread(tmp_path):
    async def conversation(manager, outlets):
        await manager.create_message_stream(definition())
        append = outlets._schedule.setting.append
        await asyncio.to_thread(append, "s", b"status")
        (message,) = await manager.read_messages("s")
        assert b"status" == message.payload
        with pytest.raises(ExportError, match=r"status stream none: .*none"):
            await asyncio.to_thread(append, "none", b"status")

    run(tmp_path, conversation)
