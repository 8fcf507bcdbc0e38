# SPDX-License-Identifier: Apache-2.0
"""The values of `config.json`."""

from pathlib import Path

import pytest

from greengrass_sdk.model.coreconfig import CoreConfig, CoreThing, NetworkProxy, Pkcs11


def thing(**changes):
    arn = "arn:aws:iot:us-east-1:000000000000:thing/c"
    return CoreThing(
        thing_arn=arn, thing_name="c", region="us-east-1", account="000000000000", **changes
    )


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ({"url": "http://proxy:3128"}, "http://proxy:3128"),
        ({"url": "http://proxy", "username": "me"}, "http://me@proxy"),
        (
            {"url": "https://proxy", "username": "a b", "password": "p@w"},
            "https://a%20b:p%40w@proxy",
        ),
        # Guide: user information in the URL overrides username and password.
        ({"url": "http://x:y@proxy", "username": "me", "password": "z"}, "http://x:y@proxy"),
        ({"url": "http://proxy", "password": "z"}, "http://proxy"),
    ],
)
def test_functions_get_the_proxy_with_its_user(keys, url):
    assert {"http_proxy": url, "https_proxy": url} == NetworkProxy(**keys).environment()


def test_addresses_without_proxy_are_handed_on():
    proxy = NetworkProxy(url="http://proxy", no_proxy_addresses=("a", "b"))
    config = CoreConfig(path=Path("c"), core_thing=thing(network_proxy=proxy))
    assert "a,b" == config.proxy_environment()["no_proxy"]


def test_without_a_proxy_functions_get_nothing():
    assert {} == CoreConfig(path=Path("c")).proxy_environment()
    assert {} == CoreConfig(path=Path("c"), core_thing=thing()).proxy_environment()


def test_what_is_secret_is_not_shown():
    proxy = NetworkProxy(url="http://me:secret@proxy", username="me", password="secret")
    hardware = Pkcs11(provider="p", slot_label="s", slot_user_pin="secret")
    assert "secret" not in repr(proxy) + repr(hardware)
