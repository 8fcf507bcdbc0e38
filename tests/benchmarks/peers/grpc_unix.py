# SPDX-License-Identifier: Apache-2.0
"""gRPC: unary calls with raw bytes over a Unix socket; there is no broker between."""

from __future__ import annotations

import contextlib
from concurrent import futures
from typing import TYPE_CHECKING

from peers.kit import answer_of, commands, ready, reply, timed, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLES = ("calls",)
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def version() -> str:
    """Return the versions of its parts."""
    return versions("grpcio")


@contextlib.contextmanager
def broker(_cache: Path, folder: Path) -> Iterator[str]:
    """Give an address; the server listens there."""
    yield f"unix:{folder}/grpc"


def server(address: str) -> None:
    """Answer calls."""
    import grpc

    handler = grpc.unary_unary_rpc_method_handler(lambda payload, _context: answer_of(payload))
    running = grpc.server(futures.ThreadPoolExecutor(2), options=OPTIONS)
    running.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bench.Bench", {"Call": handler}),)
    )
    running.add_insecure_port(address)
    running.start()
    ready()
    running.wait_for_termination()


def caller(address: str) -> None:
    """Make calls as it is told."""
    import grpc

    channel = grpc.insecure_channel(address, options=OPTIONS)
    method = channel.unary_unary("/bench.Bench/Call")
    ready()

    def call(payload: bytes) -> bytes:
        answer: bytes = method(payload, timeout=10, wait_for_ready=True)
        return answer

    for command in commands():
        reply({"ns": timed(call, command)})
