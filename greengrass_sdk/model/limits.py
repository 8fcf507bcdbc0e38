# SPDX-License-Identifier: Apache-2.0
"""
Every number that bounds something, in one place, with its unit in its name.

Numbers of the Greengrass V1 guide say so; the others are ours. `docs/reference/limits.md` is the
same list for people, and a test keeps the two together. This module imports nothing.
"""

from __future__ import annotations

# Topics and messages. Guide: topics at most 256 bytes of UTF-8, messages 128 KB.
TOPIC_BYTES = 256
TOPIC_PAYLOAD_BYTES = 131_072
CLOUD_TOPIC_LEVELS = 8  # AWS IoT: at most seven slashes; only `lint` looks at it

# Invocations. The client context travels beside the payload and is opaque.
INVOKE_PAYLOAD_BYTES = 6_291_456
CONTEXT_BYTES = 65_536

# The core. Guide, core configuration: `maxWorkItemCount` is 1024 unless set.
WORK_ITEMS = 1024
WORK_ITEMS_MAX = 1_048_576
RING_BYTES = 262_144
RING_BYTES_MIN = 65_536
RING_BYTES_MAX = 16_777_216
SPIN_US = 50
SPIN_US_MAX = 1000

# Functions. Guide: the default timeout is 3 seconds. 25 workers is V1's limit of concurrent ones.
TIMEOUT_S = 3.0
TIMEOUT_S_MIN = 0.1
TIMEOUT_S_MAX = 2_147_483_647.0
MEMORY_KIB_MIN = 1024
MEMORY_KIB_MAX = 1_073_741_824
MAX_WORKERS = 25
MAX_WORKERS_MAX = 1000
IDLE_S = 60.0
IDLE_S_MAX = 86_400.0
QUEUE_ITEMS = 1024
QUEUE_ITEMS_MAX = 1_048_576
QUEUE_BYTES = 67_108_864
QUEUE_BYTES_MIN = 131_072
QUEUE_BYTES_MAX = 4_294_967_296
UID_MAX = 4_294_967_294  # the value above it means "do not change" to the kernel

# Names. AWS: functions 64 characters, things 128, groups and subscriptions 128.
FUNCTION_NAME_CHARS = 64
THING_NAME_CHARS = 128
CLIENT_NAME_CHARS = 64
SECRET_NAME_CHARS = 128
SECRET_BYTES = 65_536
LABEL_CHARS = 128
QUALIFIER_CHARS = 128

# Shadows and streams. Guide: 8 KB of state, port 8088, 5 export threads.
SHADOW_STATE_BYTES = 8192
SHADOW_STATE_BYTES_MAX = 131_072
SHADOW_REQUEST_BYTES = 262_144
SHADOW_NAME_CHARS = 64
SHADOW_CLIENT_TOKEN_BYTES = 64
STREAM_PORT = 8088
STREAM_THREADS = 5
STREAM_THREADS_MAX = 64
STREAM_REQUESTS = 128  # of functions and programs, at once
STREAM_SYNC_MS = 1000
STREAM_SYNC_MS_MAX = 60_000
STREAM_PART_BYTES = 5_242_880  # of an upload in parts; S3 takes no smaller ones
STREAM_PART_BYTES_MAX = 5_368_709_120

# Logs. Guide: 128 KB per component; ours keeps more, disks have grown.
LOG_SPACE_KIB = 10_240
LOG_SPACE_KIB_MIN = 64
LOG_SPACE_KIB_MAX = 16_777_216

# The queue of messages for the cloud. Guide: at least 262144 bytes, 2.5 MB unless set.
SPOOL_BYTES = 2_621_440
SPOOL_BYTES_MIN = 262_144

# The link to the cloud. Guide, core configuration: `keepAlive` 30 to 1200 seconds.
KEEP_ALIVE_S = 600
KEEP_ALIVE_S_MIN = 30
KEEP_ALIVE_S_MAX = 1200
