# SPDX-License-Identifier: Apache-2.0
"""
The stream manager: named streams of messages, and how far their exports are.

* `rules`: what a definition may be, and become.
* `store`: where definitions, logs and the positions of exports are kept.
* `service`: one request after the other, against a store; no thread, no event loop.
* `manager`: the service for an event loop: waiting readers, group commit, hooks for exporters.
* `endpoint`: the manager as `GGStreamManager` of a running core, for functions and programs.

Start at `manager.StreamManager`.
"""
