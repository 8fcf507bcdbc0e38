# SPDX-License-Identifier: Apache-2.0
"""
What a function does not get of the secrets of another one, whatever it tries.

With different users, nothing; with one user, nothing through the core, and processes that cannot
be looked into by the ordinary ways. docs/explanation/threat-model.md says where that ends.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import thief
from projects import write_project
from running_core import RunningCore

pytestmark = [pytest.mark.needs_core, pytest.mark.needs_root, pytest.mark.timeout(120)]

HOLDER = 54321  # of nobody on this host, and not the thief's
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:greengrass-Test-abcdef"
SECRETS: dict[str, Any] = {"secrets.Test": {"arn": ARN}}
VALUE = "hunter2, which stands nowhere else"
CODE = """
    import os
    from greengrass_sdk import Client

    kept = []


    def handler(event, context):
        kept.append(Client().secret("Test").text)
        return [len(kept[0]), os.getpid(), os.getuid(), context.invoked_function_arn]
"""


@pytest.fixture(scope="module", params=["two users", "one user"])
def users(request):
    return request.param


@pytest.fixture(scope="module")
def folder(users):
    """Return a folder that other users can reach; those of pytest are for one user."""
    with tempfile.TemporaryDirectory(prefix=f"isolation-{users[:3]}-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def core(users, folder):
    two = users == "two users"
    run_as = {"run_as": {"uid": HOLDER, "gid": HOLDER}} if two else {}
    environment = {"environment": {"ANOTHER_USER": "1"}} if two else {}
    common = {"timeout_s": 30, "max_workers": 1}
    project = write_project(
        folder,
        {"holder": CODE, "thief": Path(thief.__file__).read_text()},
        {
            "holder": {**common, **run_as, "secrets": ["Test"]},
            "thief": {**common, **environment},
        },
        **SECRETS,
    )
    with RunningCore(project, "--record", str(folder / "tape.jsonl")) as running:
        running.command("secret", "put", "Test", payload=VALUE.encode())
        yield running


@pytest.fixture(scope="module")
def holder(core):
    """Return pid, user and ARN of the function that has the secret in its memory."""
    size, pid, uid, arn = json.loads(core.command("invoke", "holder").stdout)
    assert len(VALUE) == size
    return pid, uid, arn


@pytest.fixture
def steal(core, holder):
    """Let the thief try a way; return what it got."""

    def steal(way, status=0, **event):
        done = core.command("invoke", "thief", json.dumps({"way": way, **event}), status=status)
        assert VALUE.encode() not in done.stdout + done.stderr
        return json.loads(done.stdout) if status == 0 else done.stderr.decode()

    return steal


def test_they_are_who_this_is_about(users, holder, steal):
    found = steal("itself")
    expected = (HOLDER, thief.UID) if users == "two users" else (0, 0)
    assert expected == (holder[1], found["uid"])
    assert 0 == found["dumpable"]


@pytest.mark.parametrize("secret", ["Test", "greengrass-Test", ARN])
def test_not_by_its_names(steal, secret):
    for told in steal("name", secret=secret):
        assert "Resource not found" in told


def test_not_by_a_forged_context(steal, holder):
    assert {"Status": 404, "Message": "Resource not found"} == steal(
        "context", secret="Test", arn=holder[2]
    )


def test_not_by_frames_in_the_name_of_others(core, holder):
    told = []
    for endpoint in range(12):
        event = {"way": "frame", "secret": "Test", "endpoint": endpoint}
        done = core.command("invoke", "thief", json.dumps(event), status=None)
        said = (done.stdout + done.stderr).decode()
        assert VALUE not in said
        told.append(said)
    own = [said for said in told if "Resource not found" in said]
    others = [said for said in told if "spoke for endpoint" in said]
    assert (1, 11) == (len(own), len(others)), told


def test_the_function_that_may_is_not_disturbed(core, holder):
    assert holder[0] == json.loads(core.command("invoke", "holder").stdout)[1]


def test_not_on_disk_not_in_the_log_not_on_the_tape(core, users, steal):
    steal("name", secret="Test")
    folder = core.root.parent
    everything = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    names = {path.name for path in everything}
    assert {"secrets.db", "secrets.key", "GGSecretManager.log", "tape.jsonl"} <= names
    assert [] == [path for path, data in everything.items() if VALUE.encode() in data]
    assert VALUE not in core.told()
    if users == "two users":
        assert [] == steal("files", folder=str(core.root / "ggc" / "var"))
        state = core.root / "ggc" / "var" / "state"
        paths = [state / "secrets.db", state / "secrets.key", state / "secrets.db-wal"]
        paths += [state / "tool.token", core.root / "ggc/var/log/system/GGSecretManager.log"]
        assert ["EACCES"] * 5 == steal("path", paths=[str(path) for path in paths])


def test_not_through_the_socket_of_the_core(core, users, steal):
    told = steal("socket", path=str(core.root / "ggc" / "ipc.sock"))
    assert {"two users": "EACCES", "one user": "None"}[users] == told  # it has no token


DENIED = {"EPERM", "EACCES"}


@pytest.mark.parametrize("whose", ["function", "core"])
def test_not_by_looking_into_a_process(core, users, holder, steal, whose):
    if users == "one user":
        pytest.skip("root may look into every process")
    tried = steal("process", pid=holder[0] if whose == "function" else core.process.pid)
    assert {"mem", "fd", "attach", "seize", "process_vm_readv", "pidfd_getfd"} <= set(tried)
    assert {} == {way: told for way, told in tried.items() if told not in DENIED}
