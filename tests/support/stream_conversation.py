# SPDX-License-Identifier: Apache-2.0
"""
What any client of the stream manager must get to hear: AWS's two, ours natively and over a port.

`converse(module)` runs in a function's zip, in a child process and in a test, so it imports nothing
of ours. `EXPECTED` is what it returns.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MIB = 1024 * 1024


def converse(sm: Any, client: Any, name: str) -> list[Any]:
    """Go through all operations, errors included, and tell what came of each."""
    told: list[Any] = []

    def ask(call: Any, *arguments: Any) -> Any:
        try:
            answer = call(*arguments)
        except sm.StreamManagerException as error:
            status = error.status if error.status is None else error.status.name
            said = error.message
            for noise in (name, f"{name}-small"):
                said = said.replace(noise, "NAME")
            told.append([type(error).__name__, status, bool(said)])
            return None
        told.append(answer if answer is None or isinstance(answer, int) else type(answer).__name__)
        return answer

    def definition(**more: Any) -> Any:
        values = {"name": name, "strategy_on_full": sm.StrategyOnFull.RejectNewData, **more}
        return sm.MessageStreamDefinition(**values)

    def options(**values: Any) -> Any:
        return sm.ReadMessagesOptions(**values)

    ask(client.delete_message_stream, name)
    ask(client.append_message, name, b"nobody")
    ask(client.create_message_stream, definition(export_definition=_exports(sm)))
    ask(client.create_message_stream, definition())
    for payload in (b"ABCDEFGHIJKLMNO", b"PQRSTUVWXYZ", b"\x00\xff", bytes(MIB)):
        ask(client.append_message, name, payload)
    messages = ask(client.read_messages, name)
    told.append([[each.sequence_number, each.payload.decode()] for each in messages])
    two = options(desired_start_sequence_number=1, min_message_count=2, max_message_count=2)
    messages = ask(client.read_messages, name, two)
    told.append([[each.stream_name == name, each.sequence_number] for each in messages])
    told.append(all(each.ingest_time > 1_600_000_000_000 for each in messages))
    ask(client.read_messages, name, options(min_message_count=99))
    ask(client.read_messages, name, options(min_message_count=99, read_timeout_millis=300))
    ask(client.read_messages, f"{name}-none", options(read_timeout_millis=300))
    told.append(name in client.list_streams())
    info = ask(client.describe_message_stream, name)
    status = info.storage_status
    told.append([status.oldest_sequence_number, status.newest_sequence_number])
    told.append([info.definition.max_size, info.definition.strategy_on_full.name])
    told.append([each.export_config_identifier for each in info.export_statuses])
    ask(client.update_message_stream, definition(max_size=300 * MIB))
    told.append(client.describe_message_stream(name).definition.max_size // MIB)
    ask(client.update_message_stream, definition(persistence=sm.Persistence.Memory))
    ask(client.update_message_stream, definition(name=f"{name}-none"))
    ask(client.create_message_stream, definition(name="a/b"))
    ask(client.append_message, name, b"")
    ask(client.append_message, name, "text")
    ask(client.read_messages, name, options(min_message_count=3, max_message_count=2))
    ask(client.read_messages, name, options(read_timeout_millis=61_000))
    small = definition(name=f"{name}-small", max_size=4096, stream_segment_size=1024)
    ask(client.create_message_stream, small)
    while ask(client.append_message, f"{name}-small", bytes(500)) is not None:
        told.pop()
    ask(client.delete_message_stream, f"{name}-small")
    ask(client.delete_message_stream, name)
    ask(client.describe_message_stream, name)
    return told


def _exports(sm: Any) -> Any:
    """Return exports of all of AWS's kinds that go nowhere."""
    status = sm.StatusConfig(status_level=sm.StatusLevel.INFO)
    return sm.ExportDefinition(
        http=[sm.HTTPConfig(identifier="h", uri="http://127.0.0.1:1/", disabled=True)],
        kinesis=[sm.KinesisConfig(identifier="k", kinesis_stream_name="K", disabled=True)],
        iot_analytics=[sm.IoTAnalyticsConfig(identifier="a", iot_channel="c", disabled=True)],
        iot_sitewise=[sm.IoTSiteWiseConfig(identifier="s", disabled=True)],
        s3_task_executor=[
            sm.S3ExportTaskExecutorConfig(identifier="3", disabled=True, status_config=status)
        ],
    )


EXPECTED: list[Any] = [
    ["ResourceNotFoundException", "ResourceNotFound", True],
    ["ResourceNotFoundException", "ResourceNotFound", True],
    None,
    ["InvalidRequestException", "InvalidRequest", True],
    *range(4),
    "list",
    [[0, "ABCDEFGHIJKLMNO"]],
    "list",
    [[True, 1], [True, 2]],
    True,
    ["NotEnoughMessagesException", "NotEnoughMessages", True],
    ["NotEnoughMessagesException", "NotEnoughMessages", True],
    ["ResourceNotFoundException", "ResourceNotFound", True],
    True,
    "MessageStreamInfo",
    [0, 3],
    [268435456, "RejectNewData"],
    ["h", "a", "k", "s", "3"],
    None,
    300,
    ["UpdateNotAllowedException", "UpdateNotAllowed", True],
    ["ResourceNotFoundException", "ResourceNotFound", True],
    ["ValidationException", None, True],
    ["ValidationException", None, True],
    ["ValidationException", None, True],
    ["ValidationException", None, True],
    ["ValidationException", None, True],
    None,
    ["InvalidRequestException", "InvalidRequest", True],
    None,
    None,
    ["ResourceNotFoundException", "ResourceNotFound", True],
]
