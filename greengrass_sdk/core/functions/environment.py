# SPDX-License-Identifier: Apache-2.0
"""
The environment variables of a function, and where its imports are looked for.

Four layers, later ones win: a few variables of the core's own environment; what V1 set; the
function's own `environment`; what tells the function who it is and how it reaches the core, which
nobody may change. `docs/reference/environment.md` lists all of them.

The core's environment is not handed on as a whole: a function finds the same one on a laptop and
under a service manager, and no secret of the person who started the core.

Ref: Greengrass V1 guide, "Connect on port 443 or through a network proxy"; the variables as
functions of V1 found them
"""

from __future__ import annotations

import logging
import pwd
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import greengrass_sdk
from greengrass_sdk.core.telemetry.logs import LogSettings
from greengrass_sdk.model import limits
from greengrass_sdk.model.arn import (
    GGC_VERSION,
    INTERFACE_VERSION,
    ROUTER_ARN,
    SECRETS_ARN,
    SHADOW_ARN,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.model.coreconfig import CoreConfig
    from greengrass_sdk.model.function import Function
    from greengrass_sdk.model.group import Group

__all__ = ["build", "dropin_folder", "is_reserved", "sys_path"]

log = logging.getLogger(__name__)

# What of the core's own environment a function gets.
INHERITED = (
    "GREENGRASS_DEBUGGABLE",
    "GREENGRASS_SDK_NATIVE",
    "HOME",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "TZ",
    "USER",
)
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DAEMON_PORT = 8000
NO_PROXY = ("localhost", "127.0.0.1")

_PROXIES = ("http_proxy", "https_proxy")
_RESERVED = frozenset(
    {
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_GREENGRASS_GROUP_NAME",
        "AWS_IOT_THING_NAME",
        "ENCODING_TYPE",
        "GGC_MAX_INTERFACE_VERSION",
        "GGC_VERSION",
        "GG_DAEMON_PORT",
        "MY_FUNCTION_ARN",
        "ROUTER_FUNCTION_ARN",
        "SECRETS_MANAGER_FUNCTION_ARN",
        "SHADOW_FUNCTION_ARN",
    }
)
_RESERVED_PREFIX = "_GG_"
# What loader, libc and interpreter read while they start. Workers are forked from a process that
# has started: a function sees these variables, but they do nothing, except in what it starts.
_TOO_LATE = frozenset(
    {
        "GLIBC_TUNABLES",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "PYTHONHASHSEED",
        "PYTHONOPTIMIZE",
        "PYTHONUTF8",
        "PYTHONWARNINGS",
    }
)


def build(
    function: Function,
    group: Group,
    layout: Layout,
    code: Path,
    *,
    token: str,
    base_env: Mapping[str, str],
    config: CoreConfig | None = None,
    uid: int | None = None,
) -> dict[str, str]:
    """
    Return all environment variables of a function.

    A reserved name in the function's own `environment` is left out, with a warning in the log; one
    that comes too late for what reads it is warned of as well.

    Args:
        code: The folder of its code.
        token: Identifies the function to the core's services.
        base_env: The core's own environment.
        uid: The user that the function runs as; None if it is the core's own.
    """
    environment = {
        **_inherited(base_env, uid),
        **_general(function, group, layout, code),
        **_endpoints(layout, config),
        **_proxies(function.environment, base_env, config),
    }
    for name, value in function.environment.items():
        if is_reserved(name):
            log.warning(
                "function %r: variable %s is the core's and cannot be set", function.name, name
            )
        else:
            environment[name] = value
            if name in _TOO_LATE:
                log.warning(
                    "function %r: variable %s is read when a process starts, which a worker has"
                    " done before it becomes this function: it works only in programs that the"
                    " function starts",
                    function.name,
                    name,
                )
    return (
        environment
        | _no_proxy(function.environment, base_env, config)
        | {
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
            "AWS_GREENGRASS_GROUP_NAME": group.name,
            "AWS_IOT_THING_NAME": group.core,
            "ENCODING_TYPE": function.encoding,
            "GGC_MAX_INTERFACE_VERSION": INTERFACE_VERSION,
            "GGC_VERSION": GGC_VERSION,
            "GG_DAEMON_PORT": str(_daemon_port(config)),
            "MY_FUNCTION_ARN": function.arn,
            "ROUTER_FUNCTION_ARN": ROUTER_ARN,
            "SECRETS_MANAGER_FUNCTION_ARN": SECRETS_ARN,
            "SHADOW_FUNCTION_ARN": SHADOW_ARN,
        }
    )


def is_reserved(name: str) -> bool:
    """Return whether only the core may set this variable."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIX)


def sys_path(function: Function, code: Path) -> list[str]:
    """
    Return where imports are looked for before the interpreter's own folders.

    With `sdk = "bundled"` the code comes before the drop-in: its greengrasssdk is used, and finds
    the modules of the core that it needs in the drop-in.
    """
    ours = [dropin_folder(), str(code)]
    return ours[::-1] if function.sdk == "bundled" else ours


@cache
def dropin_folder() -> str:
    """Return the folder of our greengrasssdk, greengrass_common and greengrass_ipc_python_sdk."""
    return str(Path(next(iter(greengrass_sdk.__path__))) / "dropin")


# --- layers ------------------------------------------------------------------


def _inherited(base_env: Mapping[str, str], uid: int | None) -> dict[str, str]:
    environment = {name: base_env[name] for name in INHERITED if name in base_env}
    environment.setdefault("PATH", DEFAULT_PATH)
    if uid is None:
        return environment
    # Whoever it runs as could not write to the home of the core's user.
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        for name in ("LOGNAME", "USER"):
            environment.pop(name, None)
        return environment | {"HOME": "/"}
    return environment | {"HOME": user.pw_dir, "LOGNAME": user.pw_name, "USER": user.pw_name}


def _general(function: Function, group: Group, layout: Layout, code: Path) -> dict[str, str]:
    environment = {
        "AWS_DEFAULT_REGION": group.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_GG_RESOURCE_PREFIX": str(layout.resources_dir(function.arn)),
        "AWS_IOT_THING_ARN": group.core_thing_arn,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_REGION": group.region,
        "GROUP_ID": group.name,
        "LAMBDA_TASK_ROOT": str(code),
        "LANG": "C.UTF-8",
        "LOG_LEVEL": LogSettings.of(group.loggers, "Lambda").level,
    }
    streams = group.streams
    if streams.enabled and streams.port not in (0, limits.STREAM_PORT):
        environment["STREAM_MANAGER_SERVER_PORT"] = str(streams.port)
    return environment


def _endpoints(layout: Layout, config: CoreConfig | None) -> dict[str, str]:
    """Return what `config.json` says about the cloud and its certificate; nothing without one."""
    environment: dict[str, str] = {}
    thing = None if config is None else config.core_thing
    if thing is not None:
        environment["GG_MQTT_KEEP_ALIVE"] = str(thing.keep_alive_s)
        if thing.iot_host:
            environment["AWS_IOT_MQTT_ENDPOINT"] = f"{thing.iot_host}:{thing.iot_mqtt_port}"
            environment["AWS_IOT_HTTP_ENDPOINT"] = f"{thing.iot_host}:{thing.iot_http_port}"
        if thing.gg_host:
            environment["AWS_GG_MQTT_ENDPOINT"] = f"{thing.gg_host}:{thing.gg_mqtt_port}"
            environment["AWS_GG_HTTP_ENDPOINT"] = f"{thing.gg_host}:{thing.gg_http_port}"
    root_ca = _root_ca(layout, config)
    if root_ca is not None:
        environment["GG_ROOT_CA_PATH"] = str(root_ca)
    return environment


def _root_ca(layout: Layout, config: CoreConfig | None) -> Path | None:
    if config is not None and config.crypto is not None:
        return config.crypto.ca_path
    if config is not None and config.core_thing is not None and config.core_thing.ca_path:
        return config.core_thing.ca_path
    usual = layout.certs_dir / "root.ca.pem"
    return usual if usual.is_file() else None


def _daemon_port(config: CoreConfig | None) -> int:
    if config is None or config.core_thing is None:
        return DAEMON_PORT
    return config.core_thing.gg_daemon_port


# --- proxies -----------------------------------------------------------------


def _given(base_env: Mapping[str, str], config: CoreConfig | None) -> dict[str, str]:
    """Return the proxies of `config.json`, else those that the core itself was started with."""
    configured = {} if config is None else config.proxy_environment()
    if configured:
        return configured
    lower = {name.lower(): value for name, value in base_env.items() if name.isupper()}
    lower |= {name: value for name, value in base_env.items() if name.islower()}
    return {name: lower[name] for name in (*_PROXIES, "no_proxy") if lower.get(name)}


def _proxies(
    own: Mapping[str, str], base_env: Mapping[str, str], config: CoreConfig | None
) -> dict[str, str]:
    """
    Return the proxies that the function does not set itself, in both spellings.

    The guide leaves these to a function that defines them. Libraries disagree about which spelling
    counts, so one of them in the function's hands settles both.
    """
    settled = {name.lower() for name in own}
    return {
        spelling: value
        for name, value in _given(base_env, config).items()
        if name in _PROXIES and name not in settled
        for spelling in (name, name.upper())
    }


def _no_proxy(
    own: Mapping[str, str], base_env: Mapping[str, str], config: CoreConfig | None
) -> dict[str, str]:
    """Return which hosts need no proxy: this one, and the function's list, else the core's."""
    lists = [value for name, value in own.items() if name.lower() == "no_proxy"]
    if not lists:
        lists = [_given(base_env, config).get("no_proxy", "")]
    hosts = [host.strip() for entry in lists for host in entry.split(",")]
    merged = ",".join(dict.fromkeys((*NO_PROXY, *filter(None, hosts))))
    if "*" in hosts:  # it means every host only where it stands alone
        merged = "*"
    return {"no_proxy": merged, "NO_PROXY": merged}
