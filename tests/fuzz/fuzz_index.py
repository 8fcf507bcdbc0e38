# SPDX-License-Identifier: Apache-2.0
"""
Fuzz the topic indexes: `nox -s fuzz -- index tests/fuzz/corpus/index -max_total_time=60`.

The input is lines: "?sTOPIC" asks, any other "sFILTER" is a row of the table; s is one byte for the
source. Oracle: the same answers and refusals from both implementations, and those of the model's
reference where the text is UTF-8.
"""

from __future__ import annotations

import sys

from greengrass_sdk._native import _c
from greengrass_sdk._native._py import index
from greengrass_sdk._native._py.frames import MAX_TOPIC
from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.topic import matches


def attempt(function, *arguments):
    try:
        return function(*arguments)
    except InvalidInputError as error:
        return str(error)


def reference(rows, source, topic):
    return [
        row
        for of, topic_filter, row in rows
        if of == source and matches(topic_filter.decode("latin-1"), topic.decode("latin-1"))
    ]


def one_input(data: bytes) -> None:
    python, native = index.TopicIndex(), _c.TopicIndex()
    rows = []
    questions = []
    for number, line in enumerate(data.split(b"\n")):
        if line[:1] == b"?" and len(line) > 1:
            questions.append((line[1], line[2:]))
        elif line:
            row = (line[0], line[1:], number)
            expected = attempt(python.add, *row)
            if expected != attempt(native.add, *row):
                raise AssertionError(f"{row}: only one of the two says {expected}")
            if expected is None:
                rows.append(row)
    for source, topic in questions:
        answers = [attempt(each.match, source, topic) for each in (python, native)]
        if len(topic) <= MAX_TOPIC:
            answers.append(reference(rows, source, topic))
        if any(answer != answers[0] for answer in answers):
            raise AssertionError(f"source {source}, topic {topic!r}: {answers}")


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("fuzzing Python needs atheris: pip install atheris")
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
