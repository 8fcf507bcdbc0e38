# SPDX-License-Identifier: Apache-2.0
"""
A process of a peer: `child.py PEER ROLE ARGUMENTS...` or `child.py exec PROGRAM ARGUMENTS...`.

Whatever it becomes, it is killed when its parent ends.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Be what the arguments say."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    peer, role, *rest = arguments
    if peer == "exec":
        os.execv(role, [role, *rest])
    # Its own folder has modules that are named like the systems.
    sys.path[0] = str(Path(__file__).parents[1])
    getattr(importlib.import_module(f"peers.{peer}"), role)(*rest)


if __name__ == "__main__":
    main(sys.argv[1:])
