# SPDX-License-Identifier: Apache-2.0
"""
The message plane in plain Python: the reference, and the fallback without a compiler.

* `frames`: the frame format, its vocabulary (Kind, Flag, Status) and the decoder.
* `index`: the subscription table as a trie.
* `channel`: frames over a stream socket, for many threads.
* `router`: the step machine that decides what happens to every message and invocation.

Each module stands alone; nothing is imported here.
"""
