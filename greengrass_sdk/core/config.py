# SPDX-License-Identifier: Apache-2.0
"""
Read `config/config.json` as V1 wrote it, and let it win over the group file.

Strict where V1 was: it must be JSON, and every key that V1 knew must have a value that V1 took,
with V1's words where it had some. A key that V1 did not know is a warning, as V1 ignored it; two
equal keys in one object, of which V1 silently took one, are an error.

One leniency: a file with neither `coreThing` nor `crypto` is fine (V1 refused to start), because
here the group file can say who the core is.

Ref: Greengrass V1 guide, "AWS IoT Greengrass core configuration file", "Troubleshooting"
"""

from __future__ import annotations

import os
from errno import EACCES
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from greengrass_sdk.errors import ConfigError, Problem
from greengrass_sdk.model import limits
from greengrass_sdk.model.arn import parse_thing_arn
from greengrass_sdk.model.configkeys import CONFIG_KEYS, file_of
from greengrass_sdk.model.coreconfig import (
    CoreConfig,
    CoreThing,
    Crypto,
    NetworkProxy,
    Pkcs11,
    Principal,
    Runtime,
)
from greengrass_sdk.model.kinds import shown, unknown
from greengrass_sdk.model.reader import Problems
from greengrass_sdk.model.strictjson import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greengrass_sdk.model.definition import Group

__all__ = ["CoreConfig", "check_spool_size", "load_config", "merge"]

_PRINCIPALS = ("IoTCertificate", "MQTTServerCertificate", "SecretsManager")
_PKCS11_KEYS = ("P11Provider", "slotLabel", "slotUserPin")


def load_config(path: Path | str) -> CoreConfig | None:
    """
    Read a `config.json`; return None if there is none.

    Relative certificate paths of `coreThing` start from `certs` beside the folder of the file.

    Raises:
        ConfigError: It cannot be read or is wrong; `problems` lists everything, with lines.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None  # a file in place of the root is told by who makes the root
    except UnicodeDecodeError as error:
        detail = f"it is not UTF-8: byte 0x{error.object[error.start]:02x}"
        raise _failed(path, [Problem(detail, file=str(path))]) from error
    except OSError as error:
        advice = "; run this as the owner of the root or choose another root"
        text = f"cannot be read: {error.strerror}{advice if error.errno == EACCES else ''}"
        problem = Problem(text, file=str(path))
        raise ConfigError(problem) from error
    try:
        data, lines = decode(text, str(path))
    except ConfigError as error:
        raise _failed(path, error.problems) from error
    problems = Problems(str(path), lines)
    warnings = Problems(str(path), lines)
    if isinstance(data, dict):
        _check(data, CONFIG_KEYS, (), problems, warnings)
    else:
        problems.add((), f"must be an object, not {shown(data)}")
    if not problems.found:
        _check_together(data, problems, warnings)
    if problems.found:
        raise ConfigError(problems.in_order())
    return _build(data, path, warnings)


def merge(group: Group, config: CoreConfig | None) -> Group:
    """
    Return the group with what a `config.json` says about the same things, which wins.

    That is the core's thing name, region and account, and the number of work items. Addresses in
    the rows follow.

    Raises:
        ConfigError: The core now has the name of a device.
    """
    if config is None:
        return group
    changes: dict[str, Any] = {}
    if config.core_thing is not None:
        thing = config.core_thing
        if thing.thing_name in group.devices:
            raise ConfigError(
                Problem(
                    f"{thing.thing_name!r} is the core and, in the group file, a device",
                    file=str(config.path),
                    key="coreThing.thingArn",
                )
            )
        changes |= {"core": thing.thing_name, "region": thing.region, "account": thing.account}
    if config.runtime.max_work_item_count is not None:
        work_items = config.runtime.max_work_item_count
        changes["limits"] = attrs.evolve(group.limits, work_items=work_items)
    merged = attrs.evolve(group, **changes)
    rows = [
        attrs.evolve(
            row,
            source=merged.address(group.name_of(row.source)),
            target=merged.address(group.name_of(row.target)),
        )
        for row in group.subscriptions
    ]
    return attrs.evolve(merged, subscriptions=rows)


def check_spool_size(text: str) -> int:
    """
    Return the value of `GG_CONFIG_MAX_SIZE_BYTES`, the size of the queue for the cloud.

    Raises:
        ConfigError: It is no whole number, or too small (V1's text).
    """
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ConfigError(
            f"GG_CONFIG_MAX_SIZE_BYTES must be a whole number of at least "
            f"{limits.SPOOL_BYTES_MIN}, not {shown(text)}"
        )
    if int(text) < limits.SPOOL_BYTES_MIN:
        raise ConfigError(f"Spool size should be at least {limits.SPOOL_BYTES_MIN} bytes.")
    return int(text)


def _failed(path: Path, problems: list[Problem]) -> ConfigError:
    """Return V1's error for a file that is not JSON, with what is wrong."""
    for problem in problems:
        problem.message = f"Failed to parse {path}. {problem.message}"
    return ConfigError(problems)


def _check(
    data: Mapping[str, Any],
    keys: Mapping[str, Any],
    path: tuple[str, ...],
    problems: Problems,
    warnings: Problems,
) -> None:
    """Check the keys of one object, and of those in it."""
    for name, value in data.items():
        here = (*path, name)
        kind = keys.get(name)
        if kind is None:
            warnings.add(here, unknown(name, keys))
        elif not isinstance(kind, dict):
            for inner, reason in kind.check(value):
                problems.add((*here, *inner), reason)
        elif isinstance(value, dict):
            _check(value, kind, here, problems, warnings)
        else:
            problems.add(here, f"must be an object, not {shown(value)}")


def _check_together(data: Mapping[str, Any], problems: Problems, warnings: Problems) -> None:
    """Check what must stand together: who the core is, and its keys."""
    thing = data.get("coreThing")
    crypto = data.get("crypto")
    if thing is not None:
        if crypto is None and not {"caPath", "certPath", "keyPath"} <= thing.keys():
            problems.add(
                ("coreThing",),
                "The configuration file is missing the CaPath, CertPath or KeyPath. The Greengrass "
                f"daemon process with [pid = {os.getpid()}] died.",
            )
        if "thingArn" not in thing:
            problems.add(("coreThing",), "'thingArn' is missing; it says who the core is")
        proxy = thing.get("networkProxy")
        if proxy is not None and "url" not in proxy.get("proxy", {}):
            problems.add(("coreThing", "networkProxy"), "'proxy.url' is missing")
    if crypto is not None:
        _check_crypto(crypto, problems, warnings)


def _check_crypto(crypto: Mapping[str, Any], problems: Problems, warnings: Problems) -> None:
    if "caPath" not in crypto:
        problems.add(("crypto",), "'caPath' is missing; it is a file:/// URI")
    principals = crypto.get("principals", {})
    iot = principals.get("IoTCertificate")
    if iot is None:
        problems.add(
            ("crypto",), "'principals.IoTCertificate' is missing; the core connects with it"
        )
    elif "certificatePath" not in iot:
        problems.add(
            ("crypto", "principals", "IoTCertificate"),
            "'certificatePath' is missing; it is a file:/// URI",
        )
    in_hardware: list[str] = []
    for name in _PRINCIPALS:
        if name not in principals:
            continue
        uri = principals[name].get("privateKeyPath")
        if uri is None:
            problems.add(
                ("crypto", "principals", name),
                "'privateKeyPath' is missing; it is a file:/// or pkcs11: URI",
            )
        elif file_of(uri) is None:
            in_hardware.append(name)
    if set(in_hardware) - {"SecretsManager"}:
        warnings.add(("crypto", "PKCS11"), "keys in hardware modules serve for secrets only, yet")
    missing = [key for key in _PKCS11_KEYS if key not in crypto.get("PKCS11", {})]
    if missing and (in_hardware or "PKCS11" in crypto):
        problems.add(("crypto", "PKCS11"), f"{', '.join(missing)} must be there for pkcs11: keys")


def _build(data: Mapping[str, Any], path: Path, warnings: Problems) -> CoreConfig:
    """Return the values of a file that has been checked."""
    write = data.get("writeDirectory")
    return CoreConfig(
        path=path,
        core_thing=_core_thing(data, path.parent.parent / "certs"),
        runtime=_runtime(data.get("runtime", {})),
        crypto=_crypto(data["crypto"]) if "crypto" in data else None,
        write_directory=None if write is None else Path(write),
        managed_respawn=data.get("managedRespawn", False),
        shadow_sync_timeout_s=data.get("system", {}).get("shadowSyncTimeout", 5),
        warnings=tuple(str(warning) for warning in warnings.in_order()),
    )


def _core_thing(data: Mapping[str, Any], certs: Path) -> CoreThing | None:
    keys = data.get("coreThing")
    if keys is None:
        return None
    arn = parse_thing_arn(keys["thingArn"])
    # V1.6 and older have the interval in coreThing, later ones beside it.
    retry = "mqttMaxConnectionRetryInterval"
    named = {
        "iot_host": "iotHost",
        "gg_host": "ggHost",
        "iot_mqtt_port": "iotMqttPort",
        "iot_http_port": "iotHttpPort",
        "gg_mqtt_port": "ggMqttPort",
        "gg_http_port": "ggHttpPort",
        "gg_daemon_port": "ggDaemonPort",
        "keep_alive_s": "keepAlive",
        "mqtt_operation_timeout_s": "mqttOperationTimeout",
        "core_client_id": "coreClientId",
    }
    values = {ours: keys[theirs] for ours, theirs in named.items() if theirs in keys}
    interval = keys.get(retry, data.get(retry))
    if interval is not None:
        values["mqtt_max_connection_retry_interval_s"] = interval
    if "crypto" not in data:
        values |= {
            "ca_path": certs / keys["caPath"],
            "certificate_path": certs / keys["certPath"],
            "private_key_path": certs / keys["keyPath"],
        }
    if "networkProxy" in keys:
        values["network_proxy"] = _network_proxy(keys["networkProxy"])
    return CoreThing(
        thing_arn=str(arn),
        thing_name=arn.name,
        region=arn.region,
        account=arn.account,
        **values,
    )


def _network_proxy(keys: Mapping[str, Any]) -> NetworkProxy:
    addresses = keys.get("noProxyAddresses", "").split(",")
    return NetworkProxy(
        url=keys["proxy"]["url"],
        username=keys["proxy"].get("username"),
        password=keys["proxy"].get("password"),
        no_proxy_addresses=tuple(text.strip() for text in addresses if text.strip()),
    )


def _runtime(keys: Mapping[str, Any]) -> Runtime:
    return Runtime(
        max_work_item_count=keys.get("maxWorkItemCount"),
        post_start_health_check_timeout_ms=keys.get("postStartHealthCheckTimeout", 30_000),
        allow_functions_to_run_as_root=keys.get("allowFunctionsToRunAsRoot") == "yes",
        cgroup_use_systemd=keys.get("cgroup", {}).get("useSystemd", "yes") == "yes",
    )


def _crypto(keys: Mapping[str, Any]) -> Crypto:
    principals = keys["principals"]
    hardware = keys.get("PKCS11")
    return Crypto(
        ca_path=Path(file_of(keys["caPath"]) or ""),
        iot_certificate=_principal(principals["IoTCertificate"]),
        mqtt_server_certificate=_optional_principal(principals, "MQTTServerCertificate"),
        secrets_manager=_optional_principal(principals, "SecretsManager"),
        pkcs11=None
        if hardware is None
        else Pkcs11(
            provider=hardware["P11Provider"],
            slot_label=hardware["slotLabel"],
            slot_user_pin=hardware["slotUserPin"],
            openssl_engine=hardware.get("OpenSSLEngine"),
        ),
    )


def _optional_principal(principals: Mapping[str, Any], name: str) -> Principal | None:
    return _principal(principals[name]) if name in principals else None


def _principal(keys: Mapping[str, Any]) -> Principal:
    key = file_of(keys["privateKeyPath"])
    certificate = file_of(keys["certificatePath"]) if "certificatePath" in keys else None
    return Principal(
        private_key_uri=keys["privateKeyPath"],
        private_key_path=None if key is None else Path(key),
        certificate_path=None if certificate is None else Path(certificate),
    )
