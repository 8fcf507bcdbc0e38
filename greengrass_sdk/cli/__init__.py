# SPDX-License-Identifier: Apache-2.0
"""
The commands `greengrass` and `greengrassd`.

* `_program`: the registry of the commands, their parsers, and `main`
* one module per command; it offers `configure(parser)` and `execute(args, output) -> int`, and is
  imported only when it is asked for
* `_output`: text for people, JSON documents and errors; `_live`: the view of `greengrass run`
* `_groups`: a folder, a group file or a V1 zip becomes a group; `_handlers` looks into the zip
* `_roots`: which root a command means; `_tool`: how it asks a running core
* `_serve`: runs a core until it is told to stop; `greengrassd`: the same as a service
* `_reference`: writes docs/reference/cli.md from the parsers

Exit codes: 0 done, 1 nobody got the message or the function failed, 2 wrong usage, otherwise the
`exit_code` of the error (docs/reference/errors.md); 99 is a bug of ours, 130 an interrupt.
"""

from greengrass_sdk.cli._program import COMMANDS, Command, main

__all__ = ["COMMANDS", "Command", "main"]
