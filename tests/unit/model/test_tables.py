# SPDX-License-Identifier: Apache-2.0
"""The declarations of the group file: complete, and with the defaults that are promised."""

import pytest
from reference_tables import ADVICE, blocks, expected

from greengrass_sdk.model.tables import REQUIRED, SCHEMA, TABLES, kind_of, table

# What the manual and every user's file rely on. A change here is a change of the file format.
DEFAULTS = {
    "group": {
        "name": REQUIRED,
        "core": REQUIRED,
        "region": "us-east-1",
        "account": "000000000000",
        "strict": False,
    },
    "cloud": {
        "url": REQUIRED,
        "ca_path": None,
        "certificate_path": None,
        "private_key_path": None,
        "client_id": None,
        "keep_alive_s": 600,
    },
    "limits": {
        "work_items": 1024,
        "topic_payload_bytes": 131072,
        "invoke_payload_bytes": 6291456,
        "ring_bytes": 262144,
        "spin_us": 50,
    },
    "functions": {
        "code": REQUIRED,
        "handler": REQUIRED,
        "version": "1",
        "pinned": False,
        "timeout_s": 3,
        "memory_kib": None,
        "encoding": "json",
        "environment": {},
        "python": None,
        "sdk": "ours",
        "run_as": None,
        "max_workers": 25,
        "idle_s": 60,
        "queue_items": 1024,
        "queue_bytes": 67108864,
        "secrets": (),
    },
    "devices": {"sync_shadow": False},
    "clients": {},
    "secrets": {"arn": None, "stages": ("AWSCURRENT",)},
    "shadows": {"state_bytes": 8192, "members_only": False},
    "streams": {
        "enabled": False,
        "port": 8088,
        "authenticate_client": True,
        "store_dir": None,
        "bandwidth_kbit_s": None,
        "threads": 5,
        "read_only_dirs": (),
        "sync_interval_ms": 1000,
        "s3_part_bytes": 5242880,
    },
    "loggers": {"component": REQUIRED, "level": "INFO", "space_kib": 10240},
    "subscriptions": {"source": REQUIRED, "subject": REQUIRED, "target": REQUIRED, "id": None},
}


def test_every_key_has_the_promised_default():
    found = {part.name: {key.name: key.default for key in part.keys} for part in TABLES}
    assert DEFAULTS == found
    assert 1 == SCHEMA.default


@pytest.mark.parametrize("part", TABLES)
def test_every_default_fits_its_own_kind(part):
    for key in part.keys:
        if not key.required and key.default is not None:
            assert [] == key.kind.check(key.default)


def test_headers_are_written_as_in_the_file():
    assert ["[group]", "[functions.NAME]", "[[loggers]]"] == [
        table(name).header for name in ("group", "functions", "loggers")
    ]


def test_tables_and_kinds_are_found_by_name():
    assert kind_of("functions", "code") is table("functions").keys[0].kind
    assert table("functions").key("cod") is None
    assert "required" == repr(REQUIRED)
    with pytest.raises(KeyError, match="cod"):
        kind_of("functions", "cod")
    with pytest.raises(KeyError, match="function"):
        table("function")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("functions", "handler", "app.function_handler"),
        ("functions", "handler", "pkg.sub.mod.f"),
        ("functions", "handler", "my-module.handler"),
        ("functions", "version", "12"),
        (
            "functions",
            "secrets",
            ["wifi", "arn:aws:secretsmanager:us-east-1:000000000000:secret:x"],
        ),
        (
            "secrets",
            "arn",
            "arn:aws:secretsmanager:us-west-2:123456789012:secret:greengrass-x-AbCdEf",
        ),
        ("cloud", "url", "mqtt://localhost:1883"),
        ("cloud", "url", "mqtts://broker"),
        ("group", "name", "my first group"),
        ("streams", "port", 0),
        ("limits", "ring_bytes", 65536),
        ("limits", "spin_us", 0),
        ("limits", "spin_us", 1000),
    ],
)
def test_these_values_fit(part, key, value):
    assert [] == kind_of(part, key).check(value)


@pytest.mark.parametrize(
    ("part", "key", "value", "reason"),
    [
        ("functions", "handler", "handler", "must be MODULE.FUNCTION"),
        ("functions", "handler", ".handler", "must be MODULE.FUNCTION"),
        ("functions", "handler", "a..handler", "must be MODULE.FUNCTION"),
        ("functions", "handler", "app.9", "must be MODULE.FUNCTION"),
        ("functions", "handler", "app main.f", "must be MODULE.FUNCTION"),
        ("functions", "version", "$LATEST", "is not supported"),
        ("functions", "version", 1, 'must be a version, such as "1", not 1'),
        ("functions", "timeout_s", 0, "from 0.1 to 2147483647"),
        ("functions", "memory_kib", 16, "from 1024"),
        ("functions", "run_as", {"uid": -1}, "from 0 to 4294967294"),
        ("secrets", "arn", "arn:aws:iot:us-east-1:000000000000:thing/x", "is no secret ARN"),
        ("secrets", "arn", "arn:aws:secretsmanager:us-east-1:1:secret:x", "12 digits"),
        (
            "secrets",
            "arn",
            "arn:aws:secretsmanager:us-east-1:000000000000:secret:a b",
            "secret name",
        ),
        ("cloud", "url", "http://localhost", "mqtt://"),
        ("cloud", "url", "mqtt:/localhost", "mqtt://"),
        ("cloud", "url", "mqtt://", "mqtt://"),
        ("cloud", "url", "mqtt://a b", "mqtt://"),
        ("group", "name", "a\nb", "printable"),
        ("group", "region", "home", "must look like"),
        ("limits", "ring_bytes", 100_000, "power of two"),
        ("limits", "spin_us", 1001, "1000"),
        ("limits", "spin_us", -1, "0"),
        ("subscriptions", "subject", "a/#/b", "only be the last level"),
        ("streams", "port", 65536, "from 0 to 65535"),
    ],
)
def test_these_values_do_not_fit(part, key, value, reason):
    [(_, text)] = kind_of(part, key).check(value)
    assert reason in text


@pytest.mark.parametrize("name", ["wifi", "greengrass/wifi_1+=.@-x"])
def test_secret_names_are_those_of_aws(name):
    assert name == table("secrets").rule(name)


def test_the_tables_in_the_manual_are_fresh():
    assert expected()["group-file.md"] == blocks("group-file.md"), ADVICE
