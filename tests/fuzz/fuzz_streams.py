# SPDX-License-Identifier: Apache-2.0
"""
Fuzz the stream manager's protocol: `nox -s fuzz -- streams tests/fuzz/corpus/streams`.

The input is what a client sends; its first byte says how it is cut, and whether the client is
known already. Oracle: each event is a request, an answer or the end; nothing follows the end; every
answer is a frame with a status that clients know; no more is held than the largest frame; the other
end of the protocol survives the same bytes.
"""

from __future__ import annotations

import contextlib
import sys

import cbor2

from greengrass_sdk.errors import RemoteProtocolError, StreamError
from greengrass_sdk.model.stream import MessageStreamDefinition, ReadMessagesOptions
from greengrass_sdk.wire.streams import (
    PROTOCOLS,
    Call,
    ClientSession,
    Close,
    Send,
    ServerSession,
    encode_frame,
)

MAX_FRAME = 2000
CONNECT = b"\x01" + encode_frame(1, {"requestId": "c", "protocolVersion": PROTOCOLS[0]})


def check_frame(data: bytes) -> None:
    """Raise where an answer is no frame that AWS's clients understand."""
    if int.from_bytes(data[:4], "big") != len(data) - 4:
        raise AssertionError(f"{data!r}: no frame")
    if not 0 <= cbor2.loads(data[5:])["status"] <= 18:
        raise AssertionError(f"{data!r}: no status")


def look_into(call: Call) -> None:
    """Have the model read what a request says."""
    for shape, key in (
        (MessageStreamDefinition, "definition"),
        (ReadMessagesOptions, "readMessagesOptions"),
    ):
        values = call.body.get(key)
        if isinstance(values, dict):
            with contextlib.suppress(StreamError):
                shape.from_dict(values).check()
    check_frame(call.answer(0))
    check_frame(call.fail_safely("late"))


def one_input(data: bytes) -> None:
    how, data = data[:1] or b"\0", data[1:]
    session = ServerSession(
        lambda token: token != "no", identifier="c", version="v", max_frame=MAX_FRAME
    )
    if how[0] & 1:
        session.receive(CONNECT)
    step = how[0] >> 1 or len(data) or 1
    ended = False
    for at in range(0, len(data), step):
        for event in session.receive(data[at : at + step]):
            if ended:
                raise AssertionError(f"{event!r} after the end")
            if isinstance(event, Call):
                look_into(event)
            elif isinstance(event, Send):
                # A length begins with zero, the answer to a handshake with its version.
                check_frame(event.data[1:] if event.data[0] else event.data)
            elif isinstance(event, Close):
                ended = True
        if session.pending > max(MAX_FRAME, 4096) + 5 + step:
            raise AssertionError(f"{session.pending} bytes are held")
    with contextlib.suppress(RemoteProtocolError):
        ClientSession().receive(data)


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("fuzzing Python needs atheris: pip install atheris")
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
