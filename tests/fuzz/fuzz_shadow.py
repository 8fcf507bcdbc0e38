# SPDX-License-Identifier: Apache-2.0
"""
Fuzz the shadow service: `nox -s fuzz -- shadow tests/fuzz/corpus/shadow -max_total_time=60`.

The input is lines: a payload each, of an update; "?PAYLOAD" gets, "!PAYLOAD" deletes, "*PAYLOAD"
lists. Oracle: every answer is a document, with a code that the manual knows or with a version (a
list has results); a refused request changes nothing; what was accepted is what the next service
reads from the store.
"""

from __future__ import annotations

import json
import sys

from greengrass_sdk.core.shadow.requests import Operation, ShadowId, parse_topic, why_not
from greengrass_sdk.core.shadow.service import ShadowService
from greengrass_sdk.core.shadow.store import MemoryStore

CODES = {400, 404, 409, 413, 415}
OPERATIONS = {b"?": Operation.GET, b"!": Operation.DELETE, b"*": Operation.LIST}
T = ShadowId("T")


def strict(payload: bytes):
    """Decode JSON as a parser in another language would."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(payload.decode(), parse_constant=refuse)


def one_input(data: bytes) -> None:
    store = MemoryStore()
    service = ShadowService(store, state_bytes=200)
    for line in data.split(b"\n"):
        topic = line.decode("utf-8", "replace")
        if parse_topic(topic) is None and why_not(topic).code not in CODES | {405}:
            raise AssertionError(f"{topic!r}: refused with {why_not(topic).code}")
        operation = OPERATIONS.get(line[:1], Operation.UPDATE)
        payload = line if operation is Operation.UPDATE else line[1:]
        before = dict(store.records)
        outcome = service.serve(T, operation, payload, 1.0, by_topic=True)
        answer = strict(outcome.reply)
        for _, message in outcome.outputs:
            strict(message)
        if outcome.code != 200:
            if outcome.code not in CODES or outcome.code != answer["code"]:
                raise AssertionError(f"{payload!r}: answered with code {outcome.code}")
            if before != store.records:
                raise AssertionError(f"{payload!r}: refused, and something changed")
        elif ("results" if operation is Operation.LIST else "version") not in answer:
            raise AssertionError(f"{payload!r}: {answer}")
        now = [
            each.serve(T, Operation.GET, b"", 1.0, by_topic=False)
            for each in (service, ShadowService(store))
        ]
        if now[0] != now[1]:
            raise AssertionError(f"{payload!r}: {now}")


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("fuzzing Python needs atheris: pip install atheris")
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
