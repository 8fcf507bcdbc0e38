# SPDX-License-Identifier: Apache-2.0
"""
Secrets: reading one, decryption included, beside a bare invocation of another function.

Both are asked by a pinned function, one call at a time, in alternation. A bare invocation goes
through the core to another process, the secret is answered by the core itself.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report import MUST, Row, beside, row
from rounds import alternate
from service import BENCH, CALLS_S, Service

if TYPE_CHECKING:
    from setting import Setting

VALUE = b'{"user": "bench", "password": "0123456789abcdef"}'

GROUP = f"""
schema = 1
[group]
name = "bench"
core = "bench-core"
[clients.{BENCH}]
[functions.asker]
code = "code/"
handler = "secret_reading.asker"
pinned = true
timeout_s = 600
secrets = ["bench"]
[functions.nothing]
code = "code/"
handler = "secret_reading.nothing"
encoding = "binary"
pinned = true
[secrets.bench]
"""


def measure(setting: Setting) -> list[Row]:
    """Return the rows of secrets."""
    calls = 100 if setting.quick else 3000
    with Service(_group(setting.folder)) as core:
        put = [sys.executable, "-P", "-m", "greengrass_sdk", "secret", "--root", str(core.root)]
        subprocess.run([*put, "put", "bench"], input=VALUE, check=True, capture_output=True)

        def ask(measure: str) -> float:
            command: dict[str, Any] = {"measure": measure, "calls": calls, "warm": calls // 10}
            spans = core.client.invoke("asker", command, timeout_s=CALLS_S).json()
            return float(statistics.median(spans)) / 1e3

        found = alternate(
            {
                "read": lambda: ask("read_spans"),
                "v1": lambda: ask("v1_spans"),
                "invoke": lambda: ask("invoke_spans"),
            },
            setting.rounds,
        )
    return [
        row(
            "secret, one at a time, p50",
            "us",
            found["read"],
            beside(found["read"], found["invoke"], "invoke", MUST, at_most=1.5),
        ),
        row(
            "the same with greengrasssdk, p50",
            "us",
            found["v1"],
            beside(found["v1"], found["invoke"], "invoke", "shown"),
        ),
        row("floor: invoke of a function that does nothing, p50", "us", found["invoke"]),
    ]


def _group(folder: Path) -> Path:
    code = folder / "code"
    code.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "functions" / "secret_reading.py", code)
    (folder / "group.toml").write_text(GROUP)
    return folder
