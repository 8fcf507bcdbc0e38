# SPDX-License-Identifier: Apache-2.0
"""`python -m greengrass_sdk` is `greengrass`."""

from __future__ import annotations

import subprocess
import sys


def test_the_package_runs_as_a_program():
    script = f"import sys; sys.path[:0] = {sys.path!r}; sys.argv[1:] = ['no-such-command'];"
    run = "import runpy; runpy.run_module('greengrass_sdk', run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script + run], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown command 'no-such-command'")
