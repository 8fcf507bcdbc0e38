# SPDX-License-Identifier: Apache-2.0
"""
Keys in a hardware security module, with SoftHSM in its place.

A process reads where SoftHSM's tokens are when it loads it, so all of this runs in another one.
"""

import json
import subprocess
import sys

import pytest
from secret_keys import LABEL, PIN, SLOT, URI, rsa_pem, softhsm, softhsm_environment

from greengrass_sdk.core.secrets.pkcs11 import read_uri
from greengrass_sdk.errors import ConfigError

SCRIPT = """
import json, sys
from greengrass_sdk.core.secrets.pkcs11 import HardwareKey
from greengrass_sdk.core.secrets.keys import WrongKeyError
from greengrass_sdk.errors import ConfigError
from greengrass_sdk.model.coreconfig import Pkcs11

asked = json.load(sys.stdin)
settings = Pkcs11(provider=asked["provider"], slot_label=asked["slot"], slot_user_pin=asked["pin"])
try:
    key = HardwareKey.load(asked["uri"], settings)
    wrapped = bytes.fromhex(asked["wrapped"]) if "wrapped" in asked else key.wrap(bytes(range(32)))
    print(json.dumps({
        "wrapped": wrapped.hex(), "key": key.unwrap(wrapped).hex(), "identity": key.identity,
        "place": key.place, "repr": repr(key),
    }))
    key.close()
except (ConfigError, WrongKeyError) as error:
    print(json.dumps({"error": str(error)}))
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """Return what asks a module, in another process."""
    folder = tmp_path_factory.mktemp("softhsm")
    provider = softhsm(folder)

    def ask(**changes):
        asked = {"provider": provider, "slot": SLOT, "pin": PIN, "uri": URI, **changes}
        done = subprocess.run(
            [sys.executable, "-P", "-c", SCRIPT],
            env=softhsm_environment(folder),
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    return ask


def test_the_module_unwraps_what_was_wrapped_for_it(module):
    first = module()
    assert bytes(range(32)).hex() == first["key"]
    again = module(wrapped=first["wrapped"])
    assert (first["key"], first["identity"]) == (again["key"], again["identity"])
    assert first["identity"].startswith("rsa-pkcs1:")
    assert URI == first["place"]
    assert f"HardwareKey(uri={URI!r})" == first["repr"]


def test_the_padding_is_that_of_the_guide(module):
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(rsa_pem(number=7), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    opened = key.decrypt(bytes.fromhex(module()["wrapped"]), padding.PKCS1v15())
    assert bytes(range(32)) == opened


def test_a_key_is_found_by_its_id_as_well(module):
    assert module()["identity"] == module(uri="pkcs11:id=%00%00;type=private")["identity"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pin": "wrong-pin"}, "PinIncorrect"),
        ({"slot": "other"}, "NoSuchToken"),
        ({"uri": "pkcs11:object=other;type=private"}, "NoSuchKey"),
        ({"provider": "/nowhere.so"}, "/nowhere.so"),
        ({"wrapped": "00" * 256}, "does not open with"),
    ],
)
def test_what_is_wrong_with_the_module_is_told_without_the_pin(module, change, why):
    told = module(**change)["error"]
    assert why in told
    assert "wrong-pin" not in told


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        (URI, (LABEL, None)),
        ("pkcs11:object=a%20key", ("a key", None)),
        ("pkcs11:token=t;object=k;type=private?pin-value=1", ("k", None)),
        ("pkcs11:id=%01%FF;type=private", (None, b"\x01\xff")),
    ],
)
def test_a_uri_names_a_label_or_an_id(uri, found):
    assert found == read_uri(uri)


@pytest.mark.parametrize("uri", ["pkcs11:", "pkcs11:token=t", "pkcs11:object=k;type=cert"])
def test_a_uri_that_names_no_private_key_is_refused(uri):
    with pytest.raises(ConfigError, match="names no private key"):
        read_uri(uri)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    from greengrass_sdk.core.secrets.pkcs11 import HardwareKey
    from greengrass_sdk.model.coreconfig import Pkcs11

    monkeypatch.setitem(sys.modules, "pkcs11", None)
    settings = Pkcs11(provider="/x", slot_label=SLOT, slot_user_pin=PIN)
    with pytest.raises(ConfigError, match=r"pip install 'greengrass-core\[hsm\]'"):
        HardwareKey.load(URI, settings)
