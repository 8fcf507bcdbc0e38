# SPDX-License-Identifier: Apache-2.0
"""
`greengrass tape to-test`: a replay that agreed with its tape, written down as a pytest file.

The test does what the replay did, call by call, and asserts what came out of it. It needs the group
and no longer the tape.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from greengrass_sdk.testing.tape_replay import without_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from greengrass_sdk.testing.tape import Output, Stimulus
    from greengrass_sdk.testing.tape_replay import Replay

__all__ = ["write_test"]

_TEXT_CHARS = 80  # of an error's message that a test looks for
_HEAD = '''\
"""
What the group {group!r} did on {day}: gives it what came from outside, and
asserts what its functions did. Written from {tape} by `greengrass tape to-test`;
change it as you like.
"""

'''
_WITHOUT = '''

IGNORED = {keys}  # their values differ each time


def without(value):
    """Return JSON without the values of the ignored keys."""
    if isinstance(value, dict):
        return {{key: without(each) for key, each in value.items() if key not in IGNORED}}
    return [without(each) for each in value] if isinstance(value, list) else value


def read(message):
    """Return the payload of a message; of JSON, what is not ignored."""
    try:
        return without(message.json())
    except ValueError:
        return message.payload
'''


def write_test(replay: Replay, file: Path, ignore: Collection[str] = ()) -> str:
    """
    Return the text of a test.

    Args:
        file: Where it will stand; its paths are relative to that.
        ignore: What the replay ignored.
    """
    return _Writer(replay, file, ignore).text()


class _Writer:
    def __init__(self, replay: Replay, file: Path, ignore: Collection[str]) -> None:
        self._replay = replay
        self._tape = replay.tape
        self._folder = file.absolute().parent
        self._ignore = tuple(sorted(ignore))
        self._began = datetime.fromtimestamp(self._tape.began_at, UTC)
        self._answers = iter([o for o in replay.outputs if o.kind in ("result", "failure")])
        self._errors: set[str] = set()

    def text(self) -> str:
        lines = [
            *self._group(),
            f"greengrass.begin_at({_moment(self._began)})",
            "",
            *self._steps(),
            "",
            *self._messages(),
            *self._failures(),
        ]
        name = re.sub(r"\W+", "_", self._tape.path.stem).strip("_").lower() or "tape"
        head = _HEAD.format(
            group=str(self._tape.group.get("name")),
            day=f"{self._began:%Y-%m-%d}",
            tape=self._tape.path.name,
        )
        helpers = _WITHOUT.format(keys=_literal(list(self._ignore))) if self._ignore else ""
        body = "\n".join(f"    {line}" if line else "" for line in lines)
        return f"{head}{self._imports()}{helpers}\n\ndef test_{name}(greengrass):\n{body}\n"

    def _imports(self) -> str:
        text = "from datetime import UTC, datetime\nfrom pathlib import Path\n"
        if self._errors:
            names = ", ".join(sorted(self._errors))
            text += f"\nimport pytest\n\nfrom greengrass_sdk import {names}\n"
        return text + "\nHERE = Path(__file__).parent\n"

    def _group(self) -> Iterator[str]:
        tape = self._tape
        if tape.group_file is not None:
            yield f"greengrass.load({self._path(tape.group_file)})"
            return
        for name, function in tape.functions.items():
            options = f"pinned={function['pinned']}, encoding={_literal(function['encoding'])}"
            code = self._path(tape.near(function["code"]))
            yield "greengrass.add_function("
            yield f"    {_literal(name)}, {_literal(function['handler'])}, code={code}, {options}"
            yield ")"
        for row in tape.group["subscriptions"]:
            ends = ", ".join(_literal(row[key]) for key in ("source", "subject", "target"))
            yield f"greengrass.subscribe({ends})"

    def _path(self, path: Path) -> str:
        return f"HERE / {_literal(os.path.relpath(path, self._folder))}"

    def _steps(self) -> Iterator[str]:
        for step in self._replay.steps:
            if step.seconds:
                yield f"greengrass.advance({step.seconds!r})"
            if step.stimulus is not None:
                lines = self._stimulus(step.stimulus)
                yield from self._refused(lines) if step.refused else lines

    def _refused(self, lines: Iterator[str]) -> Iterator[str]:
        self._errors.add("NoSubscriptionError")
        yield "with pytest.raises(NoSubscriptionError):"
        for line in lines:
            yield f"    {line}"

    def _stimulus(self, stimulus: Stimulus) -> Iterator[str]:
        arguments = [_literal(stimulus.target), _payload(stimulus.payload)]
        if stimulus.kind == "message":
            if stimulus.source != "cloud":
                arguments.append(f"source={_literal(stimulus.source)}")
            yield f"greengrass.deliver({', '.join(arguments)})"
            return
        if stimulus.client_context is not None:
            arguments.append(f"client_context={_literal(stimulus.client_context)}")
        if stimulus.kind == "event":
            yield f"greengrass.invoke_async({', '.join(arguments)})"
            return
        call = f"greengrass.invoke({', '.join(arguments)})"
        if stimulus.target not in self._tape.functions:
            yield call
            return
        yield from self._answer(call, next(self._answers))

    def _answer(self, call: str, answer: Output) -> Iterator[str]:
        if answer.kind == "failure":
            text = answer.payload.decode("utf-8", "replace")
            error = {"timeout": "FunctionTimeoutError", "unhandled": "FunctionUnhandledError"}
            name = error.get(text, "FunctionHandledError")
            self._errors.add(name)
            yield f"with pytest.raises({name}) as failed:"
            yield f"    {call}"
            if text not in error:
                first = text.partition("\n")[0][:_TEXT_CHARS]
                yield f"assert {_literal(first)} in str(failed.value)"
            return
        yield f"result = {call}"
        value = _structure(answer.payload)
        if value is None:
            yield f"assert result.payload == {answer.payload!r}"
        elif self._ignore:
            value = without_keys(value, self._ignore)
            yield f"assert without(result.json()) == {_literal(value)}"
        else:
            yield f"assert result.json() == {_literal(value)}"

    def _messages(self) -> Iterator[str]:
        outputs = [output for output in self._replay.outputs if output.kind == "message"]
        if not outputs:
            yield "assert not greengrass.published()"
            return
        texts = all(_is_text(output.payload) for output in outputs)
        read = "read(m)" if self._ignore else "m.text" if texts else "m.payload"
        message = f"(m.source, m.subject, {read}, m.targets)"
        yield f"published = [{message} for m in greengrass.published()]"
        yield "assert published == ["
        for output in outputs:
            value: Any = output.payload.decode() if texts else output.payload
            if self._ignore:
                value = _whole(output.payload, self._ignore)
            row = (output.function, output.about, value, output.targets)
            yield f"    {_literal(row)},"
        yield "]"

    def _failures(self) -> Iterator[str]:
        errors = [output for output in self._replay.outputs if output.kind == "error"]
        if not errors:
            return  # the fixture checks that there are none
        yield "assert [(e.function, e.trigger) for e in greengrass.errors] == ["
        for output in errors:
            about = output.payload.decode("utf-8", "replace").partition("\n")[0]
            yield f"    {_literal((output.function, output.about))},  # {about}"
        yield "]"


def _moment(moment: datetime) -> str:
    parts = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return f"datetime({', '.join(map(str, parts))}, {moment.microsecond}, tzinfo=UTC)"


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _payload(payload: bytes) -> str:
    return _literal(payload.decode() if _is_text(payload) else payload)


def _literal(value: Any) -> str:
    """Return a value as source, with double quotes where they need no escapes."""
    if isinstance(value, str):
        text = repr(value)
        return text if '"' in value or text[0] == '"' else f'"{text[1:-1]}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, tuple):
        inner = ", ".join(map(_literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _structure(payload: bytes) -> Any:
    """Return a JSON object or list, None for everything else."""
    value = _whole(payload, ())
    return value if isinstance(value, dict | list) else None


def _whole(payload: bytes, ignore: Collection[str]) -> Any:
    """Return a payload as the test reads it: JSON if it is that, else the bytes."""
    try:
        return without_keys(json.loads(payload), ignore)
    except (ValueError, RecursionError):
        return payload
