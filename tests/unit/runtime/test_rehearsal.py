# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from greengrass_sdk.runtime import rehearsal

LOOK = """
import os, sys, threading
from greengrass_sdk.client import session
seen = [
    "rehearsal" in sys.modules, sys.path.count({folder!r}), dict(os.environ),
    session.current().identity, threading.active_count(),
]
def handler(event, context): return seen
"""


def test_a_handler_of_the_rehearsal_does_what_most_do(capsys):
    class Context:
        client_context = None

    assert rehearsal.handler({"a": 1}, Context()) == {"a": 1}
    assert capsys.readouterr().out == "{'a': 1} None\n"


def test_nothing_of_the_rehearsal_stays(rig, eventually):
    eventually(rig.children, "a spare has been forked")
    worker = rig.start(LOOK.format(folder=rehearsal._FOLDER), environment={"A": "b"})
    assert worker.answer(b"") == [False, 0, {"A": "b"}, rig.request("")["address"], 1]
