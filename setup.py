# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D100, D101, D102
import sysconfig
from pathlib import Path

import setuptools
import setuptools.command.build_py


class BuildPy(setuptools.command.build_py.build_py):
    def run(self) -> None:  # makes `import greengrasssdk` work in any script, behind all else
        super().run()
        self.copy_file("native/greengrass_sdk.pth", self.build_lib)


# Free-threaded interpreters have no stable ABI.
stable = not sysconfig.get_config_var("Py_GIL_DISABLED")
fast = setuptools.Extension(
    "greengrass_sdk._native._fast",
    [
        *sorted(map(str, Path("native/fast").glob("*.c"))),
        *(f"native/src/{name}" for name in ("gg_block.c", "gg_crc.c")),
    ],
    include_dirs=["native/include"],
    depends=["native/fast/gg_fast.h", "native/include/gg/block.h", "native/include/gg/port.h"],
    define_macros=[
        ("_GNU_SOURCE", None),
        *([("Py_LIMITED_API", "0x030B0000")] if stable else []),
    ],
    extra_compile_args=["-std=c11", "-fvisibility=hidden", "-fstack-protector-strong"],
    py_limited_api=stable,
    optional=True,  # as the other one: all works without it
)
setuptools.setup(
    cffi_modules=["native/build.py:ffibuilder"],
    ext_modules=[fast],
    cmdclass={"build_py": BuildPy},
    options={"bdist_wheel": {"py_limited_api": "cp311"} if stable else {}},
)
