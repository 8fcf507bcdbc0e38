# SPDX-License-Identifier: Apache-2.0
"""
Healthy functions beside one that is not: they answer, and lose nothing.

A client sends numbers, with a bounded number under way, through a function to a second one and back
(`bystander/in` -> first -> `bystander/on` -> second -> `bystander/out`), and invokes the first in
between. All arrive in order, from the same two processes.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from leftovers import eventually

from greengrass_sdk import Client

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
    import os
    from greengrass_sdk import Client

    client = Client()


    def first(event, context):
        if context.client_context is None:
            return event
        client.publish("bystander/on", [event, os.getpid()])


    def second(event, context):
        client.publish("bystander/out", [*event, os.getpid()])
"""
CLIENT = "bystander"
ROWS = [
    (CLIENT, "bystander/in", "first"),
    ("first", "bystander/on", "second"),
    ("second", "bystander/out", CLIENT),
]
WINDOW = 32
PAUSE_S = 0.002  # leaves some of the machine to the test


def functions(**keys: Any) -> dict[str, dict[str, Any]]:
    """Return the functions' part of a group; `code` is the module "bystanders"."""
    return {
        name: {"handler": f"bystanders.{name}", "pinned": True, "timeout_s": 20, **keys}
        for name in ("first", "second")
    }


class Bystanders:
    """Sends and receives in a thread until `stop`."""

    def __init__(self, root: Path) -> None:
        self.received = 0
        self.failure: BaseException | None = None
        self.pids: set[tuple[int, int]] = set()
        self._root = root
        self._stop = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        sent = 0
        try:
            with Client(root=self._root, name=CLIENT) as client:
                while not self._stop.is_set() or self.received < sent:
                    while sent - self.received < WINDOW and not self._stop.is_set():
                        client.publish("bystander/in", sent)
                        sent += 1
                    for message in client.receive_many(timeout_s=20):
                        number, *pids = message.json()
                        assert self.received == number
                        self.pids.add((pids[0], pids[1]))
                        self.received += 1
                    if self.received % WINDOW == 0:
                        assert sent == client.invoke("first", sent).json()
                    self._stop.wait(PAUSE_S)
        except BaseException as error:  # noqa: BLE001 - told by `check`
            self.failure = error

    def check(self) -> None:
        """All has arrived so far, in order, and goes on."""
        before = self.received
        eventually(
            lambda: self.failure or self.received > before + 2 * WINDOW, "the bystanders go on"
        )
        if self.failure is not None:
            raise AssertionError("healthy functions were disturbed") from self.failure
        assert 1 == len(self.pids), f"a healthy function was started again: {self.pids}"

    def stop(self) -> None:
        """Receive what is under way, and end."""
        self._stop.set()
        self._thread.join()
