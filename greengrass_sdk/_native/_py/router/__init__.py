# SPDX-License-Identifier: Apache-2.0
"""
The router machine: every routing decision, without any I/O.

* `machine`: `Router`, the step machine.  Start here.
* `state`: items, peers, workers, targets, and their deadlines.
* `events`: what a step hands out.
* `texts`: the words it puts into answers.
"""
