# SPDX-License-Identifier: Apache-2.0
"""A core that answers the commands' questions from a table."""

from __future__ import annotations

from typing import Any

import pytest

from greengrass_sdk import cli


class FakeCore:
    """Stands where `_tool.ask` was: remembers the questions, gives the prepared answers."""

    def __init__(self):
        self.asked: list[tuple[str | None, str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}

    def ask(self, root, op, fields=None):
        self.asked.append((root, op, dict(fields or {})))
        answer = self.answers[op]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def core(monkeypatch):
    fake = FakeCore()
    for module in ("publish", "invoke", "shadow", "status", "logs"):
        monkeypatch.setattr(f"greengrass_sdk.cli.{module}.ask", fake.ask)
    return fake


@pytest.fixture
def run(capsys):
    """Run a command; returns exit code, standard output and standard error."""

    def call(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
