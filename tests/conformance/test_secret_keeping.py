# SPDX-License-Identifier: Apache-2.0
"""
Secrets: how a core keeps them, and its key.

Ref: Greengrass V1 guide, "Deploy secrets to the AWS IoT Greengrass core", "Secrets encryption",
"Security principals", "Hardware security integration"
"""

from __future__ import annotations

import json
import subprocess
from contextlib import closing

import pytest
from projects import write_project
from running_core import GREENGRASS, RunningCore, copy_example
from secret_keys import PIN, SLOT, URI, rsa_pem, softhsm, softhsm_environment

from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.secrets.database import Database

VALUE = "hunter2, which stands nowhere else"


def system_log(core):
    return (core.root / "ggc/var/log/system/GGSecretManager.log").read_text()


@pytest.fixture
def project(tmp_path):
    code = """
        from greengrass_sdk import Client

        def handler(event, context):
            return Client().secret("Test").text
    """
    return write_project(
        tmp_path / "project",
        {"reader": code, "other": code},
        {"reader": {"secrets": ["Test"]}, "other": {}},
        **{"secrets.Test": {}},
    )


def files(root):
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def put(core, value=VALUE):
    core.command("secret", "put", "Test", payload=value.encode())


def read(core):
    return json.loads(core.command("invoke", "reader").stdout)


def test_the_tutorial_tells_whether_it_got_the_secret(tmp_path):
    """GG-SE-12."""
    with RunningCore(copy_example("secret", tmp_path)) as core:
        core.publish("secrets/input")
        assert "Failed to retrieve secret." == core.message("secrets/output")["payload"]
        core.command("secret", "put", "greengrass-TestSecret", payload=b'{"test": "abcdefghi"}')
        core.publish("secrets/input")
        message = core.message("secrets/output", count=2)
        assert "Success! Retrieved secret." == message["payload"]
        core.log("SecretTest", "published: Success! Retrieved secret.")
        assert "abcdefghi" not in core.told()
    assert [] == [path for path, data in files(core.root).items() if b"abcdefghi" in data]


def test_the_log_of_the_core_says_why_somebody_got_nothing(project):
    """GG-SE-13."""
    with RunningCore(project) as core:
        core.command("invoke", "reader", status=1)
        core.command("invoke", "other", status=1)
        told = system_log(core)
    assert "reader gets no secret 'Test': it has no value" in told
    assert "other gets no secret 'Test': [functions.other] does not have 'Test'" in told


def test_values_are_encrypted_on_disk_and_there_after_a_restart_and_a_kill(project):
    """GG-SE-14."""
    with RunningCore(project, status=-9) as core:
        put(core)
        assert VALUE == read(core)
        assert [] == [path for path, data in files(core.root).items() if b"hunter" in data]
        core.process.kill()
        core.process.wait()
    with RunningCore(project) as core:
        assert VALUE == read(core)
        assert "hunter" not in core.command("secret", "list").stdout.decode()
    assert [] == [path for path, data in files(core.root).items() if b"hunter" in data]


def wrapped(core):
    with closing(Database.open(Layout(core.root).secret_database)) as database:
        key = database.load().key
        assert key is not None
        return key


def test_a_changed_group_gets_a_new_data_key_and_so_does_a_rotation(project):
    """GG-SE-15."""
    keys: list[bytes] = []
    for change in ("", "", "[functions.third]\ncode = 'code'\nhandler = 'other.handler'\n"):
        with (project / "group.toml").open("a") as file:
            file.write(change)
        with RunningCore(project) as core:
            if not keys:
                put(core)
            assert VALUE == read(core)
            keys.append(wrapped(core).wrapped)
            if change:
                core.command("secret", "rotate")
                assert VALUE == read(core)
                keys.append(wrapped(core).wrapped)
    first, same, changed, rotated = keys
    assert first == same
    assert 3 == len({first, changed, rotated})


def configure(project, uri, **crypto):
    folder = project / ".greengrass" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    iot = {"privateKeyPath": "file:///none", "certificatePath": "file:///none"}
    principals = {"IoTCertificate": iot, "SecretsManager": {"privateKeyPath": uri}}
    document = {"crypto": {"caPath": "file:///ca", "principals": principals, **crypto}}
    (folder / "config.json").write_text(json.dumps(document))


def refused(project, env=None):
    """Start a core that must not start; return what it says, and check what it left."""
    before = files(project / ".greengrass" / "ggc" / "var" / "state")
    core = RunningCore(project, env=env)
    with pytest.raises(AssertionError) as caught:
        core.__enter__()
    after = files(project / ".greengrass" / "ggc" / "var" / "state")
    kept = {path: data for path, data in before.items() if "secrets" in path.name}
    assert kept == {path: after[path] for path in kept}
    return str(caught.value)


def test_the_key_is_the_one_that_the_configuration_names(project, tmp_path):
    """GG-SE-16."""
    pem = tmp_path / "hash.private.key"
    pem.write_bytes(rsa_pem())
    configure(project, f"file://{pem}")
    with RunningCore(project) as core:
        put(core)
        assert VALUE == read(core)
        assert ("rsa-oaep", str(pem)) == (wrapped(core).wrapper[:8], wrapped(core).place)
    pem.write_bytes(rsa_pem(number=1))
    told = refused(project)
    assert ("the key that it was written with is not here" in told, str(pem) in told) == (
        True,
        True,
    )
    pem.write_bytes(rsa_pem())
    with RunningCore(project) as core:
        assert VALUE == read(core)


@pytest.mark.parametrize("kind", ["short", "none"])
def test_a_key_that_is_no_rsa_key_of_2048_bits_is_refused(project, tmp_path, kind):
    """GG-SE-17."""
    pem = tmp_path / "key"
    if kind == "short":
        pem.write_bytes(rsa_pem(bits=1024))
    configure(project, f"file://{pem}")
    told = refused(project)
    assert {"short": "secrets need at least 2048", "none": "cannot be read"}[kind] in told


def test_the_key_may_be_in_a_hardware_module(project, tmp_path):
    """GG-SE-18."""
    provider = softhsm(tmp_path)
    environment = {"SOFTHSM2_CONF": softhsm_environment(tmp_path)["SOFTHSM2_CONF"]}
    settings = {"P11Provider": provider, "slotLabel": SLOT, "slotUserPin": PIN}
    configure(project, URI, PKCS11=settings)
    with RunningCore(project, env=environment) as core:
        put(core)
        assert VALUE == read(core)
        assert ("rsa-pkcs1", URI) == (wrapped(core).wrapper[:9], wrapped(core).place)
    for wrong in ({"slotUserPin": "wrong-pin"}, {"slotLabel": "other"}):
        configure(project, URI, PKCS11={**settings, **wrong})
        told = refused(project, environment)
        assert f"cannot use the key {URI}" in told
        assert "wrong-pin" not in told


def test_a_damaged_database_stops_the_start_and_is_left_alone(project):
    """GG-SE-19."""
    with RunningCore(project) as core:
        put(core)
    database = core.root / "ggc/var/state/secrets.db"
    kept = database.read_bytes()
    database.write_bytes(kept[: len(kept) // 2])
    told = refused(project)
    assert ("cannot use the secrets in" in told, "nothing was changed" in told) == (True, True)
    database.write_bytes(kept)
    with RunningCore(project) as core:
        assert VALUE == read(core)


def test_a_value_is_put_while_the_core_is_stopped_or_runs(project):
    """GG-SE-20."""
    with RunningCore(project) as core:
        put(core, "first")
        assert "first" == read(core)
        put(core, "second")
        assert "second" == read(core)
    subprocess.run(
        [*GREENGRASS, "secret", "--root", str(core.root), "put", "Test"],
        input=b"third",
        check=True,
        capture_output=True,
    )
    with RunningCore(project) as again:
        assert "third" == read(again)
        again.command("secret", "delete", "Test")
        again.command("invoke", "reader", status=1)
