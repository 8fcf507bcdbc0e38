# SPDX-License-Identifier: Apache-2.0
"""
What the core tells about itself and its functions.

* `lines`: one log record as V1 wrote it, and back
* `logfile`: one log on disk: rotated, bounded, and never the reason why something else fails
* `logs`: which record goes to which file: functions, the core's services, `crash.log`
* `view`: what happens in the core as the events of `greengrass run --json`

Start at `logs.Logs`. Nothing here waits for a disk longer than a write, or for a reader at all.
"""
