# SPDX-License-Identifier: Apache-2.0
"""The vault: sealed secrets and the key that opens them, shared by core and commands."""

import json
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
from secret_keys import rsa_pem

from greengrass_sdk.core.config import load_config
from greengrass_sdk.core.secrets.database import Database
from greengrass_sdk.core.secrets.store import CURRENT, PREVIOUS, Version
from greengrass_sdk.core.secrets.vault import Vault
from greengrass_sdk.errors import ConfigError, InvalidInputError, SecretNotFoundError

VALUE = b"hunter2 is the value that must be nowhere"


def version(identifier, *stages, secret="wifi", binary=False):
    return Version(secret, identifier, stages or (CURRENT,), 1000, binary)


@contextmanager
def opened(folder, deployment="", config=None, now_ms=1):
    vault = Vault.open(
        folder / "secrets.db",
        folder / "secrets.key",
        config,
        deployment=deployment,
        now_ms=now_ms,
    )
    with closing(vault):
        yield vault


@pytest.fixture
def configured(tmp_path):
    """Return a configuration with an RSA key for secrets."""

    def make(number=0):
        pem = tmp_path / f"key-{number}.pem"
        pem.write_bytes(rsa_pem(number=number))
        path = tmp_path / "config.json"
        crypto = {
            "caPath": "file:///ca",
            "principals": {
                "IoTCertificate": {
                    "privateKeyPath": "file:///none",
                    "certificatePath": "file:///none",
                },
                "SecretsManager": {"privateKeyPath": f"file://{pem}"},
            },
        }
        path.write_text(json.dumps({"crypto": crypto}))
        return load_config(path)

    return make


def read(vault, secret="wifi"):
    return {each.stages: vault.reveal(each) for each in vault.versions(secret)}


def contents(folder):
    with closing(Database.open(folder / "secrets.db")) as database:
        return database.load()


def test_what_was_put_is_there_after_a_start(tmp_path):
    with opened(tmp_path) as vault:
        vault.put(version("1"), VALUE)
        vault.put(version("2", binary=True), b"\xff")
    with opened(tmp_path, "group") as vault:
        assert {(PREVIOUS,): VALUE, (CURRENT,): b"\xff"} == read(vault)
        assert [] == list(vault.versions("other"))


def test_no_value_is_ever_in_a_file(tmp_path):
    with opened(tmp_path, "group") as vault:
        vault.put(version("1"), VALUE)
        vault.put(version("2"), VALUE + b"!")
        vault.rotate(2)
        assert b"hunter" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"hunter" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    files = {"secrets.db", "secrets.db-changes", "secrets.key"}
    assert files == {file.name for file in tmp_path.iterdir()}


def test_nothing_is_shown_of_values_and_keys(tmp_path):
    with opened(tmp_path) as vault:
        vault.put(version("1"), VALUE)
        assert "hunter" not in repr(vault)
        assert "DataKey" not in repr(vault)


def test_what_one_writes_another_sees_at_the_next_read(tmp_path):
    with opened(tmp_path, "group") as core, opened(tmp_path) as command:
        assert {} == read(core)
        command.put(version("1"), b"one")
        assert {(CURRENT,): b"one"} == read(core)
        command.rotate(5)
        assert {(CURRENT,): b"one"} == read(core)
        core.put(version("2"), b"two")
        assert {(PREVIOUS,): b"one", (CURRENT,): b"two"} == read(command)
        command.delete("wifi")
        assert {} == read(core)


def test_a_new_group_gets_a_new_data_key_and_the_same_group_keeps_its(tmp_path):
    keys = []
    for deployment in ("one", "one", "two", ""):
        with opened(tmp_path, deployment) as vault:
            if not vault.versions("wifi"):
                vault.put(version("1"), VALUE)
            assert {(CURRENT,): VALUE} == read(vault)
        found = contents(tmp_path)
        keys.append((found.key.deployment, found.key.wrapped, found.secrets[0].sealed))
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert [] == [1 for old, new in zip(keys[0], keys[2], strict=True) if old == new]


def test_rotation_seals_everything_anew_and_keeps_the_group(tmp_path):
    with opened(tmp_path, "group") as vault:
        vault.put(version("1"), VALUE)
        vault.put(version("1", secret="other"), b"x")
        before = contents(tmp_path)
        vault.rotate(9)
        after = contents(tmp_path)
        assert {(CURRENT,): VALUE} == read(vault)
    assert ("group", 9) == (after.key.deployment, after.key.made_ms)
    assert before.key.wrapped != after.key.wrapped
    assert set() == {each.sealed for each in before.secrets} & {
        each.sealed for each in after.secrets
    }


def test_deleting_forgets_all_versions_of_one_secret(tmp_path):
    with opened(tmp_path) as vault:
        for identifier in "12":
            vault.put(version(identifier), VALUE)
        vault.put(version("1", secret="other"), b"x")
        vault.delete("wifi")
        assert ({}, {(CURRENT,): b"x"}) == (read(vault), read(vault, "other"))
        with pytest.raises(SecretNotFoundError, match="there is no secret 'wifi'"):
            vault.delete("wifi")


@pytest.mark.parametrize("value", [b"", b"\xff"])
def test_a_bad_value_changes_nothing(tmp_path, value):
    with opened(tmp_path) as vault:
        vault.put(version("1"), VALUE)
        with pytest.raises(InvalidInputError):
            vault.put(version("2"), value)
        assert {(CURRENT,): VALUE} == read(vault)


def test_an_rsa_key_wraps_the_data_key(tmp_path, configured):
    config = configured()
    with opened(tmp_path, "g", config) as vault:
        vault.put(version("1"), VALUE)
    assert contents(tmp_path).key.wrapper.startswith("rsa-oaep:")
    assert not (tmp_path / "secrets.key").exists()
    with opened(tmp_path, "g", config) as vault:
        assert {(CURRENT,): VALUE} == read(vault)


def test_a_key_that_is_configured_later_takes_over_at_the_next_start(tmp_path, configured):
    with opened(tmp_path, "g") as vault:
        vault.put(version("1"), VALUE)
    config = configured()
    with opened(tmp_path, "", config) as vault:
        assert {(CURRENT,): VALUE} == read(vault)
    assert contents(tmp_path).key.wrapper.startswith("file:")
    with opened(tmp_path, "g", config) as vault:
        assert {(CURRENT,): VALUE} == read(vault)
    assert contents(tmp_path).key.wrapper.startswith("rsa-oaep:")


def refused(folder, config=None):
    """Return why a vault is not opened; check that nothing was changed."""
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(ConfigError) as caught, opened(folder, "another group", config):
        pass
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}
    assert "nothing was changed" in str(caught.value)
    return str(caught.value)


@pytest.fixture
def kept(tmp_path):
    with opened(tmp_path, "g") as vault:
        vault.put(version("1"), VALUE)
    return tmp_path


def test_another_key_file_is_refused(kept):
    (kept / "secrets.key").write_bytes(bytes(32))
    assert "the key that it was written with is not here (file:" in refused(kept)


def test_a_key_file_that_is_gone_is_not_made_again(kept):
    (kept / "secrets.key").unlink()
    assert str(kept / "secrets.key") in refused(kept)


def test_another_rsa_key_is_refused(tmp_path, configured):
    with opened(tmp_path, "g", configured(0)) as vault:
        vault.put(version("1"), VALUE)
    assert "key-0.pem" in refused(tmp_path, configured(1))


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE version SET sealed = zeroblob(40)", "version '1' of secret 'wifi' is damaged"),
        ("UPDATE version SET secret = 'other'", "version '1' of secret 'other' is damaged"),
        ("UPDATE version SET id = '2'", "version '2' of secret 'wifi' is damaged"),
        ("UPDATE version SET binary = 1", "is damaged"),
        ("UPDATE version SET stages = '{'", "cannot read the secrets"),
        ("UPDATE data_key SET wrapped = zeroblob(60)", "the data key does not open"),
        ("UPDATE data_key SET wrapper = 'x'", "the key that it was written with is not here (x"),
    ],
)
def test_what_was_tampered_with_is_refused(kept, statement, why):
    with closing(Database.open(kept / "secrets.db")) as database:
        database._connection.execute(statement)
    assert why in refused(kept)


def test_a_value_that_went_bad_while_the_core_runs_is_an_error_of_reading(tmp_path):
    with opened(tmp_path, "g") as vault:
        vault.put(version("1"), VALUE)
        with closing(Database.open(tmp_path / "secrets.db")) as database:
            database._connection.execute("UPDATE version SET sealed = zeroblob(40)")
        with pytest.raises(OSError, match="is damaged"):
            read(vault)


def test_a_key_that_the_core_does_not_have_is_an_error_that_says_to_start_again(
    tmp_path, configured
):
    with opened(tmp_path, "g") as core:
        core.put(version("1"), VALUE)
        with opened(tmp_path, "", configured()) as command:
            command.rotate(2)
        with pytest.raises(OSError, match="start the core again"):
            core.versions("wifi")


def test_a_version_that_went_between_two_looks_is_an_error_of_reading(tmp_path):
    with opened(tmp_path) as vault:
        vault.put(version("1"), VALUE)
        [found] = vault.versions("wifi")
        vault.delete("wifi")
        with pytest.raises(OSError, match="is gone"):
            vault.reveal(found)


WRITER = """
import sys
from pathlib import Path
from greengrass_sdk.core.secrets.store import Version
from greengrass_sdk.core.secrets.vault import Vault
folder = Path(sys.argv[1])
vault = Vault.open(folder / "secrets.db", folder / "secrets.key", None, deployment="", now_ms=1)
for number in range(int(sys.argv[2]), 1_000_000):
    vault.put(Version("wifi", str(number), ("AWSCURRENT",), number), b"value %d" % number)
    if number % 3 == 0:
        vault.rotate(number)
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill_at_any_moment(tmp_path):
    number = acknowledged = 0
    for count in (1, 2, 5, 7, 4):
        writer = subprocess.Popen(
            [sys.executable, "-P", "-c", WRITER, str(tmp_path), str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        try:
            for _ in range(count):
                acknowledged = int(writer.stdout.readline())
        finally:
            writer.kill()
            writer.wait()
            writer.stdout.close()
        with opened(tmp_path, "g") as vault:
            [current] = [each for each in vault.versions("wifi") if CURRENT in each.stages]
            assert acknowledged <= int(current.id)
            assert b"value " + current.id.encode() == vault.reveal(current)
        number = int(current.id) + 1
