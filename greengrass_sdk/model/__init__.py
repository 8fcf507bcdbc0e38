# SPDX-License-Identifier: Apache-2.0
"""
The words of a Greengrass group as values: what they are, and what makes them valid.

Nothing here does I/O except reading the one file it was asked to read. Start with `group`.

* `limits`: the numbers of AWS's guide and ours, with units in their names
* `topic`: topics, filters and the reference matcher
* `arn`: ARNs of functions, things and system services
* `group` gathers `definition` (Group), `parts`, `function`, `subscription`: the values
* `tables` declares every key of the group file once, in the `kinds` of values that there are
* `groupfile` reads `group.toml`: `reader` checks keys, `builder` what they mean together, and
  `locator` finds the lines; `schema` is the same tables for editors, `lint` warns

`limits`, `topic` and `arn` import nothing, so that the SDK inside a function may use them.
"""
