# SPDX-License-Identifier: Apache-2.0
"""What the machine itself takes for a process: a fork, and a new interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Self

# A process that has imported what the zygote has, and forks for every byte that it reads.
_WARM = """
import gc, os, signal, time
import greengrass_sdk.runtime.zygote, base64, datetime, random
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
gc.collect()
gc.freeze()
os.write(1, b"ready\\n")
while os.read(0, 1):
    if not os.fork():
        os.write(1, b"%d\\n" % time.monotonic_ns())
        os._exit(0)
"""
_FRESH = "import os, time; os.write(1, b'%d' % time.monotonic_ns())"


class WarmInterpreter:
    """A warm interpreter that forks when it is asked to: the least that a cold start can be."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _WARM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._ask = self._process.stdin
        self._answers = self._process.stdout
        assert self._answers.readline() == b"ready\n"
        return self

    def __exit__(self, *failure: object) -> None:
        self._ask.close()
        self._answers.close()
        self._process.wait()

    def fork_ms(self) -> float:
        """Return the time from asking to the first line in the child."""
        asked = time.monotonic_ns()
        self._ask.write(b".")
        return (int(self._answers.readline()) - asked) / 1e6


def exec_ms() -> float:
    """Return the time from asking to the first line in a new interpreter that imports nothing."""
    asked = time.monotonic_ns()
    done = subprocess.run([sys.executable, "-I", "-c", _FRESH], stdout=subprocess.PIPE, check=True)
    return (int(done.stdout) - asked) / 1e6
