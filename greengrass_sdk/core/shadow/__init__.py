# SPDX-License-Identifier: Apache-2.0
"""
The shadow service: what a thing reported, what it should be, and the difference.

* `documents`: the rules of merge, delta and metadata, on plain values.
* `requests`: from topics and payloads to requests, or the error that refuses them.
* `responses`: the documents that answer, as bytes.
* `service`: one request after the other against a store; no clock, no thread, no socket.
* `store`, `database`: where shadows are kept: in memory, or in sqlite.
* `endpoint`: the service as `GGShadowService` of a running core, with group commit.

Start at `service.ShadowService`.
"""
