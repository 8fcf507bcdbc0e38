# SPDX-License-Identifier: Apache-2.0
"""
`greengrass secret put|list|rotate|delete|import`: the secrets under a root.

These commands open the vault themselves, so the core need not run; one that runs sees what they
wrote at the next read. No value is ever taken from the command line, where others could see it.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._output import UsageError
from greengrass_sdk.cli._roots import add_root_option, run_root, stored_root

if TYPE_CHECKING:
    import argparse

    from greengrass_sdk.cli._output import Output
    from greengrass_sdk.core.config import CoreConfig
    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.core.secrets.vault import Vault

__all__ = ["configure", "execute"]

PROG = "greengrass secret"
CURRENT = "AWSCURRENT"
GROUP_FILE = "group.toml"
TIME = "%Y-%m-%d %H:%M:%S"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Work with the secrets under a root, whether its core runs or not. `put` keeps a new value,"
        " which is read from standard input, from a file, or asked for; the one before gets the "
        "label AWSPREVIOUS. `list` shows names, versions and labels. `delete` forgets a secret. "
        "`rotate` encrypts all secrets with a new key. `import` copies a secret of AWS Secrets "
        "Manager."
    )
    actions = ("put", "list", "rotate", "delete", "import")
    parser.add_argument("action", metavar="ACTION", choices=actions, help=" | ".join(actions))
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="of put and delete; of import, name or ARN in AWS"
    )
    parser.add_argument("--file", metavar="FILE", help="put: read the value from FILE, as it is")
    parser.add_argument(
        "--binary", action="store_true", help="put: the value is bytes, not text in UTF-8"
    )
    parser.add_argument(
        "--stage",
        metavar="LABEL",
        action="append",
        help=f"put, import: a staging label, instead of or, for import, beside {CURRENT}; repeat",
    )
    parser.add_argument("--as", metavar="NAME", dest="alias", help="import: its name here")
    parser.add_argument("--region", metavar="REGION", help="import: the region of AWS")
    add_root_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


OPTIONS = {
    "put": {"name", "file", "binary", "stage"},
    "list": set(),
    "rotate": set(),
    "delete": {"name"},
    "import": {"name", "stage", "alias", "region"},
}


def execute(args: argparse.Namespace, output: Output) -> int:
    """Do what ACTION says."""
    _check(args)
    layout, config = _layout(args.root)
    actions = {"put": _put, "list": _list, "rotate": _rotate, "delete": _delete, "import": _import}
    try:
        actions[args.action](args, output, layout, config)
    except OSError as error:
        from greengrass_sdk.errors import SecretError

        raise SecretError(str(error)) from error
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what the action does not know."""
    takes = OPTIONS[args.action]
    for option in ("name", "file", "binary", "stage", "alias", "region"):
        if getattr(args, option) and option not in takes:
            word = {"name": "NAME", "alias": "--as"}.get(option, f"--{option}")
            raise UsageError(f"{args.action} takes no {word}", prog=PROG)
    if "name" in takes and not args.name:
        raise UsageError(f"{args.action} needs the NAME of a secret", prog=PROG)


def _layout(root: str | None) -> tuple[Layout, CoreConfig | None]:
    from greengrass_sdk.core.config import load_config
    from greengrass_sdk.core.layout import Layout

    found = _root(root)
    config = load_config(Layout(found).config_file)
    return Layout(found, None if config is None else config.write_directory), config


def _root(root: str | None) -> Path:
    """Return the root, also before its core was ever started."""
    here = Path()
    unnamed = not root and not os.environ.get("GREENGRASS_ROOT")
    if unnamed and (here / GROUP_FILE).is_file():
        return run_root(here)
    return stored_root(root)


def _vault(layout: Layout, config: CoreConfig | None) -> Vault:
    """Open the vault, or make it."""
    from greengrass_sdk.core.secrets.vault import Vault

    _check_owner(layout)
    layout.create()
    return Vault.open(
        layout.secret_database, layout.secret_key, config, deployment="", now_ms=_now_ms()
    )


def _check_owner(layout: Layout) -> None:
    """Refuse to leave files that the core could not open."""
    from greengrass_sdk.errors import ConfigError

    try:
        owner = layout.state_dir.stat().st_uid
    except FileNotFoundError:
        return
    if owner != os.geteuid():
        raise ConfigError(f"{layout.state_dir} belongs to uid {owner}; run this as that user")


def _put(
    args: argparse.Namespace, output: Output, layout: Layout, config: CoreConfig | None
) -> None:
    from uuid import uuid4

    from greengrass_sdk.core.secrets.store import Version, check_value

    _check_name(args.name)
    stages = tuple(dict.fromkeys(args.stage or [CURRENT]))
    version = Version(args.name, str(uuid4()), stages, _now_ms(), args.binary)
    value = _value(args)
    check_value(value, binary=args.binary)
    with closing(_vault(layout, config)) as vault:
        vault.put(version, value)
    _tell_put(output, [version])


def _tell_put(output: Output, versions: list[Any]) -> None:
    if output.json:
        output.document({"versions": [_row(version) for version in versions]})
        return
    for version in versions:
        labels = ", ".join(version.stages)
        output.text(f"{version.secret}: version {version.id} is {labels}")


def _check_name(name: str) -> None:
    from greengrass_sdk.model.tables import check_secret_name

    check_secret_name(name)


def _value(args: argparse.Namespace) -> bytes:
    """Return the value: of a file or as bytes untouched, as text without its last newline."""
    if args.file is not None:
        return Path(args.file).read_bytes()
    if sys.stdin is None:
        raise UsageError("there is no standard input to read the value from", prog=PROG)
    if not sys.stdin.isatty():
        value = sys.stdin.buffer.read()
        return value if args.binary else value.removesuffix(b"\n").removesuffix(b"\r")
    if args.binary:
        raise UsageError("bytes are read from --file or from a pipe", prog=PROG)
    return _asked_for(args.name)


def _asked_for(name: str) -> bytes:
    from getpass import getpass

    value = getpass(f"value of {name}: ")
    if value != getpass("once more: "):
        raise UsageError("the two values differ; nothing was changed", prog=PROG)
    return value.encode("utf-8", "surrogateescape")


def _list(
    _args: argparse.Namespace, output: Output, layout: Layout, _config: CoreConfig | None
) -> None:
    """Show what there is; for that no key is needed."""
    from greengrass_sdk.core.secrets.database import Database

    versions = []
    if layout.secret_database.exists():
        with closing(Database.open(layout.secret_database)) as database:
            versions = [each.version for each in database.load().secrets]
    if output.json:
        output.document({"versions": [_row(version) for version in versions]})
    elif not versions:
        output.note("no secrets")
    else:
        cells = (
            (each.secret, each.id, ", ".join(each.stages), _kind(each), _time(each.created_ms))
            for each in versions
        )
        output.table(("NAME", "VERSION", "LABELS", "KIND", "CREATED"), cells)


def _rotate(
    _args: argparse.Namespace, output: Output, layout: Layout, config: CoreConfig | None
) -> None:
    with closing(_vault(layout, config)) as vault:
        vault.rotate(_now_ms())
    if output.json:
        output.document({"rotated": True})
    output.text("all secrets are encrypted with a new data key")


def _delete(
    args: argparse.Namespace, output: Output, layout: Layout, config: CoreConfig | None
) -> None:
    from greengrass_sdk.errors import SecretNotFoundError

    if not layout.secret_database.exists():
        raise SecretNotFoundError(f"there is no secret {args.name!r}", secret=args.name)
    with closing(_vault(layout, config)) as vault:
        vault.delete(args.name)
    if output.json:
        output.document({"deleted": args.name})
    output.text(f"{args.name} is deleted")


def _import(
    args: argparse.Namespace, output: Output, layout: Layout, config: CoreConfig | None
) -> None:
    from greengrass_sdk.core.secrets.aws import fetch
    from greengrass_sdk.core.secrets.store import check_value

    stages = dict.fromkeys((CURRENT, *(args.stage or ())))
    fetched = fetch(args.name, stages, name=args.alias, region=args.region)
    for each in fetched:
        _check_name(each.version.secret)
        check_value(each.value, binary=each.version.binary)
    with closing(_vault(layout, config)) as vault:
        # The current one first: it gives the label AWSPREVIOUS, which another may have in AWS.
        for each in sorted(fetched, key=lambda each: CURRENT not in each.version.stages):
            vault.put(each.version, each.value)
    _tell_put(output, [each.version for each in fetched])
    name = fetched[0].version.secret
    output.note(f'declare it in the group file: [secrets."{name}"] arn = "{fetched[0].arn}"')


def _row(version: Any) -> dict[str, object]:
    return {
        "name": version.secret,
        "version_id": version.id,
        "stages": list(version.stages),
        "kind": _kind(version),
        "created_ms": version.created_ms,
    }


def _kind(version: Any) -> str:
    return "binary" if version.binary else "text"


def _time(milliseconds: int) -> str:
    return time.strftime(TIME, time.localtime(milliseconds / 1000))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
