# SPDX-License-Identifier: Apache-2.0
"""
The words of a Greengrass group as values: what they are, and what makes them valid.

Nothing here does I/O except reading the one file it was asked to read. Start with `group`.

* `limits`: the numbers of AWS's guide and ours, with units in their names
* `topic`: topics, filters and the reference matcher
* `arn`: ARNs of functions, things and system services
* `function`, `subscription`, `group`: the values
* `groupfile`: `group.toml` text to a `Group`, all problems at once; `locator` finds the lines
* `schema`: the JSON Schema of the group file, generated from the same tables

`limits`, `topic` and `arn` import nothing, so that the SDK inside a function may use them.
"""
