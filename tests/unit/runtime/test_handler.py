# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys

import pytest

from greengrass_sdk.errors import HandlerError
from greengrass_sdk.runtime.handler import resolve, split


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A code folder that is first on the path; its modules are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("hello.function_handler", ("hello", "function_handler")),
        ("a.b.c.handler", ("a.b.c", "handler")),
        ("src/app/main.handler", ("src.app.main", "handler")),
        ("./main.handler", ("main", "handler")),
    ],
)
def test_a_handler_is_split_at_its_last_dot(handler, expected):
    assert expected == split(handler)


@pytest.mark.parametrize(
    "handler", ["", "handler", ".handler", "module.", "module.two words", "m.py/x"]
)
def test_a_handler_without_module_or_function_is_refused_with_the_form(handler):
    with pytest.raises(HandlerError, match=r"is not of the form module\.function") as caught:
        split(handler)
    assert handler == caught.value.handler


def test_the_function_of_a_nested_module_is_found(folder):
    package = folder / "deep" / "er"
    package.mkdir(parents=True)
    (package / "code.py").write_text("def run(event, context): return event")
    assert resolve("deep/er/code.run", str(folder))(3, None) == 3


def test_a_missing_module_is_named_with_the_nearest_one(folder):
    (folder / "climate.py").touch()
    (folder / "other.py").touch()
    with pytest.raises(
        HandlerError, match=r"no module 'climat' in .*did you mean 'climate'\?"
    ) as caught:
        resolve("climat.handler", str(folder))
    assert ["climate", "other"] == caught.value.candidates


def test_an_empty_code_folder_is_said_to_be_empty(folder):
    with pytest.raises(HandlerError, match="there is none"):
        resolve("absent_one.handler", str(folder))


def test_an_unreadable_code_folder_is_named(folder):
    with pytest.raises(HandlerError, match="code folder is not readable"):
        resolve("absent_two.handler", str(folder / "nowhere"))


def test_a_missing_function_is_named_with_what_the_module_defines(folder):
    (folder / "lamp.py").write_text(
        "import os\nfrom json import dumps\ndef lambda_handler(e, c): pass\ndef helper(): pass\n"
    )
    with pytest.raises(
        HandlerError, match=r"no function 'lambda_handle'.*'lambda_handler'\?"
    ) as caught:
        resolve("lamp.lambda_handle", str(folder))
    assert ["helper", "lambda_handler"] == caught.value.candidates


def test_a_missing_function_without_a_near_one_lists_all(folder):
    (folder / "lamp2.py").write_text("def one(): pass\ndef two(): pass\n")
    with pytest.raises(HandlerError, match="there is one, two"):
        resolve("lamp2.handler", str(folder))


def test_a_handler_that_cannot_be_called_is_named_with_its_type(folder):
    (folder / "lamp3.py").write_text("handler = 21\n")
    with pytest.raises(HandlerError, match=r"'handler' in .*lamp3\.py is an int, not a function"):
        resolve("lamp3.handler", str(folder))


def test_a_module_that_is_missing_inside_the_code_is_the_users_error(folder):
    (folder / "lamp4.py").write_text("import numpy_is_not_here\n")
    with pytest.raises(ModuleNotFoundError, match="numpy_is_not_here"):
        resolve("lamp4.handler", str(folder))


def test_what_the_module_raises_is_raised(folder):
    (folder / "lamp5.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        resolve("lamp5.handler", str(folder))


def test_a_handler_module_wins_over_one_that_the_runtime_has_loaded(folder, monkeypatch):
    import json.tool as loaded  # noqa: F401 - any module with a file

    monkeypatch.setitem(sys.modules, "colorsys", __import__("colorsys"))
    (folder / "colorsys.py").write_text("def handler(e, c): return 'mine'\n")
    assert resolve("colorsys.handler", str(folder))(None, None) == "mine"


def test_a_module_of_the_code_that_is_loaded_already_is_not_loaded_again(folder):
    (folder / "lamp6.py").write_text("def handler(e, c): pass\n")
    assert resolve("lamp6.handler", str(folder)) is resolve("lamp6.handler", str(folder))
