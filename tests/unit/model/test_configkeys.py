# SPDX-License-Identifier: Apache-2.0
"""V1's keys and their ranges."""

import pytest
from reference_tables import ADVICE, blocks, config_table

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.configkeys import CONFIG_KEYS, UNKNOWN_SCHEME, file_of


def kind(path):
    found = CONFIG_KEYS
    for name in path.split("."):
        found = found[name]
    return found


class TestUris:
    @pytest.mark.parametrize(
        ("uri", "path"),
        [
            ("file:///greengrass/certs/a.pem", "/greengrass/certs/a.pem"),
            ("file:///a%20b", "/a b"),
            ("pkcs11:object=iotkey;type=private", None),
            ("pkcs11:type=private;object=iotkey", None),
        ],
    )
    def test_a_key_is_a_file_or_in_hardware(self, uri, path):
        assert path == file_of(uri)

    @pytest.mark.parametrize("uri", ["/a.pem", "http://x/a", "", "certs/a.pem"])
    def test_another_scheme_has_the_words_of_v1(self, uri):
        with pytest.raises(InvalidInputError) as caught:
            file_of(uri)
        assert str(caught.value).startswith(UNKNOWN_SCHEME)

    @pytest.mark.parametrize(
        ("uri", "reason"),
        [
            ("file://a.pem", "with an absolute path"),
            ("file:a.pem", "with an absolute path"),
            ("pkcs11:type=private", "names no key"),
        ],
    )
    def test_a_broken_uri_says_what_is_wrong(self, uri, reason):
        with pytest.raises(InvalidInputError, match=reason):
            file_of(uri)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("coreThing.keepAlive", [30, 600, 1200]),
        ("coreThing.ggMqttPort", [1024, 8883, 65535]),
        ("coreThing.ggDaemonPort", [1024, 8000, 65535]),
        ("coreThing.iotMqttPort", [8883, 443]),
        ("coreThing.iotHttpPort", [8443, 443]),
        ("coreThing.ggHttpPort", [8443, 443]),
        ("coreThing.coreClientId", ["x", "x" * 128]),
        ("coreThing.thingArn", ["arn:aws-cn:iot:cn-north-1:123456789012:thing/Core"]),
        ("coreThing.networkProxy.proxy.url", ["http://user:pw@proxy:3128", "https://1.2.3.4"]),
        ("coreThing.networkProxy.noProxyAddresses", ["", "a,b"]),
        ("runtime.maxWorkItemCount", [1, 1024]),
        ("runtime.allowFunctionsToRunAsRoot", ["yes", "no"]),
        ("runtime.cgroup.useSystemd", ["yes", "no"]),
        ("writeDirectory", ["/var/greengrass"]),
        ("managedRespawn", [True, False]),
        ("crypto.caPath", ["file:///ca.pem"]),
    ],
)
def test_these_values_fit(path, values):
    assert [] == [flaw for value in values for flaw in kind(path).check(value)]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("coreThing.keepAlive", [29, 1201, "600", 30.0, True, None]),
        ("coreThing.ggMqttPort", [1023, 65536, 443]),
        ("coreThing.iotMqttPort", [8443, 1, "443"]),
        ("coreThing.iotHttpPort", [8883]),
        ("coreThing.coreClientId", ["", "x" * 129]),
        ("coreThing.thingArn", ["", "[THING_ARN_HERE]", "arn:aws:iot:us-east-1:1:thing/x"]),
        ("coreThing.networkProxy.proxy.url", ["proxy:3128", "socks5://x", "http://"]),
        ("runtime.maxWorkItemCount", [0, -1, 1.5]),
        ("runtime.allowFunctionsToRunAsRoot", [True, "true", "YES"]),
        ("writeDirectory", ["var", ""]),
        ("managedRespawn", ["false"]),
        ("crypto.caPath", ["pkcs11:object=ca;type=cert", "ca.pem"]),
        ("crypto.principals.IoTCertificate.privateKeyPath", ["key.pem"]),
    ],
)
def test_these_values_do_not_fit(path, values):
    assert [] == [value for value in values if not kind(path).check(value)]


def test_a_wrong_proxy_is_reported_without_its_password():
    [(_, message)] = kind("coreThing.networkProxy.proxy.url").check("socks5://me:secret@proxy")
    assert "'socks5://proxy'" in message
    assert "secret" not in message


def test_the_table_in_the_manual_is_fresh():
    assert {"keys": config_table()} == blocks("config-json.md"), ADVICE
