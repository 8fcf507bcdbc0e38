# SPDX-License-Identifier: Apache-2.0
"""
What runs inside a function's process, and the process that such processes are forked from.

* `zygote.py` is the warm, single-threaded parent: `python -I -m greengrass_sdk.runtime.zygote FD`
* `protocol.py` is what it and the core say to each other
* `processes.py` wraps what Linux offers: names, parent-death signals, children left behind
* `preload.py` is what it imports for its children; `rehearsal.py` warms the next one up
* `birth.py` turns a fresh fork into a function's process: ids, descriptors, environment
* `worker.py` imports the handler and calls it for each message and invocation
* `handler.py` resolves `module.sub.function`; `context.py` is what handlers get beside the event
* `logs.py` turns print, standard error and logging into records; `outcome.py` makes error documents

The standard library and our own modules only: a function that brings an attrs or a msgpack of its
own must find that one. Start with `zygote.py`, then `worker.py`.
"""
