# SPDX-License-Identifier: Apache-2.0
"""What a command is pointed at becomes a group."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import pytest

from greengrass_sdk.cli._groups import CodeOptions, group_text, load_target, name_for
from greengrass_sdk.cli._output import UsageError
from greengrass_sdk.errors import ConfigError, HandlerError
from greengrass_sdk.model.group import parse_group

HANDLER = "def function_handler(event, context):\n    return event\n"


def options(**given):
    unset = {"handler": None, "on_demand": False, "encoding": None, "subscribe": None}
    return argparse.Namespace(**{**unset, **given})


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "Hello World.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("hello.py", HANDLER)
    return path


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "hello.py").write_text(HANDLER)
    text = group_text(name="hello", code="code/", handler="hello.function_handler")
    (folder / "group.toml").write_text(text)
    return folder


def rows(group):
    return [
        (group.name_of(row.source), row.subject, group.name_of(row.target))
        for row in group.subscriptions
    ]


def test_a_folder_and_its_group_file_mean_the_same(project):
    assert load_target(project) == load_target(project / "group.toml")


def test_a_zip_becomes_one_pinned_function_linked_with_the_cloud(archive):
    group = load_target(archive, options())
    [function] = group.functions.values()

    assert function.name == "Hello-World"
    assert function.code == archive
    assert function.handler == "hello.function_handler"
    assert (function.pinned, function.encoding) == (True, "json")
    assert rows(group) == [("cloud", "#", "Hello-World"), ("Hello-World", "#", "cloud")]


def test_the_options_of_a_zip_are_used(archive):
    given = options(
        handler="other.handler", on_demand=True, encoding="binary", subscribe=["a/+", "b"]
    )
    group = load_target(archive, given)
    [function] = group.functions.values()

    assert function.handler == "other.handler"
    assert (function.pinned, function.encoding) == (False, "binary")
    assert rows(group) == [
        ("cloud", "a/+", "Hello-World"),
        ("cloud", "b", "Hello-World"),
        ("Hello-World", "#", "cloud"),
    ]


def test_a_folder_of_code_runs_with_a_handler(project):
    group = load_target(project / "code", options(handler="hello.function_handler"))
    [function] = group.functions.values()

    assert function.code == project / "code"


def test_a_folder_without_a_group_file_says_what_to_do(project):
    with pytest.raises(ConfigError, match=r"has no group\.toml; write one with `greengrass init"):
        load_target(project / "code", options())


def test_options_for_a_zip_are_refused_with_a_group_file(project):
    with pytest.raises(UsageError, match="--encoding is for a zip, which has no group file"):
        load_target(project, options(encoding="json"))


def test_a_missing_path_names_the_nearest(project):
    with pytest.raises(
        ConfigError, match=r"projct: no such file or folder; did you mean .project.\?"
    ):
        load_target(project.parent / "projct", options())


def test_a_zip_whose_handler_is_not_clear_lists_what_it_could_be(tmp_path):
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.py", HANDLER)
        file.writestr("b.py", HANDLER)

    with pytest.raises(HandlerError) as caught:
        load_target(path, options())
    assert caught.value.candidates == ["a.function_handler", "b.function_handler"]
    assert "\n  --handler a.function_handler\n" in str(caught.value)


def test_a_zip_without_a_handler_asks_for_one(tmp_path):
    path = tmp_path / "none.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.py", "")

    with pytest.raises(HandlerError, match=r"name the handler: --handler MODULE\.FUNCTION"):
        load_target(path, options())


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"handler": "handler"}, "^--handler must be MODULE.FUNCTION"),
        ({"subscribe": ["a/#/b"]}, "^--subscribe: topic filter 'a/#/b' has '#'"),
    ],
    ids=["handler", "subscribe"],
)
def test_what_is_wrong_in_an_option_is_told_about_the_option(project, given, text):
    with pytest.raises(UsageError, match=text):
        load_target(project / "code", options(**{"handler": "hello.function_handler", **given}))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("hello.zip", "hello"),
        ("hello_world-1.2.zip", "hello_world-1-2"),
        ("Grüße an alle.zip", "Gr-e-an-alle"),
        ("cloud.zip", "cloud-function"),
        ("...zip", "function"),
        ("folder", "folder"),
    ],
)
def test_a_file_name_becomes_a_function_name(file, name):
    assert name_for(Path(file)) == name


def test_the_text_of_a_group_holds_what_the_options_say(tmp_path):
    text = group_text(
        name="x",
        code='odd "name"\\.zip',
        handler="a.b",
        options=CodeOptions(on_demand=True, encoding="binary", subscribe=("t/#",)),
        remark="first\nsecond",
    )
    (tmp_path / 'odd "name"\\.zip').touch()
    group = parse_group(text, base=tmp_path, file="g")

    assert "# first\n# second\nhandler" in text
    assert group.functions["x"].code == tmp_path / 'odd "name"\\.zip'
    assert rows(group) == [("cloud", "t/#", "x"), ("x", "#", "cloud")]
