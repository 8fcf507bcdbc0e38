# SPDX-License-Identifier: Apache-2.0
"""
The core: the process that runs functions and routes messages.

* `daemon`: builds and wires everything; the only module that knows all services. Start here.
* `router/`: where a message goes; drives the machine in `greengrass_sdk._native._py.router`.
* `functions/`: code packages, zygotes, workers and their pool.
* `ipc/`: local programs and commands that connect to the core's socket.
* `cloud/`: what answers to the name `cloud`.
* `telemetry/`: logs and the live view; `reporter` puts the router's decisions into words for them.
* `layout`: every path below a root; `config`: V1's `config.json`; `ports`: what services need of
  each other.

Services are siblings: none imports another, `daemon` hands each what it needs.
"""
