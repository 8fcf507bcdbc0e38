# SPDX-License-Identifier: Apache-2.0
"""Finding the handler of code that does not say what it is."""

from __future__ import annotations

import zipfile

import pytest

from greengrass_sdk.cli._handlers import Lookup, choose, find_handlers, look_up
from greengrass_sdk.errors import PackageError

HANDLER = "def function_handler(event, context):\n    return event\n"
PYTHON_2 = "def function_handler(event, context):\n    print 'hello'\n"


@pytest.fixture
def make_zip(tmp_path):
    def make(**files):
        path = tmp_path / "code.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, source in files.items():
                archive.writestr(name.replace("__", "/") + ".py", source)
        return path

    return make


def handlers(code):
    return [candidate.handler for candidate in find_handlers(code)]


def test_the_one_handler_of_a_zip_is_found(make_zip):
    code = make_zip(hello=HANDLER, helper="def add(a, b): return a + b")

    assert choose(find_handlers(code)) == "hello.function_handler"


def test_the_handler_of_a_folder_is_found(tmp_path):
    (tmp_path / "hello.py").write_text(HANDLER)

    assert handlers(tmp_path) == ["hello.function_handler"]


def test_python_2_sources_are_read_as_text(make_zip):
    assert handlers(make_zip(old=PYTHON_2)) == ["old.function_handler"]


def test_two_that_look_alike_are_not_decided(make_zip):
    code = make_zip(a=HANDLER, b=HANDLER)

    assert handlers(code) == ["a.function_handler", "b.function_handler"]
    assert choose(find_handlers(code)) is None


def test_the_sdk_and_vendored_packages_are_not_searched(tmp_path):
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mine.py", HANDLER)
        archive.writestr("greengrasssdk/Lambda.py", HANDLER)
        archive.writestr("requests/api.py", HANDLER)
        archive.writestr("requests-2.0.dist-info/METADATA", "")
        archive.writestr("six.py", "def handler(a, b): pass")
        archive.writestr("six-1.16.0.dist-info/METADATA", "")

    assert handlers(path) == ["mine.function_handler"]


def test_a_handler_in_a_package_comes_after_one_at_the_top(make_zip):
    code = make_zip(package__module=HANDLER, top=HANDLER)

    assert handlers(code) == ["top.function_handler", "package.module.function_handler"]
    assert choose(find_handlers(code)) == "top.function_handler"


def test_functions_that_need_other_arguments_are_no_handlers(make_zip):
    source = (
        "def one(event): pass\n"
        "def three(event, context, more): pass\n"
        "def _hidden(event, context): pass\n"
        "def extra(event, context, more=None): pass\n"
    )
    assert handlers(make_zip(module=source)) == ["module.extra"]


def test_nothing_that_looks_like_a_handler_chooses_nothing(make_zip):
    assert choose(find_handlers(make_zip(empty=""))) is None


def test_a_file_that_is_no_zip_is_refused_by_name(tmp_path):
    path = tmp_path / "code.zip"
    path.write_bytes(b"not a zip")

    with pytest.raises(PackageError, match=r"code\.zip cannot be read as a zip") as caught:
        find_handlers(path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("hello.function_handler", Lookup.PRESENT),
        ("hello.alias", Lookup.PRESENT),
        ("hello.imported", Lookup.PRESENT),
        ("hello.Class", Lookup.PRESENT),
        ("hello.missing", Lookup.NO_NAME),
        ("helo.function_handler", Lookup.NO_MODULE),
        ("package.handle", Lookup.PRESENT),
        ("package.module.handle", Lookup.PRESENT),
        ("star.anything", Lookup.PRESENT),
        ("old.anything", Lookup.PRESENT),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_handler_is_looked_up_without_running_the_code(tmp_path, kind, handler, expected):
    sources = {
        "hello.py": f"{HANDLER}alias = function_handler\nfrom os import path as imported\n"
        "class Class: pass\n",
        "package/__init__.py": "def handle(event, context): pass\n",
        "package/module.py": "def handle(event, context): pass\n",
        "star.py": "from package import *\n",
        "old.py": PYTHON_2,
    }
    code = tmp_path / "code.zip" if kind == "zip" else tmp_path / "code"
    if kind == "zip":
        with zipfile.ZipFile(code, "w") as archive:
            for name, source in sources.items():
                archive.writestr(name, source)
    for name, source in sources.items() if kind == "folder" else ():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(source)

    assert look_up(code, handler) is expected


def test_a_compiled_module_is_believed(tmp_path):
    (tmp_path / "fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")

    assert look_up(tmp_path, "fast.handler") is Lookup.PRESENT
