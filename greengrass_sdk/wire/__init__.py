# SPDX-License-Identifier: Apache-2.0
"""
Protocols without I/O: bytes in, values out, and back.

* `control`: the maps that a connection and the core exchange beside messages and invocations: the
  hello with which a connection begins, and what the commands of the core's owner ask.

The frames that carry all this, and everything on the hot path, are in `greengrass_sdk._native`.
Nothing here opens a socket, starts a thread, or reads a clock; what a peer sent is checked before
it is believed. Nothing is imported here: take the module you need.
"""
