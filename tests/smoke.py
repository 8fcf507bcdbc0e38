# SPDX-License-Identifier: Apache-2.0
"""
The smoke test: what must work right after installation, with the required packages alone.

`python -I tests/smoke.py examples/hello_world` needs no test tool, so it also runs in an empty
environment, outside the tree. `tests/integration/test_smoke.py` runs it with every Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

SECONDS = 3
DEADLINE_S = 60


def check(condition: object, message: str) -> None:
    """End with `message` unless `condition` holds; asserts may be switched off."""
    if not condition:
        sys.exit(f"smoke: {message}")


def check_imports() -> None:
    """The package, its client and the drop-in can be imported; the metadata is there."""
    import greengrass_sdk

    check(metadata("greengrass-core")["License-Expression"] == "Apache-2.0", "the licence is gone")
    check(greengrass_sdk.Client, "there is no Client")
    greengrasssdk = find_spec("greengrasssdk")
    check(greengrasssdk is not None, "`import greengrasssdk` finds nothing: the .pth is missing")


def check_hello_world(example: Path) -> None:
    """`greengrass run` starts the example, shows its greeting, and stops cleanly."""
    command = [
        str(Path(sysconfig.get_path("scripts")) / "greengrass"),
        "run",
        str(example),
        "--json",
        "--for",
        str(SECONDS),
    ]
    with TemporaryDirectory(prefix="smoke-") as folder:
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder, "XDG_STATE_HOME": folder}
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    told = f"\n{done.stdout}\n{done.stderr}"
    check(done.returncode == 0, f"greengrass run ended with {done.returncode}{told}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    check(events and events[0]["event"] == "started", f"the first event is not `started`{told}")
    greetings = [
        event
        for event in events
        if event["event"] == "message" and event["subject"] == "hello/world"
    ]
    check(greetings, f"no greeting arrived{told}")
    first = greetings[0]
    check(
        (first["source"], first["target"], first["outcome"]) == ("hello", "cloud", "delivered"),
        f"the greeting went astray{told}",
    )
    check(first["payload"].startswith("Hello world!"), f"the greeting says something else{told}")


if __name__ == "__main__":
    check_imports()
    check_hello_world(Path(sys.argv[1]))
    sys.stdout.write(f"smoke: fine with Python {sys.version.split()[0]}\n")
