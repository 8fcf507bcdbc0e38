# SPDX-License-Identifier: Apache-2.0
"""
Replays: the stimuli of a tape, given to a core once more, and what came out of it.

Each stimulus is given at its time on the tape; what it causes has happened before time goes on to
the next. Outputs are compared for each function and topic. The order counts for pinned functions;
the workers of a function on demand may have overtaken each other.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from difflib import SequenceMatcher
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from greengrass_sdk.errors import FunctionError, InvalidInputError, NoSubscriptionError
from greengrass_sdk.testing.declarations import file_of
from greengrass_sdk.testing.tape import Output, Stimulus, Tape, TapeError, failure_text, read_tape

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Sequence

    from greengrass_sdk.testing.greengrass import Greengrass
    from greengrass_sdk.testing.records import FunctionFailure

    Key = tuple[str, str, str]

__all__ = ["Replay", "Step", "without_keys"]

_SLACK_S = 1.0  # by which timers of a real core run late, and as a share of a long tape:
_SLACK_SHARE = 0.01
_AT_ONCE_S = 0.01
_MOST_LINES = 30  # of differences of one function and topic
_AROUND = 2  # lines shown around a difference


class Step(NamedTuple):
    """
    What a replay did: let time pass, then give a stimulus, None at the end.

    `refused`: a strict group has no row for it.
    """

    seconds: float
    stimulus: Stimulus | None
    refused: bool = False


class Replay:
    """
    What came out of a replay, beside what stands on the tape.

    Attributes:
        tape: What was replayed.
        outputs: What came out, in the order in which it did.
        expected: What stands on the tape, in its order.
        steps: What was done.
    """

    def __init__(self, tape: Tape, ignore: Collection[str] = ()) -> None:
        self.tape = tape
        self.expected = list(tape.outputs)
        self.outputs: list[Output] = []
        self.steps: list[Step] = []
        self._ignore = frozenset(ignore)

    def __repr__(self) -> str:
        how = "differs" if self.differences else "agrees"
        return f"<Replay of {self.tape.path}: {len(self.outputs)} outputs, {how}>"

    @property
    def differences(self) -> str:
        """What differs, for people; empty if nothing does."""
        expected, outputs = self._by_key(self.expected), self._by_key(self.outputs)
        parts = []
        for key in dict.fromkeys((*expected, *outputs)):
            told = self._compare(key, expected.get(key, []), outputs.get(key, []))
            if told:
                parts.append(f"{_heading(key)}:\n" + "\n".join(told))
        return "\n".join(parts)

    def check(self) -> None:
        """
        Fail if the replay differs from the tape.

        Raises:
            AssertionError: It does; the text says where.
        """
        __tracebackhide__ = True
        differences = self.differences
        if differences:
            raise AssertionError(
                f"the replay of {self.tape.path} differs from it"
                f" (- recorded, + replayed):\n{differences}{self._hint()}"
            )

    def _hint(self) -> str:
        found = self.volatile_keys()
        if not found:
            return ""
        return (
            "\nonly values of some keys differ; if they do each time, as times do:"
            f" ignore={found!r}"
        )

    def volatile_keys(self) -> list[str]:
        """
        Return keys of JSON payloads that are to be ignored, and nothing differs any more.

        Their values differ each time, as those of times do: a key that differs only now and then
        tells of a change.
        """
        same, differing = set[str](), set[str]()
        outputs = self._by_key(self.outputs)
        for key, expected in self._by_key(self.expected).items():
            for before, after in zip(expected, outputs.get(key, []), strict=False):
                _sort_keys(_json(before.payload), _json(after.payload), same, differing)
        keys = differing - same
        without = Replay(self.tape, {*self._ignore, *keys})
        without.outputs = self.outputs
        return sorted(keys) if keys and not without.differences else []

    def _by_key(self, outputs: Iterable[Output]) -> dict[Key, list[Output]]:
        found: dict[Key, list[Output]] = {}
        for output in outputs:
            found.setdefault((output.kind, output.function, output.about), []).append(output)
        return found

    def _compare(
        self, key: Key, expected: Sequence[Output], outputs: Sequence[Output]
    ) -> list[str]:
        before = [self._line(output) for output in expected]
        after = [self._line(output) for output in outputs]
        if not self.tape.functions[key[1]].get("pinned") and Counter(before) == Counter(after):
            return []
        if after[: len(before)] == before:
            after = after[: len(before)] + [
                line
                for line, output in zip(after[len(before) :], outputs[len(before) :], strict=True)
                if not self._is_cut_off(output)
            ]
        return _diff(before, after)

    def _line(self, output: Output) -> str:
        value = _json(output.payload)
        if self._ignore and isinstance(value, dict | list):
            value = without_keys(value, self._ignore)
        if isinstance(value, dict | list):
            output = output._replace(payload=json.dumps(value, sort_keys=True).encode())
        return output.describe()

    def _is_cut_off(self, output: Output) -> bool:
        """
        Return whether the recording had ended when a real core came to this.

        Timers run on time here and late there, so one more tick may fit in at the end; what a
        stimulus causes at once is no such tick.
        """
        length_s = self.tape.length_s
        last_s = self.tape.stimuli[-1].at_s if self.tape.stimuli else 0.0
        slack_s = max(_SLACK_S, _SLACK_SHARE * length_s)
        return output.kind == "message" and output.at_s > max(
            length_s - slack_s, last_s + _AT_ONCE_S
        )


def without_keys(value: Any, keys: Collection[str]) -> Any:
    """Return a JSON value without the values of some keys, at any depth."""
    if isinstance(value, dict):
        return {name: without_keys(each, keys) for name, each in value.items() if name not in keys}
    if isinstance(value, list):
        return [without_keys(each, keys) for each in value]
    return value


def replay(
    core: Greengrass,
    path: str | os.PathLike[str],
    ignore: Collection[str] = (),
    beside: str | None = None,
) -> Replay:
    """
    Replay a tape on a core; see `Greengrass.replay`.

    Args:
        beside: The file of the test, where the tape is looked for, too.
    """
    tape = read_tape(file_of(path, beside))
    if not core.function_names:
        _load(core, tape)
    missing = sorted(tape.functions.keys() - set(core.function_names))
    if missing:
        raise TapeError(
            f"the tape is of functions that this core has not: {', '.join(missing)}",
            file=str(tape.path),
        )
    if core.world == "fake":
        with suppress(InvalidInputError):  # its clock runs already, and goes on
            core.begin_at(datetime.fromtimestamp(tape.began_at, UTC))
    return _Player(core, Replay(tape, ignore)).play()


def _load(core: Greengrass, tape: Tape) -> None:
    """Give a core the group that a tape names."""
    file = tape.group_file
    if file is not None:
        if not file.exists():
            raise TapeError(
                f"its group file {file} is not there any more; load one before the replay",
                file=str(tape.path),
            )
        core.load(file)
        return
    for name, function in tape.functions.items():
        core.add_function(
            name,
            function["handler"],
            code=tape.near(function["code"]),
            pinned=function["pinned"],
            encoding=function["encoding"],
        )
    for row in tape.group["subscriptions"]:
        core.subscribe(row["source"], row["subject"], row["target"])


class _Player:
    """Does what the tape says, and notes what comes out."""

    def __init__(self, core: Greengrass, result: Replay) -> None:
        self._core = core
        self._replay = result
        self._tape = result.tape
        self._seen = len(core.recorded()[0])  # which starts nothing yet
        self._failed = len(core.unread_errors)
        self._began = core.now

    def play(self) -> Replay:
        """Give all stimuli."""
        for stimulus in self._tape.stimuli:
            self._wait_until(stimulus.at_s, stimulus)
            self._give(stimulus)
        self._wait_until(self._tape.length_s, None)
        self._note_messages()
        self._note_errors()
        return self._replay

    def _seconds(self) -> float:
        return (self._core.now - self._began).total_seconds()

    def _wait_until(self, at_s: float, stimulus: Stimulus | None) -> None:
        seconds = round(at_s - self._seconds(), 3)
        self._replay.steps.append(Step(max(seconds, 0.0), stimulus))
        if seconds > 0:
            self._core.advance(seconds)

    def _give(self, stimulus: Stimulus) -> None:
        core, target, payload = self._core, stimulus.target, stimulus.payload
        if stimulus.kind == "message":
            try:
                core.deliver(target, payload, source=stimulus.source)
            except NoSubscriptionError:
                self._replay.steps[-1] = self._replay.steps[-1]._replace(refused=True)
            return
        context = stimulus.client_context
        if stimulus.kind == "event":
            core.invoke_async(target, payload, client_context=context)
            return
        kind = "result"
        try:
            result = bytes(core.invoke(target, payload, client_context=context).payload)
        except FunctionError as error:
            kind, result = "failure", _error_text(error)
        if target in self._tape.functions:
            output = Output(kind, target, "", result, (), self._seconds())
            self._replay.outputs.append(output)

    def _note_messages(self) -> None:
        functions, began = self._tape.functions, self._began.timestamp()
        for message in islice(self._core.messages, self._seen, None):
            if message.source in functions:
                what = ("message", message.source, message.subject, message.payload)
                targets = self._tape.counted_targets(message.targets)
                self._replay.outputs.append(Output(*what, targets, message.time - began))

    def _note_errors(self) -> None:
        """Note errors of runs; those of threads and imports, which no tape has, stay unread."""
        failures = self._core.unread_errors
        for failure in failures[self._failed :]:
            if failure.request_id is not None:
                what = ("error", failure.function, failure.trigger, _failure_text(failure))
                self._replay.outputs.append(Output(*what, (), self._seconds()))
        if not self._failed and all(failure.request_id for failure in failures):
            _ = self._core.errors  # they are read: the comparison tells them


def _error_text(error: FunctionError) -> bytes:
    document = error.json() if error.payload else {}
    outcome = {"FunctionHandled": "handled", "FunctionTimeout": "timeout"}
    found = document if isinstance(document, dict) else {}
    return failure_text(
        outcome.get(error.code, "unhandled"),
        str(found.get("errorType") or ""),
        str(found.get("errorMessage") or ""),
    )


def _failure_text(failure: FunctionFailure) -> bytes:
    error = failure.exception
    name = type(error).__name__ if error is not None else ""
    return failure_text(failure.outcome, name, str(error))


def _heading(key: Key) -> str:
    kind, function, about = key
    if kind == "message":
        return f"{function} on {about}"
    if kind == "error":
        return f"errors of {function} on {about}"
    return f"{kind}s of {function}"


def _diff(before: list[str], after: list[str]) -> list[str]:
    """Return the lines that differ, with a few around them; none if nothing does."""
    if before == after:
        return []
    lines: list[str] = []
    for tag, first, end, low, high in SequenceMatcher(None, before, after, False).get_opcodes():
        if tag == "equal":
            same = before[first:end]
            lines += [f"    {line}" for line in same[:_AROUND]] if lines else []
            rest = same[_AROUND:] if lines else same
            if len(rest) > _AROUND:
                lines.append(f"    ({len(rest) - _AROUND} more)")
            lines += [f"    {line}" for line in rest[-_AROUND:]]
        else:
            lines += [f"  - {line}" for line in before[first:end]]
            lines += [f"  + {line}" for line in after[low:high]]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"    ({len(lines) - _MOST_LINES} more lines)"]
    return lines


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _sort_keys(before: Any, after: Any, same: set[str], differing: set[str]) -> None:
    """Sort the keys of two JSON values by whether their plain values are the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() & after.keys():
            old, new = before[name], after[name]
            if isinstance(old, dict | list) and isinstance(new, dict | list):
                _sort_keys(old, new, same, differing)
            else:
                (same if old == new else differing).add(name)
    elif isinstance(before, list) and isinstance(after, list):
        for old, new in zip(before, after, strict=False):
            _sort_keys(old, new, same, differing)
