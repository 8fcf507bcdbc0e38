# SPDX-License-Identifier: Apache-2.0
"""The envelope that nothing uses any more."""

from __future__ import annotations

import json

import pytest

from greengrass_common.greengrass_message import GreengrassMessage


def test_a_message_comes_back_as_it_was():
    message = GreengrassMessage(b"\x00payload", subject="a/b")
    document = json.loads(message.encode())
    assert {"Payload": "AHBheWxvYWQ=", "ExtensionMap_": {"subject": "a/b"}} == document
    again = GreengrassMessage.decode(message.encode())
    assert again is not None
    assert (b"\x00payload", {"subject": "a/b"}) == (again.payload, again.extension_map)


def test_nothing_is_no_message():
    assert GreengrassMessage.decode("") is None


@pytest.mark.parametrize("text", ["{", "{}", '{"Payload": 5, "ExtensionMap_": {}}', "[]"])
def test_what_is_no_message_is_a_value_error(text):
    with pytest.raises(ValueError, match="cannot be decoded"):
        GreengrassMessage.decode(text)


def test_what_cannot_be_encoded_is_a_value_error():
    with pytest.raises(ValueError, match="cannot be encoded"):
        GreengrassMessage("text", subject="a/b").encode()  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="cannot be encoded"):
        GreengrassMessage(b"", subject=object()).encode()
