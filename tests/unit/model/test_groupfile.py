# SPDX-License-Identifier: Apache-2.0
"""`group.toml`: read whole, or refused with everything that is wrong and where."""

import tomllib
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.errors import ConfigError
from greengrass_sdk.model.groupfile import load_group, parse_group

MINIMAL = '[group]\nname = "g"\ncore = "c"\n'
GREENHOUSE = """
    schema = 1
    [group]
    name = "greenhouse"
    core = "greenhouse-core"

    [cloud]
    url = "mqtt://localhost:1883"

    [functions.climate]
    code = "climate/"
    handler = "climate.function_handler"
    pinned = true
    timeout_s = 3
    environment = { TARGET_C = "21" }
    secrets = ["wifi"]

    [devices.thermometer]
    sync_shadow = true

    [secrets.wifi]
    stages = ["AWSCURRENT"]

    [streams]
    enabled = true

    [[subscriptions]]
    source = "thermometer"
    subject = "greenhouse/+/temperature"
    target = "climate"
    """
BROKEN = """
    schema = 2
    [group]
    name = "greenhouse"
    cor = "greenhouse-core"

    [functions.climate]
    code = "climat/"
    handlr = "climate.function_handler"
    environment = { A = "1",
    }
    [functions.cloud]
    code = "climate"
    handler = "a.f"
    [[subscriptions]]
    source = "termometer"
    subject = "a/#/b"
    target = "climate"
    """.replace(",\n    }", " , B = 21 }")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "climate").mkdir()
    (tmp_path / "climate" / "climate.py").write_text("")
    return tmp_path


def write(folder, text):
    file = folder / "group.toml"
    file.write_text(dedent(text).lstrip("\n"))
    return file


def refused(load, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        load(*args, **kwargs)
    return caught.value


class TestReading:
    def test_a_folder_and_its_file_give_the_same_group(self, folder):
        file = write(folder, GREENHOUSE)
        group = load_group(folder)
        assert (file, "greenhouse-core") == (group.path, group.core)
        assert group == load_group(str(file))

    def test_a_text_gives_the_same_group_without_its_path(self, folder):
        file = write(folder, GREENHOUSE)
        parsed = parse_group(file.read_text(), base=folder)
        assert parsed.path is None
        assert load_group(file).functions == parsed.functions

    def test_declarations_keep_their_lines(self, folder):
        write(folder, GREENHOUSE)
        group = load_group(folder)
        assert (9, 26, 6) == (
            group.functions["climate"].line,
            group.subscriptions[0].line,
            group.lines["cloud"],
        )

    def test_each_part_that_is_not_served_gives_one_warning(self, folder):
        file = write(folder, GREENHOUSE + "\n[devices.lamp]\n")
        warnings = load_group(folder).warnings
        assert [
            f"{file}:{line}: {part}"
            for line, part in [
                (6, "cloud"),
                (17, "devices"),
            ]
        ] == [": ".join(text.split(": ")[:2]) for text in warnings]

    def test_the_smallest_file_has_defaults_and_no_warning(self, tmp_path):
        group = parse_group(MINIMAL, base=tmp_path)
        assert ([], {}, 1024, "us-east-1") == (
            group.warnings,
            group.functions,
            group.limits.work_items,
            group.region,
        )

    def test_a_byte_order_mark_is_no_problem(self, tmp_path):
        (tmp_path / "group.toml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
        assert "g" == load_group(tmp_path).name


class TestProblems:
    def test_all_problems_come_at_once_in_the_order_of_the_file(self, folder):
        file = write(folder, BROKEN)
        error = refused(load_group, folder)
        assert [
            (1, "schema"),
            (4, "group.cor"),
            (7, "functions.climate.code"),
            (8, "functions.climate.handlr"),
            (9, "functions.climate.environment.B"),
            (10, "functions.cloud"),
            (14, "subscriptions[0].source"),
            (15, "subscriptions[0].subject"),
        ] == [(problem.line, problem.key) for problem in error.problems]
        assert {str(file)} == {problem.file for problem in error.problems}

    def test_a_message_names_file_line_key_and_what_is_allowed(self, folder):
        file = write(folder, MINIMAL + "strct = true\n")
        assert (
            f"{file}:4: group.strct: unknown key; did you mean 'strict'? "
            "Allowed: name, core, region, account, strict"
        ) == str(refused(load_group, folder))

    def test_a_text_without_a_file_goes_by_the_name_it_was_given(self, tmp_path):
        error = refused(parse_group, "x = 1\n" + MINIMAL, base=tmp_path, file="<example>")
        assert "<example>" == error.problems[0].file


class TestBrokenFiles:
    @pytest.mark.parametrize(
        ("text", "line", "column", "reason"),
        [
            ("a = \n", 1, 5, "is not TOML: Invalid value"),
            ("a = 1\n[b\n", 2, 3, "Expected ']'"),
            ("a = 1\na = 2\n", 2, 6, "given twice (Cannot overwrite a value)"),
            ("[a]\n[a]\n", 2, 3, "given twice (Cannot declare ('a',) twice)"),
            ('a = "x', 1, None, "Unterminated string"),
            ("a = [1,\n2", 2, None, "Unclosed array"),
        ],
    )
    def test_broken_toml_gives_line_and_column(self, tmp_path, text, line, column, reason):
        [problem] = refused(parse_group, text, base=tmp_path).problems
        assert (line, column) == (problem.line, problem.column)
        assert reason in problem.message

    def test_what_the_parser_cannot_place_is_still_a_problem(self, tmp_path):
        [problem] = refused(parse_group, f"a = {'9' * 5000}\n", base=tmp_path).problems
        assert "is not TOML: Exceeds the limit" in problem.message

    def test_a_message_without_a_place_is_taken_as_it_is(self, tmp_path, monkeypatch):
        def fail(_):
            raise tomllib.TOMLDecodeError("odd")

        monkeypatch.setattr(tomllib, "loads", fail)
        [problem] = refused(parse_group, "", base=tmp_path).problems
        assert ("is not TOML: odd", None) == (problem.message, problem.line)

    def test_endless_nesting_is_refused(self, tmp_path):
        [problem] = refused(parse_group, f"a = {'[' * 100_000}", base=tmp_path).problems
        assert "is nested too deeply" == problem.message

    def test_nesting_near_the_limit_is_refused_one_way_or_the_other(self, tmp_path):
        """The parser and the search for lines do not give up at the same depth."""
        for depth in range(300, 500):
            text = f"{MINIMAL}a = {'[' * depth}{']' * depth}"
            [problem] = refused(parse_group, text, base=tmp_path).problems
            assert problem.key == "group.a" or "is nested too deeply" == problem.message

    def test_bytes_that_are_not_utf8_give_line_and_column(self, tmp_path):
        (tmp_path / "group.toml").write_bytes(
            "# ä\nö = '\xff'".encode("latin-1")
            .replace(b"\xe4", "ä".encode())
            .replace(b"\xf6", b"o")
        )
        [problem] = refused(load_group, tmp_path).problems
        assert ("is not UTF-8: byte 0xff", 2, 6) == (
            problem.message,
            problem.line,
            problem.column,
        )

    def test_a_missing_file_says_how_to_make_one(self, tmp_path):
        text = str(refused(load_group, tmp_path))
        assert (
            f"{tmp_path}/group.toml: no group file: `greengrass init {tmp_path}` writes one" == text
        )
        assert "there is no such file" in str(refused(load_group, tmp_path / "x.toml"))

    def test_a_file_that_cannot_be_read_says_why(self, tmp_path):
        (tmp_path / "group.toml").mkdir()
        assert "cannot be read: Is a directory" in str(refused(load_group, tmp_path))


KEYS = [
    *("name", "core", "region", "account", "code", "handler", "version", "environment", "run_as"),
    *("secrets", "source", "subject", "target", "id", "work_items", "functions", "schema", "arn"),
]
VALUES = st.recursive(
    st.sampled_from(["1", "-1", "true", "'x'", "'cloud'", "'a/#'", "inf", "''", "1979-05-27"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
        inner.map(lambda item: f"{{ uid = {item} }}"),
    ),
    max_leaves=3,
)
LINES = st.one_of(
    st.sampled_from(
        [
            "[group]",
            "[functions.a]",
            "[functions.cloud]",
            "[clients.a]",
            "[[subscriptions]]",
            "[[functions]]",
            "[limits]",
            "[secrets.'x y']",
        ]
    ),
    st.tuples(
        st.sampled_from(KEYS),
        VALUES,
    ).map(" = ".join),
)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_any_text_gives_a_group_or_problems(text):
    """Nothing but ConfigError comes out, whatever is in the file."""
    with suppress(ConfigError):
        parse_group(text, base=Path("/nonexistent"))
