# SPDX-License-Identifier: Apache-2.0
"""The group that a test builds up."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from greengrass_sdk import ConfigError, InvalidInputError
from greengrass_sdk.model.function import Function
from greengrass_sdk.testing.declarations import (
    Declarations,
    code_of,
    file_of,
    group_of,
    handler_name,
    new_function,
    working_directory,
)

GROUP = """
schema = 1
[group]
name = "loaded"
core = "loaded-core"
strict = true
[devices.sensor]
[[subscriptions]]
id = "row"
source = "sensor"
subject = "t"
target = "cloud"
"""


@pytest.fixture
def declared():
    declared = Declarations(name="mine")
    declared.add_function(Function(name="f", code=Path("/"), handler="a.b"), None)
    return declared


def handler(_event, _context):
    pass


def test_it_becomes_a_group(declared):
    declared.add_device("sensor")
    declared.add_row("f", "t", "sensor", None)
    declared.add_row("arn:aws:lambda:us-east-1:000000000000:function:f", "t", "cloud", "own")
    group, fresh = declared.take()
    assert (["f"], ["sensor"]) == (list(group.functions), list(group.devices))
    assert ["row-1", "own"] == [row.id for row in group.subscriptions]
    assert ["f"] == [member.name for member in fresh]
    assert not declared.changed
    declared.add_device("other")
    assert declared.changed
    assert [] == declared.take()[1]


def test_names_and_ids_are_unique(declared):
    for name in ("f", "cloud"):
        with pytest.raises(InvalidInputError, match=f"the name '{name}' is"):
            declared.add_device(name)
    declared.add_row("f", "t", "cloud", "row")
    with pytest.raises(InvalidInputError, match="'row' already"):
        declared.add_row("f", "t", "cloud", "row")


def test_a_function_is_found_by_name_and_arn(declared):
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f:1"
    assert declared.member("f") is declared.member(arn)
    with pytest.raises(InvalidInputError, match="did you mean"):
        declared.member("ff")
    with pytest.raises(InvalidInputError, match="'cloud' is no function"):
        declared.member("cloud")


def test_a_group_file_that_is_loaded_first_brings_its_settings(tmp_path):
    (tmp_path / "group.toml").write_text(GROUP)
    declared = Declarations()
    declared.load(tmp_path, started=False)
    assert declared.strict
    assert "loaded" == declared.take()[0].name


def test_a_group_file_with_other_limits_must_come_first(declared, tmp_path):
    (tmp_path / "group.toml").write_text(GROUP)
    with pytest.raises(InvalidInputError, match="load it first"):
        declared.load(tmp_path, started=False)
    (tmp_path / "group.toml").write_text(GROUP.replace("true", "false"))
    declared.load(tmp_path, started=True)
    assert "mine" == declared.take()[0].name
    with pytest.raises(ConfigError):
        declared.load(tmp_path / "none", started=True)


def test_a_callable_has_a_name_where_it_can():
    assert handler_name(handler).endswith(".handler")
    assert "test.handler" == handler_name(lambda _e, _c: None)
    assert "test.handler" == handler_name(partial(handler))


def test_the_code_folder_is_given_found_or_beside_the_test(tmp_path, monkeypatch):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "near.py").touch()
    (tmp_path / "code").mkdir()
    test = str(tmp_path / "tests" / "test_x.py")
    monkeypatch.chdir(tmp_path)
    assert tmp_path / "code" == code_of("app.f", Path("code"), test)
    assert tmp_path / "tests" == code_of("near.f", None, test)
    assert Path("/tmp") == code_of("app.f", Path("/tmp"), test)
    monkeypatch.chdir("/")
    assert tmp_path / "tests" == code_of("app.f", Path("../tests"), test).resolve()
    assert Path("/") == code_of("app_that_is_not.f", None, None)


def test_what_lies_beside_the_test_comes_before_what_lies_in_the_working_directory(
    tmp_path, monkeypatch
):
    for folder in (tmp_path, tmp_path / "tests"):
        (folder / "code").mkdir(parents=True)
        (folder / "group.toml").touch()
    test = str(tmp_path / "tests" / "test_x.py")
    monkeypatch.chdir(tmp_path)
    assert tmp_path / "tests" / "group.toml" == file_of("group.toml", test)
    assert tmp_path / "tests" / "code" == code_of("app.f", "code", test)
    (tmp_path / "tests" / "group.toml").unlink()
    assert Path("group.toml") == file_of("group.toml", test)
    assert Path("group.toml") == file_of("group.toml", None)


def test_code_that_is_not_there_is_named_with_where_it_was_looked_for(tmp_path, monkeypatch):
    (tmp_path / "climate").mkdir()
    test = str(tmp_path / "test_x.py")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError) as caught:
        code_of("climate.f", "climat", test)
    assert f"there is no code 'climat' in {tmp_path}; did you mean 'climate'?" == str(caught.value)
    with pytest.raises(InvalidInputError, match=r"^there is no code '/nowhere'$"):
        code_of("climate.f", "/nowhere", test)
    with pytest.raises(InvalidInputError, match=r"^there is no code 'x' in"):
        code_of("climate.f", "x", None)


def test_a_folder_that_is_no_package_is_the_code_of_the_module_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "climate").mkdir()
    (tmp_path / "climate" / "climate.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert tmp_path / "climate" == code_of("climate.f", None, None)
    (tmp_path / "climate" / "__init__.py").touch()
    assert tmp_path == code_of("climate.climate.f", None, None)


def test_a_group_file_that_is_not_there_is_named_with_where_it_was_looked_for(
    tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    (tmp_path / "group.toml").touch()
    monkeypatch.chdir(tmp_path / "here")
    beside = str(tmp_path / "test_x.py")
    assert tmp_path / "group.toml" == group_of("group.toml", beside)
    with pytest.raises(ConfigError) as caught:
        group_of("grup.toml", beside)
    places = f"{tmp_path} or {tmp_path / 'here'}"
    assert f"there is no group file 'grup.toml' in {places}; did you mean 'group.toml'?" == str(
        caught.value
    )


def test_an_option_that_there_is_not_is_told_with_the_nearest():
    with pytest.raises(TypeError, match=r"no option 'timeout'; did you mean 'timeout_s'\?$"):
        new_function("f", "a.b", Path("/"), timeout=3)
    with pytest.raises(TypeError, match="no option 'xyz'; it has: version, pinned, timeout_s"):
        new_function("f", "a.b", Path("/"), xyz=3)
    assert 3.0 == new_function("f", "a.b", Path("/"), timeout_s=3).timeout_s


def test_the_working_directory_is_that_of_now(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert tmp_path / name == working_directory()
