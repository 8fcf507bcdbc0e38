# SPDX-License-Identifier: Apache-2.0
"""How the implementation is chosen, what an import costs, and what a worker forgets."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import greengrass_sdk
from greengrass_sdk import _native

if TYPE_CHECKING:
    from greengrass_sdk._native import _abc

HERE = str(Path(next(iter(greengrass_sdk.__path__))).parent)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own that sees the package under test."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {HERE!r})\n{code}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def printed(code: str, **environment: str) -> str:
    result = python(code, **environment)
    assert (0, "") == (result.returncode, result.stderr)
    return result.stdout.strip()


def built() -> None:
    pytest.importorskip("greengrass_sdk._native._lib", reason="the C extension is not built")


def test_the_names_of_the_contract_are_there():
    missing = [name for name in _native.__all__ if not hasattr(_native, name)]
    assert missing == []


def test_the_chosen_classes_satisfy_the_protocols():
    decoder: _abc.FrameDecoder = _native.FrameDecoder()
    index: _abc.TopicIndex = _native.TopicIndex()
    assert (0, []) == (decoder.pending, index.match(0, b"a"))


def test_python_is_taken_when_asked_for():
    code = (
        "from greengrass_sdk import _native; print(_native.impl, _native.FrameDecoder.__module__)"
    )
    assert (
        printed(code, GREENGRASS_SDK_NATIVE="python") == "python greengrass_sdk._native._py.frames"
    )


def test_c_is_taken_when_asked_for_and_by_default():
    built()
    code = (
        "from greengrass_sdk import _native; print(_native.impl, _native.FrameDecoder.__module__)"
    )
    for wanted in ("c", "auto", ""):
        assert printed(code, GREENGRASS_SDK_NATIVE=wanted) == "c greengrass_sdk._native._c"


# An entry of None makes the import fail as if the file was not there.
WITHOUT_LIB = "sys.modules['greengrass_sdk._native._lib'] = None\n"


def test_auto_does_without_the_extension():
    code = WITHOUT_LIB + "from greengrass_sdk import _native; print(_native.impl)"
    assert printed(code, GREENGRASS_SDK_NATIVE="auto") == "python"


def test_c_without_the_extension_says_what_was_tried():
    result = python(WITHOUT_LIB + "import greengrass_sdk._native", GREENGRASS_SDK_NATIVE="c")
    assert result.returncode == 1
    message = result.stderr[result.stderr.rindex("ImportError: GREENGRASS_SDK_NATIVE is 'c'") :]
    assert "- greengrass_sdk._native._lib for cpython-" in message
    assert "build_ext --inplace" in message


def test_an_unknown_choice_is_named_with_the_known_ones():
    result = python("import greengrass_sdk._native", GREENGRASS_SDK_NATIVE="rust")
    assert result.stderr.endswith(
        "ImportError: GREENGRASS_SDK_NATIVE is 'rust'; set it to auto, c or python\n"
    )


@pytest.mark.parametrize("wanted", ["auto", "python"])
def test_an_import_pulls_in_nothing_expensive(wanted):
    code = (
        "before = set(sys.modules)\nimport greengrass_sdk._native\n"
        "loaded = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(loaded - {'greengrass_sdk', '__future__'}))\n"
        "print(*[name for name in sys.modules if name.startswith('greengrass_sdk._native._py.')])"
    )
    roots, modules = printed(code, GREENGRASS_SDK_NATIVE=wanted).splitlines()
    # Development mode looks codecs up that are not needed otherwise.
    assert {"_cffi_backend", "_struct", "encodings", "struct"} >= set(roots.split())
    assert {"greengrass_sdk._native._py.frames", "greengrass_sdk._native._py.index"} == set(
        modules.split()
    )


@pytest.mark.parametrize("wanted", ["c", "python"])
def test_the_self_test_passes(wanted):
    if wanted == "c":
        built()
    code = "from greengrass_sdk import _native; _native.self_test(); print('passed')"
    assert printed(code, GREENGRASS_SDK_NATIVE=wanted) == "passed"


@pytest.mark.parametrize("wanted", ["c", "python"])
def test_a_worker_shows_no_third_party_module_and_goes_on_working(wanted):
    if wanted == "c":
        built()
    code = (
        "import gc\nbefore = set(sys.modules)\n"
        "from greengrass_sdk import _native\n_native.forget_public_modules(); gc.collect()\n"
        "import sysconfig\nloaded = set(sys.modules) - before\n"
        "public = [name for name in loaded if name.split('.')[0] not in sys.stdlib_module_names]\n"
        "_native.self_test()\n"
        "print(*sorted({name.split('.')[0] for name in public}))"
    )
    assert printed(code, GREENGRASS_SDK_NATIVE=wanted) == "greengrass_sdk"


def test_user_code_may_import_cffi_after_that():
    built()
    code = (
        "from greengrass_sdk import _native\n_native.forget_public_modules()\n"
        "import cffi\nffi = cffi.FFI()\nffi.cdef('size_t strlen(const char *);')\n"
        "print(ffi.dlopen(None).strlen(b'hello'))\n"
        "callback = ffi.callback('int(int)', lambda number: number + 1)\nprint(callback(41))\n"
        "_native.self_test()"
    )
    assert printed(code, GREENGRASS_SDK_NATIVE="c").split() == ["5", "42"]


FAULTS = """
import os
from pathlib import Path
from greengrass_sdk._native import keep_freed

def faults():
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[7])

if "KEPT" in os.environ:
    keep_freed(32 << 20)
for turn in range(22):
    if turn == 2:
        before = faults()
    buffers = [b"x" * (size << 20) for size in (1, 3, 2)]
    del buffers
print(faults() - before)
"""


def test_freed_memory_is_kept_where_that_is_asked_for():
    built()
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the allocator of another C library decides for itself")
    default = int(printed(FAULTS, GREENGRASS_SDK_NATIVE="c"))
    assert int(printed(FAULTS, GREENGRASS_SDK_NATIVE="c", KEPT="1")) < default / 10


def test_without_c_nothing_is_kept():
    code = "from greengrass_sdk._native import keep_freed; print(keep_freed(1 << 20))"
    assert "None" == printed(code, GREENGRASS_SDK_NATIVE="python")
