# SPDX-License-Identifier: Apache-2.0
"""
A log of messages on disk: append-only segments of checksummed blocks.

* `files`: where the bytes are: a folder, or memory.
* `segment`: one file: blocks one after the other, a sparse index, recovery.
* `log`: the segments of one stream as one sequence of messages.
* `worker`: the thread that does the work, and the one that waits for the disk (group commit).

A block is one append (`greengrass_sdk.wire.blocks`). Start at `log.SegmentLog`.
"""
