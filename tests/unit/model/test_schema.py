# SPDX-License-Identifier: Apache-2.0
"""The shipped JSON Schema: fresh, valid, and of one mind with the reader."""

import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from greengrass_sdk.errors import ConfigError
from greengrass_sdk.model.groupfile import parse_group
from greengrass_sdk.model.schema import group_json_schema, schema_text

ROOT = Path(__file__).parents[3]
GROUP = '[group]\nname = "g"\ncore = "c"\n'


def valid(text):
    data = tomllib.loads(text)
    return jsonschema.Draft202012Validator(group_json_schema()).is_valid(data)


def test_the_shipped_file_is_fresh():
    """Else: `python -m greengrass_sdk.model.schema > greengrass_sdk/model/group.schema.json`."""
    shipped = resources.files("greengrass_sdk.model").joinpath("group.schema.json").read_text()
    assert schema_text() == shipped


def test_the_module_writes_the_file():
    found = subprocess.run(
        [sys.executable, "-m", "greengrass_sdk.model.schema"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert schema_text() == found.stdout


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(group_json_schema())


@pytest.mark.parametrize("file", sorted((ROOT / "examples").rglob("*.toml")), ids=str)
def test_every_example_passes(file):
    assert valid(file.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "schema = 1\n",
        "[limits]\nring_bytes = 65536\n",
        "[functions.a]\ncode = '.'\nhandler = 'a.f'\nrun_as = { uid = 1 }\n",
        "[devices.'a:b']\n[clients.c]\n[secrets.'a/b']\nstages = []\n",
        "[[loggers]]\ncomponent = 'Lambda'\n",
        "[[subscriptions]]\nsource = 'cloud'\nsubject = '#'\ntarget = 'GGShadowService'\n",
    ],
)
def test_what_the_reader_takes_passes(text):
    text = (GROUP + text) if not text.startswith("schema") else text + GROUP
    parse_group(text, base=ROOT)
    assert valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\n",
        "[limits]\nring_bytes = 65537\n",
        "[limits]\nwork_item = 1\n",
        "[functions.a]\ncode = '.'\n",
        "[functions.'a b']\ncode = '.'\nhandler = 'a.f'\n",
        "[functions.a]\ncode = '.'\nhandler = 'f'\n",
        "[functions.a]\ncode = '.'\nhandler = 'a.f'\nversion = '$LATEST'\n",
        "[functions.a]\ncode = '.'\nhandler = 'a.f'\nrun_as = { pid = 1 }\n",
        "[functions.a]\ncode = '.'\nhandler = 'a.f'\nenvironment = { A = 1 }\n",
        "[clients.a]\nx = 1\n",
        "[[loggers]]\nlevel = 'INFO'\n",
        "[loggers]\n",
        "[cloud]\nurl = 'http://x'\n",
        "[streams]\nport = -1\n",
    ],
)
def test_what_the_reader_refuses_fails(text):
    text = text + GROUP
    with pytest.raises(ConfigError):
        parse_group(text, base=ROOT)
    assert not valid(text)
