# SPDX-License-Identifier: Apache-2.0
"""
What V1's `config.json` says, as values; `core.config` reads it.

Paths are absolute. Where V1 has a default, it stands here; None means that the file is silent and
the group file decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from attrs import field, frozen

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CoreConfig", "CoreThing", "Crypto", "NetworkProxy", "Pkcs11", "Principal", "Runtime"]


@frozen(kw_only=True)
class NetworkProxy:
    """`coreThing.networkProxy`. User and password never show in a repr."""

    url: str = field(repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    no_proxy_addresses: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """
        Return the variables that functions get, unless they define them themselves.

        Ref: Greengrass V1 guide, "Connect on port 443 or through a network proxy": user information
        in the URL overrides `username` and `password`.
        """
        parts = urlsplit(self.url)
        if self.username and "@" not in parts.netloc:
            user = quote(self.username, safe="")
            if self.password:
                user += f":{quote(self.password, safe='')}"
            parts = parts._replace(netloc=f"{user}@{parts.netloc}")
        url = urlunsplit(parts)
        variables = {"http_proxy": url, "https_proxy": url}
        if self.no_proxy_addresses:
            variables["no_proxy"] = ",".join(self.no_proxy_addresses)
        return variables


@frozen(kw_only=True)
class CoreThing:
    """`coreThing`: who the core is, and where its cloud and its devices are."""

    thing_arn: str
    thing_name: str
    region: str
    account: str
    ca_path: Path | None = None
    certificate_path: Path | None = None
    private_key_path: Path | None = None
    iot_host: str | None = None
    gg_host: str | None = None
    iot_mqtt_port: int = 8883
    iot_http_port: int = 8443
    gg_mqtt_port: int = 8883
    gg_http_port: int = 8443
    gg_daemon_port: int = 8000
    keep_alive_s: int = 600
    mqtt_max_connection_retry_interval_s: int = 60
    mqtt_operation_timeout_s: int = 5
    core_client_id: str | None = None
    network_proxy: NetworkProxy | None = None


@frozen(kw_only=True)
class Runtime:
    """`runtime`. A `max_work_item_count` of None leaves `[limits] work_items` of the group."""

    max_work_item_count: int | None = None
    post_start_health_check_timeout_ms: int = 30_000
    allow_functions_to_run_as_root: bool = False
    cgroup_use_systemd: bool = True


@frozen(kw_only=True)
class Principal:
    """A private key, and the certificate for it; the key is a file or a `pkcs11:` URI."""

    private_key_path: Path | None = None
    private_key_uri: str
    certificate_path: Path | None = None


@frozen(kw_only=True)
class Pkcs11:
    """`crypto.PKCS11`: a hardware security module."""

    provider: str
    slot_label: str
    slot_user_pin: str = field(repr=False)
    openssl_engine: str | None = None


@frozen(kw_only=True)
class Crypto:
    """
    `crypto`: keys and certificates; where it stands, the paths of `coreThing` are not used.

    A principal that is left out: the MQTT server's key is made and rotated by the core, and
    secrets use the key of the IoT client.
    """

    ca_path: Path
    iot_certificate: Principal
    mqtt_server_certificate: Principal | None = None
    secrets_manager: Principal | None = None
    pkcs11: Pkcs11 | None = None


@frozen(kw_only=True)
class CoreConfig:
    """A whole `config.json`."""

    path: Path
    core_thing: CoreThing | None = None
    runtime: Runtime = field(factory=Runtime)
    crypto: Crypto | None = None
    write_directory: Path | None = None
    managed_respawn: bool = False
    shadow_sync_timeout_s: int = 5
    warnings: tuple[str, ...] = ()

    def proxy_environment(self) -> dict[str, str]:
        """Return the proxy variables for functions; empty without a proxy."""
        if self.core_thing is None or self.core_thing.network_proxy is None:
            return {}
        return self.core_thing.network_proxy.environment()
