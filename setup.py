# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D100, D101, D102
import sysconfig

import setuptools.command.build_py


class BuildPy(setuptools.command.build_py.build_py):
    def run(self) -> None:  # makes `import greengrasssdk` work in any script, behind all else
        super().run()
        self.copy_file("native/greengrass_sdk.pth", self.build_lib)


abi3 = {} if sysconfig.get_config_var("Py_GIL_DISABLED") else {"py_limited_api": "cp311"}
cffi = ["native/build.py:ffibuilder"]
setuptools.setup(cffi_modules=cffi, cmdclass={"build_py": BuildPy}, options={"bdist_wheel": abi3})
