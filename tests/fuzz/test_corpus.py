# SPDX-License-Identifier: Apache-2.0
"""Every input of the corpora once more, in each run; `make -C native fuzz-short` does so in C."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
INPUTS = sorted(path for path in HERE.glob("corpus/*/*") if path.is_file())

pytest.importorskip("greengrass_sdk._native._lib", reason="the C extension is not built")


def harness(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", HERE / f"fuzz_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_input_of_the_corpus_breaks_nothing(path):
    harness(path.parent.name).one_input(path.read_bytes())


def test_each_corpus_has_a_harness():
    assert {path.parent.name for path in INPUTS} == {
        path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py")
    }
