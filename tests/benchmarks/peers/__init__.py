# SPDX-License-Identifier: Apache-2.0
"""
Other messaging systems, driven as our own: the same payloads, window and rounds.

`kit` starts their brokers and processes, each ended by its pid; `child` is what these processes
run; `brokers` finds the programs that are no Python packages, or fetches them into a folder. One
module a system: what it needs, with which settings it runs, and its five roles
(broker, source, sink, server, caller), written as its own manual would.
"""
