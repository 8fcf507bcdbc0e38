# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.core.functions.packages: code gets to where it runs, whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from greengrass_sdk.core.functions import packages
from greengrass_sdk.core.functions.packages import (
    code_folder,
    handler_file,
    install,
    remove_stale,
)
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.errors import HandlerError, PackageError
from greengrass_sdk.model.function import Function

if TYPE_CHECKING:
    from collections.abc import Mapping

ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello:1"


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    layout = Layout(tmp_path / "root")
    layout.create()
    return layout


def function(code: Path, **options) -> Function:
    return Function(name="hello", code=code, handler="hello.handler", arn=ARN, **options)


def make_zip(path: Path, files: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive_file:
        for name, content in files.items():
            archive_file.writestr(name, content)
    return path


def make_folder(path: Path, files: Mapping[str, str]) -> Path:
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    return path


def files(folder: Path) -> dict[str, str]:
    return {
        found.relative_to(folder).as_posix(): found.read_text()
        for found in folder.rglob("*")
        if found.is_file()
    }


def left_in(layout: Layout) -> set[str]:
    return {path.name for path in layout.lambdas_dir.iterdir()}


# --- folders


def test_a_folder_runs_where_it_is_and_the_guides_path_leads_to_it(layout, tmp_path):
    code = make_folder(tmp_path / "code", {"hello.py": "x"})

    folder = install(function(code), layout)

    assert code == folder
    assert layout.lambda_dir(ARN).is_symlink()
    assert {"hello.py": "x"} == files(layout.lambda_dir(ARN))
    assert folder == code_folder(function(code), layout)


def test_the_link_follows_the_folder(layout, tmp_path):
    for name in ("one", "two", "two"):
        code = make_folder(tmp_path / name, {f"{name}.py": ""})
        install(function(code), layout)

        assert code == layout.lambda_dir(ARN).readlink()
    assert {ARN} == left_in(layout)


def test_the_root_may_lie_in_the_code(tmp_path):
    code = make_folder(tmp_path / "code", {"hello.py": ""})
    layout = Layout(code / ".greengrass")
    layout.create()

    assert code == install(function(code), layout)


# --- zips


def test_a_zip_is_unpacked_to_the_guides_path(layout, tmp_path):
    code = make_zip(tmp_path / "code.zip", {"hello.py": "x", "lib/a.py": "y"})

    folder = install(function(code), layout)

    assert layout.lambdas_dir / ARN == folder == code_folder(function(code), layout)
    assert {"hello.py": "x", "lib/a.py": "y"} == files(folder)
    assert 0o755 == stat.S_IMODE(folder.stat().st_mode)
    assert {ARN, f".{ARN}.json"} == left_in(layout)


def test_an_unchanged_zip_is_not_unpacked_again(layout, tmp_path):
    code = make_zip(tmp_path / "code.zip", {"hello.py": "x"})
    folder = install(function(code), layout)
    (folder / "made_by_function.db").write_text("kept")
    os.utime(code)

    install(function(code), layout)

    assert "kept" == (folder / "made_by_function.db").read_text()


def test_a_changed_zip_replaces_everything(layout, tmp_path):
    code = make_zip(tmp_path / "code.zip", {"hello.py": "x", "old.py": ""})
    install(function(code), layout)
    make_zip(code, {"hello.py": "y"})

    folder = install(function(code), layout)

    assert {"hello.py": "y"} == files(folder)
    assert {ARN, f".{ARN}.json"} == left_in(layout)


def test_a_folder_without_its_checksum_does_not_count(layout, tmp_path):
    code = make_zip(tmp_path / "code.zip", {"hello.py": "x"})
    folder = install(function(code), layout)
    for content in ("", "{}", "[]", "null", '{"format": 1, "sha256": 7}', "\0"):
        (folder / "hello.py").write_text("half")
        (layout.lambdas_dir / f".{ARN}.json").write_text(content)

        install(function(code), layout)

        assert "x" == (folder / "hello.py").read_text()


def test_a_checksum_without_its_folder_does_not_count(layout, tmp_path):
    code = make_zip(tmp_path / "code.zip", {"hello.py": "x"})
    folder = install(function(code), layout)
    (folder / "hello.py").unlink()
    folder.rmdir()

    install(function(code), layout)

    assert {"hello.py": "x"} == files(folder)


def test_zip_and_folder_take_turns(layout, tmp_path):
    zipped = make_zip(tmp_path / "code.zip", {"hello.py": "zip"})
    plain = make_folder(tmp_path / "code", {"hello.py": "folder"})
    for code, expected in ((zipped, "zip"), (plain, "folder"), (zipped, "zip")):
        folder = install(function(code), layout)

        assert expected == (folder / "hello.py").read_text()
        assert expected == (layout.lambda_dir(ARN) / "hello.py").read_text()
    assert {"hello.py": "folder"} == files(plain)


# --- refusals


def refusal(code: Path, layout: Layout, **options) -> str:
    with pytest.raises(PackageError) as raised:
        install(function(code, **options), layout)
    assert str(code) == raised.value.file
    return str(raised.value)


def test_missing_code_is_named(layout, tmp_path):
    text = refusal(tmp_path / "nowhere", layout)

    assert f"function 'hello': code {tmp_path / 'nowhere'} does not exist; " in text


def test_executables_are_refused_by_name(layout, tmp_path):
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\n")
    for program in (Path(sys.executable).resolve(), script):
        text = refusal(program, layout)

        assert f"code {program} is an executable; executables as code are not supported yet" in text


def test_a_module_is_answered_with_its_folder(layout, tmp_path):
    module = tmp_path / "hello.py"
    module.write_text("")

    assert f"give the folder that holds it: code = '{tmp_path}'" in refusal(module, layout)


def test_what_is_no_zip_is_refused(layout, tmp_path):
    code = tmp_path / "code.zip"
    code.write_bytes(b"PK\3\4 and no more")

    assert "is neither a folder nor a whole zip; build it again" in refusal(code, layout)


def test_a_pipe_is_refused(layout, tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert "does not exist" in refusal(tmp_path / "pipe", layout)


def test_a_refused_zip_leaves_the_deployed_one_alone(layout, tmp_path):
    code = make_zip(tmp_path / "code.zip", {"hello.py": "good"})
    folder = install(function(code), layout)
    make_zip(code, {"hello.py": "bad", "../evil.py": ""})

    text = refusal_of_entry(code, layout)

    assert "entry '../evil.py' would be written outside of its folder" in text
    assert {"hello.py": "good"} == files(folder)
    assert {ARN, f".{ARN}.json"} == left_in(layout)


def refusal_of_entry(code: Path, layout: Layout) -> str:
    with pytest.raises(PackageError) as raised:
        install(function(code), layout)
    assert "../evil.py" == raised.value.entry
    return str(raised.value)


def test_a_disk_that_is_too_small_is_told_before_unpacking(layout, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")  # noqa: PYI024 - as shutil's
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(3))
    code = make_zip(tmp_path / "code.zip", {"hello.py": "four"})

    assert f"needs 4 bytes in {layout.lambdas_dir}; 3 are free" in refusal(code, layout)


def test_a_disk_that_fills_up_leaves_nothing_behind(layout, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code = make_zip(tmp_path / "code.zip", {"hello.py": "x"})

    text = refusal(code, layout)

    assert "cannot be made ready: No space left on device; free some space" in text
    assert set() == left_in(layout)


def test_bundled_needs_the_sdk_in_the_code(layout, tmp_path):
    without = make_zip(tmp_path / "code.zip", {"hello.py": ""})
    text = refusal(without, layout, sdk="bundled")
    assert 'has no greengrasssdk/ at its top, which sdk = "bundled" needs' in text

    make_zip(without, {"hello.py": "", "greengrasssdk/__init__.py": ""})
    folder = make_folder(tmp_path / "code", {"greengrasssdk/__init__.py": ""})
    install(function(without, sdk="bundled"), layout)
    install(function(folder, sdk="bundled"), layout)


# --- cleaning up


def test_what_is_no_longer_deployed_is_removed(layout, tmp_path):
    code = make_zip(tmp_path / "code.zip", {"hello.py": "x"})
    install(function(code), layout)
    other = ARN.replace("hello", "other")
    outside = make_folder(tmp_path / "outside", {"precious.py": ""})
    make_folder(layout.lambda_dir(other), {"a.py": ""})
    (layout.lambdas_dir / f".{other}.json").write_text("{}")
    layout.lambda_dir(ARN.replace("hello", "linked")).symlink_to(outside)
    for name in (".new-1", ".old-1"):
        make_folder(layout.lambdas_dir / name, {"a.py": ""})
    (layout.lambdas_dir / ".link-1").symlink_to(outside)

    remove_stale(layout, [ARN])

    assert {ARN, f".{ARN}.json"} == left_in(layout)
    assert {"precious.py": ""} == files(outside)


def test_a_layout_that_was_never_created_has_nothing_stale(tmp_path):
    remove_stale(Layout(tmp_path / "nowhere"), [])


def test_what_cannot_be_removed_is_a_warning(layout, monkeypatch, caplog):
    make_folder(layout.lambdas_dir / ".new-1", {})

    def busy(_):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(shutil, "rmtree", busy)
    with caplog.at_level(logging.WARNING):
        remove_stale(layout, [])

    assert "cannot remove stale code" in caplog.text


# --- kill -9 at any instant


INSTALL = """
import sys
from pathlib import Path
from greengrass_sdk.core.functions.packages import install
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.model.function import Function

root, arn, *codes = sys.argv[1:]
layout = Layout(Path(root))
print("ready", flush=True)
while True:
    for code in codes:
        install(Function(name="hello", code=Path(code), handler="h.h", arn=arn), layout)
        sys.stdout.write("installed\\n")
        sys.stdout.flush()
"""

ROUNDS = 12


def test_a_process_that_is_killed_leaves_no_half_folder_that_counts(layout, tmp_path):
    """Whoever comes next gets all files of its own zip, whatever the moment of the kill."""
    contents = {
        name: {f"{number}.py": f"{name}{number}" * 50 for number in range(30)} for name in "ab"
    }
    codes = {name: make_zip(tmp_path / f"{name}.zip", contents[name]) for name in "ab"}
    command = [sys.executable, "-c", INSTALL, layout.root, ARN, *codes.values()]
    random_ = random.Random(1)
    for round_ in range(ROUNDS):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert b"ready\n" == process.stdout.readline()
            # Some installations, then somewhere within the next: the instant is the scheduler's.
            for _ in range(random_.randrange(4)):
                process.stdout.readline()
            for _ in range(random_.randrange(20_000)):
                pass
            process.send_signal(signal.SIGKILL)

        name = "ab"[round_ % 2]
        folder = install(function(codes[name]), layout)
        assert contents[name] == files(folder)

    remove_stale(layout, [ARN])
    assert {ARN, f".{ARN}.json"} == left_in(layout)


STEPS = ("mkdir", "chmod", "rename", "unlink", "replace", "fsync")


@pytest.mark.parametrize("step", STEPS)
def test_dying_at_each_step_leaves_no_half_folder_that_counts(layout, tmp_path, monkeypatch, step):
    """The same at every system call in turn; dying is an exception after which nobody cleans up."""
    codes = {
        name: make_zip(tmp_path / f"{name}.zip", {"x.py": name * 9, "d/y.py": name})
        for name in "ab"
    }
    install(function(codes["a"]), layout)
    monkeypatch.setattr(packages, "_remove", lambda _: None)
    original = getattr(os, step)
    for count in range(50):
        calls = 0

        def die(*args, left=count, **options):
            nonlocal calls
            calls += 1
            if calls > left:
                raise Died
            return original(*args, **options)

        class Died(BaseException):
            pass

        with monkeypatch.context() as patch:
            patch.setattr(os, step, die)
            try:
                install(function(codes["b"]), layout)
            except Died:
                finished = False
            else:
                finished = True
        folder = install(function(codes["a"]), layout)
        assert {"x.py": "a" * 9, "d/y.py": "a"} == files(folder)
        if finished:
            return
    pytest.fail("never finished")


# --- handlers


CODE = {
    "hello.py": "",
    "package/__init__.py": "",
    "package/deep/module.py": "",
    "native.cpython-311-x86_64-linux-gnu.so": "",
    "compiled.pyc": "",
    "my-name.py": "",
    "inner/app.py": "",
    "Case.py": "",
}


@pytest.fixture(params=["zip", "folder"])
def code(request, tmp_path):
    if request.param == "zip":
        return make_zip(tmp_path / "code.zip", CODE)
    return make_folder(tmp_path / "code", CODE)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("hello.function_handler", "hello.py"),
        ("package.handler", "package/__init__.py"),
        ("package.deep.module.handler", "package/deep/module.py"),
        ("native.handler", "native.cpython-311-x86_64-linux-gnu.so"),
        ("compiled.handler", "compiled.pyc"),
        ("my-name.handler", "my-name.py"),
    ],
)
def test_the_file_of_a_handler_is_found(code, handler, expected):
    assert expected == handler_file(code, handler)


@pytest.mark.parametrize(
    ("handler", "hint"),
    [
        (
            "nothing.handler",
            "has no nothing.py or nothing/__init__.py; its modules are Case, hello,",
        ),
        ("app.handler", "; it is in inner/: the code is the content of that folder"),
        ("case.handler", "; there is Case.py: upper and lower case count"),
        ("package.deep.other.handler", "has no package/deep/other.py or "),
    ],
)
def test_a_module_that_is_not_there_is_answered_with_what_is(code, handler, hint):
    with pytest.raises(HandlerError) as raised:
        handler_file(code, handler)

    assert f"handler {handler!r}: {code} has no " in str(raised.value)
    assert hint in str(raised.value)
    assert handler == raised.value.handler
    assert ["Case", "hello", "my-name", "package"] == raised.value.candidates


@pytest.mark.parametrize("handler", ["", "hello", ".handler", "hello.", "a..b"])
def test_a_handler_without_module_or_function_is_refused(code, handler):
    with pytest.raises(HandlerError, match=r"must be module\.function"):
        handler_file(code, handler)


def test_code_without_python_files_says_so(tmp_path):
    code = make_zip(tmp_path / "code.zip", {"index.js": ""})

    with pytest.raises(HandlerError, match="it has no Python files at its top"):
        handler_file(code, "index.handler")


def test_many_modules_are_not_all_listed(tmp_path):
    code = make_zip(tmp_path / "code.zip", {f"m{number}.py": "" for number in range(20)})

    with pytest.raises(HandlerError, match=r"m15, \.\.\.$"):
        handler_file(code, "x.handler")


def test_handlers_are_not_looked_up_in_a_refused_zip(tmp_path):
    code = make_zip(tmp_path / "code.zip", {"hello.py": "", "../evil.py": ""})

    with pytest.raises(PackageError, match=r"evil\.py"):
        handler_file(code, "hello.handler")
    with pytest.raises(PackageError, match="No such file"):
        handler_file(tmp_path / "nowhere.zip", "hello.handler")
