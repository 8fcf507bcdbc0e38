# SPDX-License-Identifier: Apache-2.0
"""
Fuzz the frame decoders: `nox -s fuzz -- frames tests/fuzz/corpus/frames -max_total_time=60`.

The input is what a peer sends; its last byte tells in pieces of which size. Oracle: frames or a
FrameError, the same from both implementations.
"""

from __future__ import annotations

import sys

from greengrass_sdk._native import _c
from greengrass_sdk._native._py import frames

MAX_FRAME = 1 << 17


def outcome(decoder_class, data, size):
    decoder = decoder_class(MAX_FRAME)
    seen = []
    for at in range(0, len(data), size):
        try:
            seen += decoder.feed(data[at : at + size])
        except frames.FrameError as error:
            return seen + error.frames, error.reason, None
    return seen, None, decoder.pending


def one_input(data: bytes) -> None:
    size = max(1, data[-1] if data else 1)
    for pieces in (size, len(data) or 1):
        python = outcome(frames.FrameDecoder, data, pieces)
        native = outcome(_c.FrameDecoder, data, pieces)
        if python != native:
            raise AssertionError(f"Python: {python}\nC: {native}")


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("fuzzing Python needs atheris: pip install atheris")
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
