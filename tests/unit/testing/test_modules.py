# SPDX-License-Identifier: Apache-2.0
"""What functions import from their own folders."""

from __future__ import annotations

import sys

import pytest

from greengrass_sdk import FunctionUnhandledError
from greengrass_sdk.testing import FakeCore
from greengrass_sdk.testing.modules import find_code

COUNTER = """
import helper
count = 0
def handler(event, context):
    global count
    count += 1
    return [helper.NAME, count]
"""


@pytest.fixture
def two(write, tmp_path):
    """Hold two folders that have the same modules."""
    for name in ("a", "b"):
        write(COUNTER, f"{name}/main.py")
        write(f"NAME = {name!r}", f"{name}/helper.py")
    return tmp_path


def test_two_functions_may_have_modules_of_the_same_names(core, two):
    for name in ("a", "b"):
        core.add_function(name, "main.handler", code=two / name)
    assert ["a", 1] == core.invoke("a").json()
    assert ["b", 1] == core.invoke("b").json()
    assert ["a", 2] == core.invoke("a").json()
    assert "main" not in sys.modules
    assert "helper" not in sys.modules


def test_every_core_imports_afresh(two):
    for _ in range(2):
        with FakeCore() as core:
            core.add_function("a", "main.handler", code=two / "a")
            assert ["a", 1] == core.invoke("a").json()


def test_a_worker_that_crashed_is_followed_by_a_fresh_import(core, two):
    fn = core.add_function("a", "main.handler", code=two / "a")
    core.invoke(fn)
    fn.crash()
    with pytest.raises(FunctionUnhandledError):
        core.invoke(fn)
    assert ["a", 1] == core.invoke(fn).json()


def test_the_test_may_import_the_same_module_for_itself(core, two, monkeypatch):
    monkeypatch.syspath_prepend(two / "a")
    import main  # type: ignore[import-not-found]  # written by the fixture

    try:
        core.add_function("a", "main.handler")
        assert ["a", 1] == core.invoke("a").json()
        assert 0 == main.count
        assert sys.modules["main"] is main
    finally:
        del sys.modules["main"], sys.modules["helper"]


def test_a_function_that_never_returns_from_its_import_keeps_nobody_out(core, write, tmp_path):
    loop = """
    import time
    import greengrasssdk
    client = greengrasssdk.client("iot-data")
    while True:
        client.publish(topic="tick", payload=__file__[-9])
        time.sleep(5)
    """
    write(loop, "a/main.py")
    write(loop, "b/main.py")
    for name in ("a", "b"):
        core.add_function(name, "main.handler", code=tmp_path / name, pinned=True)
    assert [b"a", b"b"] == core.published("tick").payloads
    core.advance(seconds=5)
    assert [b"a", b"b"] * 2 == core.published("tick").payloads


def test_packages_and_late_imports_are_the_functions_own(core, write, tmp_path):
    write("", "f/pkg/__init__.py")
    write("VALUE = 'pkg.part'", "f/pkg/part.py")
    write("VALUE = 'late'", "f/late.py")
    write(
        """
        def handler(event, context):
            import late
            from pkg import part
            with open("data.txt") as file:
                return [late.VALUE, part.VALUE, file.read()]
        """,
        "f/app.py",
    )
    (tmp_path / "f" / "data.txt").write_text("relative to the code")
    core.add_function("f", "app.handler", code=tmp_path / "f")
    for _ in range(2):
        assert ["late", "pkg.part", "relative to the code"] == core.invoke("f").json()
    assert not {"late", "pkg", "pkg.part"} & set(sys.modules)


def test_folders_that_a_function_adds_to_its_path_are_its_own(core, write, tmp_path):
    write("VALUE = 7", "f/lib/vendored.py")
    write(
        """
        import os, sys
        sys.path.append(os.path.join(os.path.dirname(__file__), "lib"))
        import vendored
        def handler(event, context):
            return vendored.VALUE
        """,
        "f/app.py",
    )
    before = list(sys.path)
    core.add_function("f", "app.handler", code=tmp_path / "f")
    assert 7 == core.invoke("f").json()
    assert before == sys.path
    assert "vendored" not in sys.modules


def test_a_handler_may_have_the_name_of_a_standard_module(core, write):
    folder = write("def handler(event, context):\n    return 'mine'", "colorsys.py")
    core.add_function("f", "colorsys.handler", code=folder)
    assert "mine" == core.invoke("f").json()
    import colorsys

    assert hasattr(colorsys, "rgb_to_hls")


def test_a_handler_that_is_not_there_fails_as_in_a_core(core, write):
    folder = write("def handler(event, context):\n    pass")
    core.add_function("f", "app.hanlder", code=folder)
    core.add_function("g", "appp.handler", code=folder)
    with pytest.raises(FunctionUnhandledError, match="did you mean 'handler'"):
        core.invoke("f")
    with pytest.raises(FunctionUnhandledError, match=r"no module 'appp'.*did you mean 'app'"):
        core.invoke("g")


def test_the_folder_of_a_module_is_found_on_the_path(tmp_path, monkeypatch, write):
    write("", "found_here.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert tmp_path == find_code("found_here")
    assert find_code("found_nowhere") is None
