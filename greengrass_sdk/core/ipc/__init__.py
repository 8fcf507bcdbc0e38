# SPDX-License-Identifier: Apache-2.0
"""
Local connections: other programs on this host that speak with the core over its Unix socket.

* `listener`: accepts, checks who connects, negotiates, and lets declared clients speak for their
  endpoint.
* `tools`: answers what the commands of the core's owner ask: status, publish, invoke, stop.

Start at `listener.Listener`.
"""
