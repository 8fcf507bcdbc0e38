# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

from greengrass_sdk.runtime.preload import DROPIN_FOLDER

CHECK = """
import sys
from greengrass_sdk.runtime.preload import preload
before = list(sys.path)
kept = preload()
assert before == sys.path
assert not [name for name in sys.modules if name.startswith("greengrasssdk")]
assert kept["greengrasssdk"].IoTDataPlane is kept["greengrasssdk.IoTDataPlane"]
assert not {"attr", "attrs", "msgpack", "typing_extensions"} & set(sys.modules)
"""


def test_the_dropin_is_kept_aside_and_no_public_name_is_taken():
    subprocess.run([sys.executable, "-I", "-c", CHECK], check=True)


def test_the_dropin_is_ours_where_it_is_first_on_the_path(rig):
    worker = rig.start(
        "import greengrasssdk\ndef handler(e, c): return greengrasssdk.__file__",
        sys_path=[DROPIN_FOLDER],
    )
    assert worker.answer(b"").startswith(DROPIN_FOLDER)
