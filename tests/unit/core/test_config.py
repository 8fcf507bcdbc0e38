# SPDX-License-Identifier: Apache-2.0
"""`config.json`: V1's files load, broken ones are refused in V1's words, and it wins."""

import json
import os
from pathlib import Path

import pytest

from greengrass_sdk.core.config import check_spool_size, load_config, merge
from greengrass_sdk.errors import ConfigError
from greengrass_sdk.model.coreconfig import CoreConfig, Runtime
from greengrass_sdk.model.group import Device, Function, Group, Subscription

ARN = "arn:aws:iot:us-west-2:123456789012:thing/MyCore"
LEGACY = {
    "coreThing": {
        "caPath": "root.ca.pem",
        "certPath": "hash.cert.pem",
        "keyPath": "hash.private.key",
        "thingArn": ARN,
        "iotHost": "x-ats.iot.us-west-2.amazonaws.com",
        "ggHost": "greengrass-ats.iot.us-west-2.amazonaws.com",
        "keepAlive": 600,
        "mqttMaxConnectionRetryInterval": 60,
    },
    "runtime": {"cgroup": {"useSystemd": "yes"}},
    "managedRespawn": False,
}
CRYPTO = {
    "principals": {
        "SecretsManager": {"privateKeyPath": "file:///greengrass/certs/hash.private.key"},
        "IoTCertificate": {
            "privateKeyPath": "file:///greengrass/certs/hash.private.key",
            "certificatePath": "file:///greengrass/certs/hash.cert.pem",
        },
    },
    "caPath": "file:///greengrass/certs/root.ca.pem",
}
FULL = {
    **LEGACY,
    "runtime": {
        "maxWorkItemCount": 2048,
        "postStartHealthCheckTimeout": 60000,
        "allowFunctionsToRunAsRoot": "yes",
        "cgroup": {"useSystemd": "no"},
    },
    "system": {"shadowSyncTimeout": 9},
    "writeDirectory": "/var/gg",
    "crypto": CRYPTO,
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "config").mkdir()
    return tmp_path


def load(root, data):
    file = root / "config" / "config.json"
    if isinstance(data, bytes):
        file.write_bytes(data)
    else:
        file.write_text(data if isinstance(data, str) else json.dumps(data, indent=1))
    return load_config(file)


def refused(root, data):
    with pytest.raises(ConfigError) as caught:
        load(root, data)
    return {problem.key: problem.message for problem in caught.value.problems}


def changed(data, path, value):
    """Return a copy of a file with one key set, or taken out by a value of None."""
    copy = json.loads(json.dumps(data))
    *tables, last = path.split(".")
    part = copy
    for name in tables:
        part = part.setdefault(name, {})
    if value is None:
        del part[last]
    else:
        part[last] = value
    return copy


class TestFilesOfTheField:
    def test_a_file_of_v1_10_gives_everything(self, root):
        config = load(root, FULL)
        assert ("MyCore", "us-west-2", "123456789012") == (
            config.core_thing.thing_name,
            config.core_thing.region,
            config.core_thing.account,
        )
        assert (2048, 60000, True, False) == (
            config.runtime.max_work_item_count,
            config.runtime.post_start_health_check_timeout_ms,
            config.runtime.allow_functions_to_run_as_root,
            config.runtime.cgroup_use_systemd,
        )
        assert (Path("/var/gg"), 9, False, ()) == (
            config.write_directory,
            config.shadow_sync_timeout_s,
            config.managed_respawn,
            config.warnings,
        )

    def test_with_crypto_the_paths_of_the_thing_are_not_used(self, root):
        config = load(root, FULL)
        assert config.core_thing.ca_path is None
        assert [
            Path("/greengrass/certs/root.ca.pem"),
            Path("/greengrass/certs/hash.cert.pem"),
            Path("/greengrass/certs/hash.private.key"),
            Path("/greengrass/certs/hash.private.key"),
            None,
        ] == [
            config.crypto.ca_path,
            config.crypto.iot_certificate.certificate_path,
            config.crypto.iot_certificate.private_key_path,
            config.crypto.secrets_manager.private_key_path,
            config.crypto.mqtt_server_certificate,
        ]

    def test_a_file_of_v1_6_uses_the_certs_of_the_root(self, root):
        thing = load(root, LEGACY).core_thing
        assert [root / "certs" / "root.ca.pem", root / "certs" / "hash.cert.pem"] == [
            thing.ca_path,
            thing.certificate_path,
        ]
        assert root / "certs" / "hash.private.key" == thing.private_key_path

    def test_defaults_are_those_of_the_guide(self, root):
        data = changed(LEGACY, "coreThing.keepAlive", None)
        data = changed(data, "coreThing.mqttMaxConnectionRetryInterval", None)
        thing = load(root, data).core_thing
        assert (8883, 8443, 8883, 8443, 600, 60) == (
            thing.iot_mqtt_port,
            thing.iot_http_port,
            thing.gg_mqtt_port,
            thing.gg_http_port,
            thing.keep_alive_s,
            thing.mqtt_max_connection_retry_interval_s,
        )
        assert Runtime() == load(root, LEGACY).runtime

    @pytest.mark.parametrize("path", ["mqttMaxConnectionRetryInterval", "coreThing.{}"])
    def test_the_retry_interval_may_stand_in_both_places(self, root, path):
        key = "mqttMaxConnectionRetryInterval"
        data = changed(LEGACY, f"coreThing.{key}", None)
        found = load(root, changed(data, path.format(key), 7))
        assert 7 == found.core_thing.mqtt_max_connection_retry_interval_s

    def test_a_proxy_is_read(self, root):
        proxy = {
            "noProxyAddresses": "128.12.34.56, www.mywebsite.com,",
            "proxy": {"url": "https://my-proxy-server:1100", "username": "me", "password": "pw"},
        }
        config = load(root, changed(LEGACY, "coreThing.networkProxy", proxy))
        assert {
            "http_proxy": "https://me:pw@my-proxy-server:1100",
            "https_proxy": "https://me:pw@my-proxy-server:1100",
            "no_proxy": "128.12.34.56,www.mywebsite.com",
        } == config.proxy_environment()

    def test_keys_in_hardware_are_read_and_warned_about(self, root):
        pkcs11 = {"P11Provider": "/lib/p.so", "slotLabel": "gg", "slotUserPin": "1234"}
        data = changed(FULL, "crypto.PKCS11", pkcs11)
        key = "crypto.principals.IoTCertificate.privateKeyPath"
        config = load(root, changed(data, key, "pkcs11:object=iotkey;type=private"))
        assert (None, "pkcs11:object=iotkey;type=private", "gg", None) == (
            config.crypto.iot_certificate.private_key_path,
            config.crypto.iot_certificate.private_key_uri,
            config.crypto.pkcs11.slot_label,
            config.crypto.pkcs11.openssl_engine,
        )
        [warning] = config.warnings
        assert "crypto.PKCS11: keys in hardware modules serve for secrets only, yet" in warning

    def test_a_key_for_secrets_may_be_in_hardware(self, root):
        pkcs11 = {"P11Provider": "/lib/p.so", "slotLabel": "gg", "slotUserPin": "pinpin"}
        data = changed(FULL, "crypto.PKCS11", pkcs11)
        key = "crypto.principals.SecretsManager.privateKeyPath"
        config = load(root, changed(data, key, "pkcs11:object=iotkey;type=private"))
        assert ((), "pkcs11:object=iotkey;type=private") == (
            config.warnings,
            config.crypto.secrets_manager.private_key_uri,
        )
        assert "pinpin" not in repr(config)

    def test_a_server_key_of_ones_own_is_read(self, root):
        server = {"privateKeyPath": "file:///server.key"}
        config = load(root, changed(FULL, "crypto.principals.MQTTServerCertificate", server))
        assert Path("/server.key") == config.crypto.mqtt_server_certificate.private_key_path

    def test_without_thing_and_crypto_the_group_file_says_who_the_core_is(self, root):
        config = load(root, {"runtime": {"allowFunctionsToRunAsRoot": "yes"}})
        assert (None, None, True) == (
            config.core_thing,
            config.crypto,
            config.runtime.allow_functions_to_run_as_root,
        )

    def test_a_root_without_the_file_has_no_config(self, root):
        assert load_config(str(root / "config" / "config.json")) is None

    def test_unknown_keys_are_warnings_with_the_nearest(self, root):
        data = changed(changed(LEGACY, "coreThing.keepAliv", 5), "managedRespwan", True)
        first, second = load(root, data).warnings
        assert "config.json:11: coreThing.keepAliv: unknown key; did you mean 'keepAlive'?" in first
        assert "managedRespwan: unknown key; did you mean 'managedRespawn'?" in second


class TestBrokenFiles:
    @pytest.mark.parametrize(
        "text",
        ["", "{", "{} {}", "{'a': 1}", '{"a": NaN}', '{"a": 1, "a": 2}', "// c\n{}", b"\xff{}"],
    )
    def test_what_is_not_json_is_refused_in_the_words_of_v1(self, root, text):
        [message] = refused(root, text).values()
        assert message.startswith(f"Failed to parse {root}/config/config.json.")

    def test_it_must_be_an_object(self, root):
        assert {None: "must be an object, not an array"} == refused(root, "[]")

    def test_a_file_that_cannot_be_read_says_why(self, root):
        (root / "config" / "config.json").mkdir()
        with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
            load_config(root / "config" / "config.json")

    def test_a_file_that_is_not_ours_to_read_says_what_to_do(self, root, monkeypatch):
        def denied(path):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", denied)
        with pytest.raises(ConfigError, match="Permission denied; run this as the owner"):
            load_config(root / "config" / "config.json")

    def test_a_file_in_place_of_the_root_is_left_to_who_makes_the_root(self, tmp_path):
        (tmp_path / "root").write_text("")
        assert load_config(tmp_path / "root" / "config" / "config.json") is None

    @pytest.mark.parametrize("key", ["caPath", "certPath", "keyPath"])
    def test_missing_paths_are_refused_in_the_words_of_v1(self, root, key):
        assert {
            "coreThing": (
                "The configuration file is missing the CaPath, CertPath or KeyPath. The Greengrass "
                f"daemon process with [pid = {os.getpid()}] died."
            )
        } == refused(root, changed(LEGACY, f"coreThing.{key}", None))

    def test_an_unknown_scheme_is_refused_in_the_words_of_v1(self, root):
        found = refused(root, changed(FULL, "crypto.caPath", "s3://bucket/ca"))
        [message] = found.values()
        assert "Error occurred while generating TLS config: ErrUnknownURIScheme" in message

    @pytest.mark.parametrize(
        ("path", "value", "key", "reason"),
        [
            ("coreThing", [], "coreThing", "must be an object, not an array"),
            ("coreThing.keepAlive", 29, "coreThing.keepAlive", "from 30 to 1200, not 29"),
            ("coreThing.ggMqttPort", 80, "coreThing.ggMqttPort", "from 1024 to 65535"),
            ("coreThing.iotMqttPort", 80, "coreThing.iotMqttPort", "must be 8883 or 443, not 80"),
            ("coreThing.thingArn", "x", "coreThing.thingArn", "is no thing ARN"),
            ("coreThing.thingArn", None, "coreThing", "'thingArn' is missing"),
            ("coreThing.networkProxy", {}, "coreThing.networkProxy", "'proxy.url' is missing"),
            ("runtime.cgroup.useSystemd", True, "runtime.cgroup.useSystemd", '"yes" or "no"'),
            ("crypto.caPath", None, "crypto", "'caPath' is missing"),
            ("crypto.principals", None, "crypto", "'principals.IoTCertificate' is missing"),
            (
                "crypto.principals.IoTCertificate.certificatePath",
                None,
                "crypto.principals.IoTCertificate",
                "'certificatePath' is missing",
            ),
            (
                "crypto.principals.SecretsManager.privateKeyPath",
                None,
                "crypto.principals.SecretsManager",
                "'privateKeyPath' is missing",
            ),
            (
                "crypto.principals.SecretsManager.privateKeyPath",
                "pkcs11:object=x",
                "crypto.PKCS11",
                "P11Provider, slotLabel, slotUserPin must be there",
            ),
            ("crypto.PKCS11.slotLabel", "x", "crypto.PKCS11", "P11Provider, slotUserPin must"),
        ],
    )
    def test_a_wrong_key_is_refused_by_name(self, root, path, value, key, reason):
        [(found, message)] = refused(root, changed(FULL, path, value)).items()
        assert key == found
        assert reason in message

    def test_all_problems_come_at_once_with_their_lines(self, root):
        data = '{"coreThing": {\n"keepAlive": 1,\n"ggMqttPort": 1},\n"writeDirectory": "x"}'
        with pytest.raises(ConfigError) as caught:
            load(root, data)
        assert [(2, "coreThing.keepAlive"), (3, "coreThing.ggMqttPort"), (4, "writeDirectory")] == [
            (problem.line, problem.key) for problem in caught.value.problems
        ]


class TestMerging:
    def group(self, **changes):
        functions = {"led": Function(name="led", code=Path("/c"), handler="a.f")}
        group = Group(name="g", core="core", functions=functions, **changes)
        rows = [Subscription("s", group.address("led"), "a", "cloud", line=4)]
        return Group(name="g", core="core", functions=functions, subscriptions=rows, **changes)

    def test_the_core_thing_of_the_file_wins_and_addresses_follow(self, root):
        merged = merge(self.group(), load(root, FULL))
        led = "arn:aws:lambda:us-west-2:123456789012:function:led:1"
        assert (ARN, 2048, led, [(led, "cloud", 4)]) == (
            merged.core_thing_arn,
            merged.limits.work_items,
            merged.functions["led"].arn,
            [(row.source, row.target, row.line) for row in merged.subscriptions],
        )

    def test_a_silent_file_leaves_the_group_as_it_is(self):
        group = self.group()
        assert group == merge(group, CoreConfig(path=Path("c"))) == merge(group, None)

    def test_the_core_cannot_be_a_device(self, root):
        group = self.group(devices={"MyCore": Device(name="MyCore")})
        with pytest.raises(
            ConfigError, match="'MyCore' is the core and, in the group file, a device"
        ):
            merge(group, load(root, LEGACY))


class TestSpoolSize:
    @pytest.mark.parametrize("size", [262144, 2621440])
    def test_a_large_enough_queue_is_fine(self, size):
        assert size == check_spool_size(str(size))

    @pytest.mark.parametrize("text", ["262143", "0"])
    def test_a_small_one_is_refused_in_the_words_of_v1(self, text):
        with pytest.raises(ConfigError) as caught:
            check_spool_size(text)
        assert "Spool size should be at least 262144 bytes." == str(caught.value)

    @pytest.mark.parametrize("text", ["", "-1", "2.5 MB", "²", "9" * 19, "0x100000"])
    def test_what_is_no_number_is_refused(self, text):
        with pytest.raises(ConfigError, match="must be a whole number of at least 262144"):
            check_spool_size(text)
