# SPDX-License-Identifier: Apache-2.0
"""
Routing in the core: where a message goes.

* `table`: compiles a group's subscriptions into endpoint numbers, routes and a topic index, and
  finds the nearest row when none matches.
* `driver`: runs the router machine (`greengrass_sdk._native._py.router`, where every decision is
  made) in the core's event loop.
* `transport`: the bytes of one connected peer.

Start at `driver.RouterDriver.run`.
"""
