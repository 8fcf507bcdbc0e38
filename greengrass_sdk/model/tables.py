# SPDX-License-Identifier: Apache-2.0
"""
The tables of the group file: every key, its kind, its default, what it is for.

This is the one place where a key is declared. The reader (`groupfile`), the values (`function`,
`group`), the JSON Schema (`schema`) and the reference page are all made from it.

To add a key: add it here and to its class; the tests then ask for the line in the reference page
and the new `group.schema.json`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import arn, limits
from greengrass_sdk.model.kinds import (
    Choice,
    Flag,
    Integer,
    Kind,
    Number,
    Record,
    Text,
    TextList,
    TextMap,
)
from greengrass_sdk.model.topic import check_filter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "REQUIRED",
    "RESERVED_NAMES",
    "SCHEMA",
    "TABLES",
    "Key",
    "Table",
    "check_secret_name",
    "kind_of",
    "table",
]

RESERVED_NAMES = (arn.CLOUD, arn.SHADOW_SERVICE)


class _Required:
    """The default of a key that has none and must be there."""

    def __repr__(self) -> str:
        return "required"


REQUIRED: Final = _Required()


@frozen
class Key:
    """One key: `default` is REQUIRED, None (may be left out and has no default) or a value."""

    name: str
    kind: Kind
    doc: str
    default: Any = None

    @property
    def required(self) -> bool:
        """Whether the table is wrong without it."""
        return self.default is REQUIRED


@frozen(kw_only=True)
class Table:
    """
    One table of the file.

    `form` is `single` (`[group]`), `named` (`[functions.NAME]`) or `repeated` (`[[loggers]]`).
    `rule` checks the NAME and `pattern` says it to editors. `unserved` is the text of the warning
    as long as the core only validates the table.
    """

    name: str
    form: str
    doc: str
    keys: tuple[Key, ...]
    rule: Callable[[str], str] = str
    pattern: str | None = None
    unserved: str | None = None

    @property
    def header(self) -> str:
        """How the table is written in the file."""
        return {
            "single": f"[{self.name}]",
            "named": f"[{self.name}.NAME]",
            "repeated": f"[[{self.name}]]",
        }[self.form]

    def key(self, name: str) -> Key | None:
        """Return the key of that name, or None."""
        return next((key for key in self.keys if key.name == name), None)


def _check_handler(handler: str) -> None:
    """Refuse a handler string that cannot name a function: `module.function` at least."""
    *modules, function = handler.split(".")
    if (
        not modules
        or not all(modules)
        or not function.isidentifier()
        or handler.split() != [handler]
    ):
        raise InvalidInputError(
            f"must be MODULE.FUNCTION, such as 'app.function_handler', not {handler!r}"
        )


def _check_label(label: str) -> None:
    if not label.isprintable():
        raise InvalidInputError(f"must be printable text, not {label!r}")


def check_secret_name(name: str) -> str:
    """Return the name of a secret; InvalidInputError if it cannot be one."""
    allowed = set("/_+=.@-")
    if not 0 < len(name) <= limits.SECRET_NAME_CHARS or not all(
        char in allowed or (char.isascii() and char.isalnum()) for char in name
    ):
        raise InvalidInputError(
            f"secret name {name!r} must be 1 to {limits.SECRET_NAME_CHARS} characters: "
            "letters, digits and /_+=.@-"
        )
    return name


def _check_secret_arn(text: str) -> None:
    parts = text.split(":")
    if len(parts) != 7 or parts[0] != "arn" or parts[2] != "secretsmanager" or parts[5] != "secret":
        raise InvalidInputError(
            f"{text!r} is no secret ARN; its form is "
            "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"
        )
    arn.check_region(parts[3])
    arn.check_account(parts[4])
    check_secret_name(parts[6])


def _check_url(url: str) -> None:
    scheme, separator, rest = url.partition("://")
    if scheme not in {"mqtt", "mqtts"} or not separator or not rest or rest.split() != [rest]:
        raise InvalidInputError(f"must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT], not {url!r}")


_PATH = Text("a path")
_FUNCTION_NAME = f"^[A-Za-z0-9_-]{{1,{limits.FUNCTION_NAME_CHARS}}}$"
_THING_NAME = f"^[A-Za-z0-9:_-]{{1,{limits.THING_NAME_CHARS}}}$"
_CLIENT_NAME = f"^[A-Za-z0-9_-]{{1,{limits.CLIENT_NAME_CHARS}}}$"
_SECRET_NAME = f"^[A-Za-z0-9/_+=.@-]{{1,{limits.SECRET_NAME_CHARS}}}$"
_UID = Integer(0, limits.UID_MAX)
_ENDPOINT = Text("the name or ARN of a function, device or client, or cloud or GGShadowService")

SCHEMA = Key(
    "schema", Integer(1, 1), "The version of this file format.", default=1
)  # a second version would be the first breaking change of the file

_GROUP = Table(
    name="group",
    form="single",
    doc="The group and its core.",
    keys=(
        Key(
            "name",
            Text("a name", _check_label, limit=limits.LABEL_CHARS),
            "The name of the group.",
            REQUIRED,
        ),
        Key(
            "core",
            Text("a thing name", arn.check_thing_name, _THING_NAME, example="greenhouse-core"),
            "The thing name of the core.",
            REQUIRED,
        ),
        Key(
            "region",
            Text("a region", arn.check_region, r"^[a-z]{2}(-[a-z]+)+-[0-9]$", example="us-east-1"),
            "The region in every ARN. It need not exist.",
            "us-east-1",
        ),
        Key(
            "account",
            Text("an account of 12 digits", arn.check_account, "^[0-9]{12}$"),
            "The account in every ARN.",
            "000000000000",
        ),
        Key("strict", Flag(), "A publish that no subscription matches raises.", default=False),
    ),
)

_CLOUD = Table(
    name="cloud",
    form="single",
    doc="The link to an MQTT broker that stands for the cloud.",
    unserved="the cloud link is not served yet: messages for `cloud` stay on this core",
    keys=(
        Key(
            "url",
            Text("a URL", _check_url, "^mqtts?://[^\\s]+$", example="mqtt://localhost:1883"),
            "The broker.",
            REQUIRED,
        ),
        Key("ca_path", _PATH, "The certificate authority of the broker, PEM."),
        Key("certificate_path", _PATH, "The certificate of the core, PEM."),
        Key("private_key_path", _PATH, "The private key of the core, PEM."),
        Key(
            "client_id",
            Text("an MQTT client id", _check_label, limit=limits.LABEL_CHARS),
            "The MQTT client id; without it, the core's thing name.",
        ),
        Key(
            "keep_alive_s",
            Integer(limits.KEEP_ALIVE_S_MIN, limits.KEEP_ALIVE_S_MAX),
            "The MQTT keep-alive interval.",
            limits.KEEP_ALIVE_S,
        ),
    ),
)

_LIMITS = Table(
    name="limits",
    form="single",
    doc="The bounds of the whole core.",
    keys=(
        Key(
            "work_items",
            Integer(1, limits.WORK_ITEMS_MAX),
            "Items waiting and running in the whole core.",
            limits.WORK_ITEMS,
        ),
        Key(
            "topic_payload_bytes",
            Integer(1, limits.INVOKE_PAYLOAD_BYTES),
            "The largest message on a topic.",
            limits.TOPIC_PAYLOAD_BYTES,
        ),
        Key(
            "invoke_payload_bytes",
            Integer(1, limits.INVOKE_PAYLOAD_BYTES),
            "The largest input or result of an invocation.",
            limits.INVOKE_PAYLOAD_BYTES,
        ),
        Key(
            "ring_bytes",
            Integer(limits.RING_BYTES_MIN, limits.RING_BYTES_MAX, power_of_two=True),
            "Shared memory of one worker, each way.",
            limits.RING_BYTES,
        ),
        Key(
            "spin_us",
            Integer(0, limits.SPIN_US_MAX),
            "Time in microseconds that a call spins for its reply before it sleeps, up to four"
            " times that while it pays; 0 never spins, for batteries.",
            limits.SPIN_US,
        ),
    ),
)

_FUNCTIONS = Table(
    name="functions",
    form="named",
    doc="A function. NAME becomes part of its ARN.",
    rule=arn.check_function_name,
    pattern=_FUNCTION_NAME,
    keys=(
        Key(
            "code",
            Text("a folder or a zip"),
            "A folder or a zip, relative to the group file.",
            REQUIRED,
        ),
        Key(
            "handler",
            Text("MODULE.FUNCTION", _check_handler, r"^\S+\.\w+$", example="app.function_handler"),
            "The function to call, as `module.function` or `package.module.function`.",
            REQUIRED,
        ),
        Key(
            "version",
            Text("a version", arn.check_version, "^[1-9][0-9]{0,9}$", example="1"),
            "The version in its ARN. `$LATEST` is not supported.",
            "1",
        ),
        Key(
            "pinned",
            Flag(),
            "Long-lived: one worker, started with the core, its state kept.",
            default=False,
        ),
        Key(
            "timeout_s",
            Number(limits.TIMEOUT_S_MIN, limits.TIMEOUT_S_MAX),
            "How long the handler may run per item.",
            limits.TIMEOUT_S,
        ),
        Key(
            "memory_kib",
            Integer(limits.MEMORY_KIB_MIN, limits.MEMORY_KIB_MAX),
            "Memory of a worker and its child processes; without it, unbounded.",
        ),
        Key("encoding", Choice(("json", "binary")), "What the handler gets as event.", "json"),
        Key("environment", TextMap(), "Environment variables; values are text.", {}),
        Key(
            "python",
            Text("an interpreter or a virtual environment", example=".venv"),
            "An interpreter or a virtual environment; without it, the core's own.",
        ),
        Key(
            "sdk",
            Choice(("ours", "bundled")),
            "Which `greengrasssdk` the function gets: ours, or the one in its code.",
            "ours",
        ),
        Key(
            "run_as",
            Record({"uid": _UID, "gid": _UID}),
            "User and group id; what is left out stays the default identity. "
            "0 needs `allowFunctionsToRunAsRoot` in `config.json`.",
        ),
        Key(
            "max_workers",
            Integer(1, limits.MAX_WORKERS_MAX),
            "Workers at once, if not pinned.",
            limits.MAX_WORKERS,
        ),
        Key(
            "idle_s",
            Number(0, limits.IDLE_S_MAX),
            "How long an idle worker is kept, if not pinned.",
            limits.IDLE_S,
        ),
        Key(
            "queue_items",
            Integer(1, limits.QUEUE_ITEMS_MAX),
            "Items that may wait for the function.",
            limits.QUEUE_ITEMS,
        ),
        Key(
            "queue_bytes",
            Integer(limits.QUEUE_BYTES_MIN, limits.QUEUE_BYTES_MAX),
            "Bytes that may wait for the function.",
            limits.QUEUE_BYTES,
        ),
        Key(
            "secrets",
            TextList(Text("the name or ARN of a secret")),
            "The secrets it may read, each a `[secrets.NAME]`.",
            (),
        ),
    ),
)

_DEVICES = Table(
    name="devices",
    form="named",
    doc="A device. NAME is its thing name.",
    rule=arn.check_thing_name,
    pattern=_THING_NAME,
    unserved="devices cannot connect yet: their rows are kept and carry nothing",
    keys=(Key("sync_shadow", Flag(), "Keep its shadow in step with the cloud's.", default=False),),
)

_CLIENTS = Table(
    name="clients",
    form="named",
    doc="A local program that may speak with the core under its own name. It has no keys.",
    rule=arn.check_client_name,
    pattern=_CLIENT_NAME,
    keys=(),
)

_SECRETS = Table(
    name="secrets",
    form="named",
    doc="A secret. Its value is never written here.",
    rule=check_secret_name,
    pattern=_SECRET_NAME,
    keys=(
        Key("arn", Text("a secret ARN", _check_secret_arn), "Its ARN in AWS, if it has one."),
        Key(
            "stages",
            TextList(Text("a staging label", _check_label, limit=256)),
            "The staging labels that functions may read.",
            ("AWSCURRENT",),
        ),
    ),
)

_SHADOWS = Table(
    name="shadows",
    form="single",
    doc="The shadow service.",
    keys=(
        Key(
            "state_bytes",
            Integer(1, limits.SHADOW_STATE_BYTES_MAX),
            "The largest state of a shadow.",
            limits.SHADOW_STATE_BYTES,
        ),
        Key(
            "members_only",
            Flag(),
            "Only the core and the devices of the group have shadows.",
            default=False,
        ),
    ),
)

_STREAMS = Table(
    name="streams",
    form="single",
    doc="The stream manager.",
    keys=(
        Key("enabled", Flag(), "Run the stream manager.", default=False),
        Key(
            "port",
            Integer(0, 65535),
            "Its TCP port on loopback; 0 is any free one.",
            limits.STREAM_PORT,
        ),
        Key(
            "authenticate_client",
            Flag(),
            "Only functions of the group may use it.",
            default=True,
        ),
        Key("store_dir", _PATH, "Where streams are stored; without it, in the core's state."),
        Key(
            "bandwidth_kbit_s",
            Integer(1, 1_000_000_000),
            "Bandwidth of all exports together; without it, unlimited.",
        ),
        Key(
            "threads",
            Integer(1, limits.STREAM_THREADS_MAX),
            "Exports at the same time.",
            limits.STREAM_THREADS,
        ),
        Key("read_only_dirs", TextList(_PATH), "Folders from which files may be exported.", ()),
        Key(
            "sync_interval_ms",
            Integer(1, limits.STREAM_SYNC_MS_MAX),
            "How long messages that were acknowledged without a flush may not be on the disk.",
            limits.STREAM_SYNC_MS,
        ),
        Key(
            "s3_part_bytes",
            Integer(limits.STREAM_PART_BYTES, limits.STREAM_PART_BYTES_MAX),
            "The parts of files that are exported to S3 in parts.",
            limits.STREAM_PART_BYTES,
        ),
    ),
)

_LOGGERS = Table(
    name="loggers",
    form="repeated",
    doc="What is written to the local logs. Without one, a component gets the defaults.",
    keys=(
        Key("component", Choice(("GreengrassSystem", "Lambda")), "Whose logs.", REQUIRED),
        Key(
            "level",
            Choice(("DEBUG", "INFO", "WARN", "ERROR", "FATAL")),
            "The lowest level that is written.",
            "INFO",
        ),
        Key(
            "space_kib",
            Integer(limits.LOG_SPACE_KIB_MIN, limits.LOG_SPACE_KIB_MAX),
            "Disk space of each log, rotation included. V1's default was 128.",
            limits.LOG_SPACE_KIB,
        ),
    ),
)

_SUBSCRIPTIONS = Table(
    name="subscriptions",
    form="repeated",
    doc="A row of the routing table: who may send what to whom.",
    keys=(
        Key("source", _ENDPOINT, "Who publishes.", REQUIRED),
        Key(
            "subject",
            Text(
                "a topic filter", check_filter, limit=limits.TOPIC_BYTES, example="sensors/+/data"
            ),
            "The topic filter.",
            REQUIRED,
        ),
        Key("target", _ENDPOINT, "Who receives.", REQUIRED),
        Key(
            "id",
            Text("an id", _check_label, limit=limits.LABEL_CHARS),
            "A name for the row; without it, `subscription-N`.",
        ),
    ),
)

TABLES: Final[tuple[Table, ...]] = (
    _GROUP,
    _CLOUD,
    _LIMITS,
    _FUNCTIONS,
    _DEVICES,
    _CLIENTS,
    _SECRETS,
    _SHADOWS,
    _STREAMS,
    _LOGGERS,
    _SUBSCRIPTIONS,
)


def table(name: str) -> Table:
    """Return the table of that name; KeyError if there is none."""
    for found in TABLES:
        if found.name == name:
            return found
    raise KeyError(name)


@cache
def kind_of(table_name: str, key_name: str) -> Kind:
    """Return the kind of a key; KeyError if there is none."""
    key = table(table_name).key(key_name)
    if key is None:
        raise KeyError(key_name)
    return key.kind
