# SPDX-License-Identifier: Apache-2.0
"""
Build `greengrass_sdk._native._lib` with cffi, in API mode; setup.py names :data:`ffibuilder`.

The sources are those that `native/Makefile` tests; the `*.cdef.txt` are what Python sees of them.
The result uses the stable ABI where the interpreter has one. Without a compiler the build goes on
without the extension (`optional`), and the package uses its Python implementation.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

_native = Path(__file__).resolve().parent

# distutils wants paths relative to setup.py, which is the working directory of a build.
ffibuilder = FFI()
for _name in ("greengrass.cdef.txt", "plane.cdef.txt"):
    ffibuilder.cdef(_native.joinpath(_name).read_text(encoding="utf-8"))
ffibuilder.set_source(
    "greengrass_sdk._native._lib",
    '#include "gg/frame.h"\n#include "gg/index.h"\n#include "gg/port.h"\n'
    '#include "gg/plane.h"\n#include "gg/status.h"\n',
    sources=[f"native/src/{path.name}" for path in sorted(_native.glob("src/*.c"))],
    depends=[f"native/include/gg/{path.name}" for path in sorted(_native.glob("include/gg/*.h"))],
    include_dirs=["native/include"],
    extra_compile_args=[
        "-std=c11",
        "-D_GNU_SOURCE",
        "-pthread",
        "-fvisibility=hidden",
        "-fstack-protector-strong",
        "-U_FORTIFY_SOURCE",
        "-D_FORTIFY_SOURCE=3",
    ],
    extra_link_args=["-pthread"],
    optional=True,
)
