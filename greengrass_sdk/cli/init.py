# SPDX-License-Identifier: Apache-2.0
"""`greengrass init DIR [--zip FILE]`: a group file, a handler and its test to start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from greengrass_sdk.cli._groups import GROUP_FILE, group_text, guess_handler, name_for
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output

__all__ = ["configure", "execute"]

HANDLER = '''\
"""
Greets whoever asks.

The core calls `function_handler` with each message on `hello/ask`, and with each
`greengrass invoke hello`. What it publishes goes where the subscriptions of
group.toml lead; what it returns goes to the caller of an invoke.
"""

import json

import greengrasssdk

client = greengrasssdk.client("iot-data")


def function_handler(event, context):
    greeting = {"message": f"Hello, {event.get('name', 'world')}!"}
    client.publish(topic="hello/world", payload=json.dumps(greeting))
    return greeting
'''

TEST = '''\
"""
Runs the group on a core in the process of the test.

The fixture `greengrass` comes with the package; `python -m pytest` needs nothing else.
"""

import pytest


@pytest.fixture(autouse=True)
def group(greengrass):
    greengrass.load("../group.toml")


def test_it_greets_who_asks(greengrass):
    greengrass.deliver("hello/ask", {"name": "Ada"})

    message = greengrass.published("hello/world").one()
    assert message.json() == {"message": "Hello, Ada!"}
    assert message.targets == ("cloud",)


def test_it_greets_the_world_when_nobody_is_named(greengrass):
    assert greengrass.invoke("hello", {}).json() == {"message": "Hello, world!"}
'''

GROUP = """\
# What runs on this core and who may talk to whom.
# `greengrass lint` checks this file, `greengrass run` runs it.
schema = 1

[group]
name = "{name}"
core = "{name}-core"

[functions.hello]
code = "hello/"
handler = "hello.function_handler"
timeout_s = 3

# A message of `source` whose topic matches `subject` goes to `target`.
[[subscriptions]]
source = "cloud"
subject = "hello/ask"
target = "hello"

[[subscriptions]]
source = "hello"
subject = "hello/world"
target = "cloud"
"""

ZIP_TEST = '''\
"""Checks that the group file is right and that the zip holds the handler it names."""

import subprocess
import sys
from pathlib import Path


def test_the_group_is_ready_to_run():
    command = [sys.executable, "-m", "greengrass_sdk", "lint", str(Path(__file__).parent.parent)]
    lint = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert lint.returncode == 0, lint.stdout + lint.stderr
'''


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Write a group file, a handler and its test into DIR. With --zip: a group file that runs "
        "this Greengrass V1 zip; the handler is guessed from the code in it."
    )
    parser.add_argument("dir", metavar="DIR", help="folder to write into; made if missing")
    parser.add_argument("--zip", metavar="FILE", help="deployment package of a V1 function")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Write the files; nothing that exists is overwritten."""
    folder = Path(args.dir)
    if args.zip is None:
        files = _starter_files(folder)
        rivals: list[str] = []
        name = "hello"
    else:
        archive = Path(args.zip)
        name = name_for(archive)
        files, rivals = _zip_files(folder, archive, name)
    _refuse_existing(folder, files)
    for relative, text in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        output.text(f"wrote {path}")
    if rivals:
        output.warning(
            f"the handler in {folder / GROUP_FILE} is a guess, change it if it is wrong; "
            f"it could also be {', '.join(rivals)}"
        )
    _say_next(output, args.dir, name)
    return 0


def _starter_files(folder: Path) -> dict[str, str]:
    return {
        GROUP_FILE: GROUP.format(name=name_for(folder)),
        "hello/hello.py": HANDLER,
        "tests/test_hello.py": TEST,
    }


def _zip_files(folder: Path, archive: Path, name: str) -> tuple[dict[str, str], list[str]]:
    if not archive.is_file():
        raise ConfigError(f"{archive}: no such file; --zip takes the zip of a V1 function")
    handler, rivals = guess_handler(archive)
    remark = "the only function in the zip that looks like a handler"
    if rivals:
        remark = f"guessed; the zip also has {', '.join(rivals[:8])}"
    code = os.path.relpath(archive.absolute(), folder.absolute())
    text = group_text(name=name, code=code, handler=handler, remark=remark)
    test = f"tests/test_{name.replace('-', '_')}.py"
    return {GROUP_FILE: text, test: ZIP_TEST}, rivals


def _refuse_existing(folder: Path, files: dict[str, str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder")
    existing = [str(folder / relative) for relative in files if (folder / relative).exists()]
    if existing:
        raise ConfigError(
            f"{', '.join(existing)} {'exists' if len(existing) == 1 else 'exist'} already; "
            "nothing is overwritten: name another folder, or move away what is there"
        )


def _say_next(output: Output, folder: str, name: str) -> None:
    lines = [
        "",
        "next:",
        f"  greengrass run {folder}",
        f"  python -m pytest {folder}   # pip install pytest",
        "and while it runs, in a second terminal:",
    ]
    if name == "hello":
        lines.append("""  greengrass publish hello/ask '{"name": "Ada"}'""")
    lines.append(f"""  greengrass invoke {name} '{{"name": "Ada"}}'""")
    for line in lines:
        output.note(line)
