# SPDX-License-Identifier: Apache-2.0
"""Which key wraps: what `config.json` names, what the core has anyway, or a file of its own."""

import json
import logging

import pytest
from secret_keys import ec_pem, rsa_pem

from greengrass_sdk.core.config import load_config
from greengrass_sdk.core.secrets.keyring import Keyring
from greengrass_sdk.core.secrets.keys import KeyFile, RsaKey
from greengrass_sdk.errors import ConfigError

THING = "arn:aws:iot:us-east-1:123456789012:thing/core"


@pytest.fixture
def keyring(tmp_path):
    """Return the keyring of a `config.json` with these parts."""
    (tmp_path / "config").mkdir()
    (tmp_path / "certs").mkdir()
    for name, pem in (
        ("rsa", rsa_pem()),
        ("other", rsa_pem(number=1)),
        ("short", rsa_pem(bits=1024)),
        ("ec", ec_pem()),
    ):
        (tmp_path / "certs" / name).write_bytes(pem)

    def make(**parts):
        path = tmp_path / "config" / "config.json"
        path.write_text(json.dumps(parts))
        return Keyring.of(load_config(path), tmp_path / "secrets.key")

    return make


@pytest.fixture
def crypto(tmp_path):
    def make(iot, secrets=None):
        principals = {
            "IoTCertificate": {
                "privateKeyPath": f"file://{tmp_path}/certs/{iot}",
                "certificatePath": "file:///cert",
            }
        }
        if secrets:
            uri = secrets if ":" in secrets else f"file://{tmp_path}/certs/{secrets}"
            principals["SecretsManager"] = {"privateKeyPath": uri}
        return {"caPath": "file:///ca", "principals": principals}

    return make


def test_without_a_configuration_there_is_a_key_file(tmp_path):
    file = tmp_path / "secrets.key"
    ring = Keyring.of(None, file)
    assert not file.exists()
    made = ring.preferred()
    assert (made, made) == (KeyFile.load(file), ring.preferred())
    assert made == ring.find(made.identity)
    assert ring.find("file:0") is None


def test_the_key_of_the_secrets_manager_is_taken_first(keyring, crypto, tmp_path):
    ring = keyring(crypto=crypto("rsa", "other"))
    assert str(tmp_path / "certs" / "other") == ring.preferred().place
    assert not (tmp_path / "secrets.key").exists()


def test_without_it_that_of_the_core_is_taken_if_it_is_rsa(keyring, crypto, tmp_path):
    assert str(tmp_path / "certs" / "rsa") == keyring(crypto=crypto("rsa")).preferred().place


def test_an_old_configuration_has_a_key_of_the_core_too(keyring, tmp_path):
    thing = {"thingArn": THING, "caPath": "ca", "certPath": "cert", "keyPath": "rsa"}
    ring = keyring(coreThing=thing)
    assert str(tmp_path / "certs" / "rsa") == ring.preferred().place


@pytest.mark.parametrize("iot", ["ec", "short", "missing"])
def test_where_that_of_the_core_cannot_wrap_there_is_a_key_file(
    keyring, crypto, tmp_path, iot, caplog
):
    with caplog.at_level(logging.INFO):
        ring = keyring(crypto=crypto(iot))
    assert str(tmp_path / "secrets.key") == ring.preferred().place
    assert iot in caplog.text


@pytest.mark.parametrize(
    ("name", "why"),
    [("ec", "is no RSA key"), ("short", "1024 bits"), ("missing", "cannot be read")],
)
def test_a_key_that_is_named_for_secrets_must_be_right(keyring, crypto, name, why):
    with pytest.raises(ConfigError, match=why):
        keyring(crypto=crypto("rsa", name))


def test_a_key_in_hardware_needs_the_settings_of_the_module(keyring, crypto):
    with pytest.raises(ConfigError, match="PKCS11"):
        keyring(crypto=crypto("rsa", "pkcs11:object=key;type=private"))


def test_the_key_file_still_opens_what_it_wrapped_when_a_key_is_configured(
    keyring, crypto, tmp_path
):
    before = KeyFile.make(tmp_path / "secrets.key")
    ring = keyring(crypto=crypto("rsa"))
    assert isinstance(ring.preferred(), RsaKey)
    assert before == ring.find(before.identity)
    assert ring.preferred() is ring.find(ring.preferred().identity)
