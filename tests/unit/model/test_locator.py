# SPDX-License-Identifier: Apache-2.0
"""Lines of TOML: compared with `tomllib` on documents of every form."""

import json
import tomllib
from textwrap import dedent

import pytest
from hypothesis import example, given, strategies as st

from greengrass_sdk.model.locator import locate


def lines_of(text):
    return locate(dedent(text).lstrip("\n"))


def paths_in(value, path=()):
    """Every path in what `tomllib` read, tables and items included."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from paths_in(inner, (*path, key))


class TestForms:
    def test_keys_and_headers_have_their_lines(self):
        assert {
            ("schema",): 1,
            ("group",): 3,
            ("group", "name"): 4,
            ("group", "core"): 6,
        } == lines_of("""
            schema = 1

            [group]  # a comment
            name = "a"  # name = "b"
            # core = "x"
            core = 'c'
            """)

    def test_dotted_and_quoted_keys_are_taken_apart(self):
        assert {
            ("a",): 1,
            ("a", "b"): 1,
            ("a", "b", "c d"): 1,
            ("a", "b", 'e"f'): 2,
            ("a", "b", "é.g"): 3,
            ("h",): 4,
            ("h", "i.j"): 4,
            ("h", "i.j", "k"): 4,
            ("h", "i.j", "k", "l"): 5,
        } == lines_of(r"""
            a . b."c d" = 1
            a."b".'e"f' = 2
            a.b."\u00e9.g" = 3
            [ h . 'i.j' . k ]
            l = 1
            """)

    def test_inline_tables_and_arrays_are_entered(self):
        assert {
            ("a",): 1,
            ("a", "b"): 1,
            ("a", "b", "c"): 1,
            ("a", "d"): 1,
            ("a", "d", 0): 1,
            ("a", "d", 1): 1,
            ("e",): 2,
            ("e", 0): 3,
            ("e", 1): 5,
            ("e", 1, "f"): 5,
            ("e", 2): 6,
            ("e", 2, 0): 6,
            ("g",): 8,
        } == lines_of("""
            a = { b.c = 1, d = [1, 2] }  # {
            e = [
              "]",  # ] } "
              # nothing
              { f = 2 },
              [3],
            ]
            g = []
            """)

    def test_arrays_of_tables_are_counted_and_extended(self):
        assert {
            ("a",): 1,
            ("a", 0): 1,
            ("a", 0, "b"): 2,
            ("a", 0, "b", "c"): 3,
            ("a", 0, "d"): 4,
            ("a", 0, "d", 0): 4,
            ("a", 0, "d", 1): 5,
            ("a", 0, "d", 1, "e"): 6,
            ("a", 1): 7,
            ("a", 1, "f"): 8,
            ("g",): 9,
            ("g", "h"): 9,
            ("g", "h", 0): 9,
        } == lines_of("""
            [[a]]
            [a.b]
            c = 1
            [[a.d]]
            [[a.d]]
            e = 1
            [[a]]
            f = 1
            [[g.h]]
            """)

    def test_a_table_has_the_line_of_its_own_header(self):
        assert 3 == lines_of("[a.b]\nc = 1\n[a]\nd = 1\n")[("a",)]

    @pytest.mark.parametrize(
        "value",
        [
            '"[x]\\" = # \\\\"',
            "'\\'",
            '"""\nb = 1\n\\"""\n[c]\n"""',
            '""""a" """',
            '"""a"""""',
            "'''\nb = 1\n[c]'''",
            "''''a'''''",
            '""',
            "''",
            '""""""',
            "1979-05-27 07:32:00Z",
            "1979-05-27T07:32:00",
            "1979-05-27",
            "07:32:00",
            "-inf",
            "0xFF",
            "[ '''\n]\n''', \"\"\"\n]\"\"\" ]",
            "1979-05-27 # 1",
        ],
    )
    def test_what_follows_a_value_is_found(self, value):
        text = f"a = {value}\n[z]\ny = 1\n"
        lines = value.count("\n") + 1
        found = locate(text)
        assert (1, lines + 1, lines + 2) == (found[("a",)], found[("z",)], found[("z", "y")])
        assert set(paths_in(tomllib.loads(text))) == set(found)

    def test_the_text_may_end_without_a_newline(self):
        assert {("a",): 1} == locate("a = 1")
        assert {("a",): 1} == locate("a = 1 # end")
        assert {("a",): 1} == locate("[a]")
        assert {} == locate("")
        assert {} == locate("# only this")

    def test_line_ends_of_windows_count_once(self):
        assert {("a",): 1, ("b",): 2, ("c",): 3, ("c", "d"): 4} == locate(
            "a = 1\r\nb = 2 # x\r\n[c]\r\nd = 1\r\n"
        )


# --- documents of every form, and where each key was written -------------------

BARE = st.text("abc-_1", min_size=1, max_size=3)
ANY = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=4)
KEY = st.one_of(BARE, ANY)
SCALARS = st.sampled_from(
    ["1", "-1.5", "true", "inf", "1979-05-27 07:32:00", '"x"', "'#]}'", '"\\"}]"', "0x1F"]
)
MULTILINE = st.sampled_from(
    ['"""\n# a = 1\n"""', "'''\n[x]\n'''", '"""a\\\n   b"""', '"""""x"""""', "'''''x'''''"]
)
BLANK = st.sampled_from(["", " ", "\t", "  "])
LINE_END = st.sampled_from(["\n", " # [c] = {\n", "\n\n", "\r\n", '\n# x = "\n'])
GAP = st.sampled_from(["", " ", "\n", " # ,]\n  "])


def written(draw, key):
    """Return a key as a file may write it."""
    forms = [json.dumps(key, ensure_ascii=draw(st.booleans()) and key.isascii())]
    if key and set(key) <= set("abc-_1"):
        forms.append(key)
    if "'" not in key and key.isprintable():
        forms.append(f"'{key}'")
    return draw(st.sampled_from(forms))


class Writer:
    """Writes a document and remembers the line on which everything first stands."""

    def __init__(self, draw):
        self.draw = draw
        self.text = ""
        self.lines = {}

    def put(self, text):
        self.text += text

    def note(self, path, *, again=False):
        line = self.text.count("\n") + 1
        if again:
            self.lines[path] = line
        self.lines.setdefault(path, line)

    def blank(self):
        self.put(self.draw(BLANK))

    def key(self, path, parts):
        for position, part in enumerate(parts):
            self.note((*path, *parts[: position + 1]))
            if position:
                self.blank()
                self.put(".")
                self.blank()
            self.put(written(self.draw, part))

    def value(self, path, depth, *, inline=False):
        form = self.draw(st.integers(0, 5 if depth else 1))
        if form == 0 and not inline:
            self.put(self.draw(MULTILINE))
        elif form <= 3:
            self.put(self.draw(SCALARS))
        elif form == 4:
            self.array(path, depth - 1, inline=inline)
        else:
            self.inline_table(path, depth - 1)

    def array(self, path, depth, *, inline):
        gap = BLANK if inline else GAP
        self.put("[")
        for index in range(count := self.draw(st.integers(0, 3))):
            self.put(self.draw(gap))
            self.note((*path, index))
            self.value((*path, index), depth, inline=inline)
            self.put(self.draw(gap))
            self.put("," if index < count - 1 or self.draw(st.booleans()) else "")
        self.put(self.draw(gap))
        self.put("]")

    def inline_table(self, path, depth):
        self.put("{")
        for index, key in enumerate(self.draw(st.lists(KEY, max_size=3, unique=True))):
            self.put("," if index else "")
            self.blank()
            parts = [key, *self.draw(st.lists(KEY, max_size=1))]
            self.key(path, parts)
            self.blank()
            self.put("=")
            self.blank()
            self.value((*path, *parts), depth, inline=True)
            self.blank()
        self.put("}")

    def pairs(self, path):
        for key in self.draw(st.lists(KEY, max_size=3, unique=True)):
            self.blank()
            parts = [key, *self.draw(st.lists(KEY, max_size=2))]
            self.key(path, parts)
            self.blank()
            self.put("=")
            self.blank()
            self.value((*path, *parts), 2)
            self.put(self.draw(LINE_END))

    def header(self, parts, length):
        """Write `[a.b]`, or the next `[[a.b]]` of an array that has `length` tables."""
        for position in range(len(parts) - 1):
            self.note(tuple(parts[: position + 1]))
        opening, closing = ("[", "]") if length is None else ("[[", "]]")
        self.put(opening)
        self.blank()
        path = tuple(parts)
        self.note(path, again=length is None)
        if length is not None:
            path = (*path, length)
            self.note(path)
        self.put(".".join(written(self.draw, part) for part in parts))
        self.blank()
        self.put(closing + self.draw(LINE_END))
        return path


@st.composite
def documents(draw):
    writer = Writer(draw)
    writer.pairs(())
    used = {path[0] for path in writer.lines}
    for name in draw(st.lists(KEY, max_size=4, unique=True)):
        if name in used:
            continue
        if draw(st.booleans()):
            for index in range(draw(st.integers(1, 3))):
                path = writer.header([name], index)
                writer.pairs(path)
        else:
            path = writer.header([name, draw(KEY)], None)
            writer.pairs(path)
    return writer.text, writer.lines


@given(documents())
@example(("a.b = 1\n", {("a",): 1, ("a", "b"): 1}))
def test_every_key_is_found_on_the_line_where_it_was_written(document):
    text, lines = document
    assert lines == locate(text)
    assert set(paths_in(tomllib.loads(text))) == set(lines)


@given(st.text("ab.[]=\"'#\n{}, 1\\", max_size=30))
def test_whatever_tomllib_reads_has_the_same_paths(text):
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(paths_in(data)) == set(locate(text))
