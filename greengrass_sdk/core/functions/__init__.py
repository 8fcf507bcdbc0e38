# SPDX-License-Identifier: Apache-2.0
"""
Functions: from code on disk to running workers.

* `packages`, `archive`: take the code of a function, a folder or a zip, to where it runs.
* `environment`, `identity`: with which variables and as whom it runs.
* `fleet`: all of that for every function of a group, ready to be started.
* `zygote`, `zygotes`: the warm processes that workers are forked from.
* `worker`, `pool`: one worker process; all of them, their starts, ends and restarts; `backoff`,
  the pauses between restarts.
* `memory`: the bound of `memory_kib`.

Start at `pool.Pool`.
"""
