# SPDX-License-Identifier: Apache-2.0
"""
What people get wrong: each mistake is told by what is wrong, where, and what to do.

Never by a traceback, and never at the cost of a core that runs.

Ref: docs/reference/errors.md
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import zipfile

import pytest
from projects import group_text, write_project
from running_core import GREENGRASS, GREENGRASSD, RunningCore, environment

from greengrass_sdk import Client

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(60)]

CONFIG, UNAVAILABLE, PACKAGE = 3, 7, 11
CODE = "def handler(event, context):\n    return event\n"

# Root reads and writes everything, so it has to give that up (prctl PR_CAPBSET_DROP, then exec).
UNPRIVILEGED = """
import ctypes, os, sys
for capability in (1, 2, 3):  # DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "project", {"f": CODE}, {"f": {}}, clients=["tester"])


@pytest.fixture
def refused(tmp_path):
    """Run a command that must fail with a status and return what it says on standard error."""
    env = environment(tmp_path / "run")

    def call(status, *arguments, program=GREENGRASS):
        done = subprocess.run(
            [sys.executable, "-P", "-c", UNPRIVILEGED, *program, *map(str, arguments)],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert status == done.returncode, done.stdout + done.stderr
        return done.stderr[done.stderr.index("error: ") :]  # behind warnings about this machine

    return call


def says(text, *parts):
    """Check that a text has these parts, in this order."""
    at = 0
    for part in parts:
        found = text.find(part, at)
        assert found >= 0, f"{part!r} is not in, or not in that order in:\n{text}"
        at = found + len(part)


# --- the group file -------------------------------------------------------------------------------

F = '[functions.f]\ncode = "code"\nhandler = "f.handler"\n'
HEAD = 'schema = 1\n[group]\nname = "g"\ncore = "c"\n'
ROW = '[[subscriptions]]\nsource = "{}"\nsubject = "{}"\ntarget = "{}"\n'
GROUPS: dict[str, tuple[str | bytes, list[str]]] = {
    "broken-toml": (HEAD + "[functions.f\n", ["group.toml:5", "]"]),
    "not-utf-8": (b"schema = 1 # \xff\n", ["group.toml", "UTF-8"]),
    "empty": ("", ["group.toml", "[group] is missing"]),
    "unknown-schema": ("schema = 2\n", ["group.toml:1", "schema", "1"]),
    "unknown-table": (HEAD + "[function.f]\n", ["group.toml:5", "function", "functions"]),
    "unknown-key": (HEAD + F + "pined = true\n", ["group.toml:8", "pined", "pinned"]),
    "unknown-group-key": (HEAD + 'regoin = "x"\n', ["group.toml:5", "regoin", "region"]),
    "wrong-type": (HEAD + F + 'pinned = "yes"\n', ["group.toml:8", "pinned", "true or false"]),
    "out-of-range": (HEAD + F + "timeout_s = -1\n", ["group.toml:8", "timeout_s"]),
    "missing-key": (HEAD + '[functions.f]\ncode = "code"\n', ["group.toml", "handler"]),
    "missing-code": (HEAD + F.replace('"code"', '"cod"'), ["group.toml:6", "code", "cod"]),
    "same-function-twice": (HEAD + F + F, ["group.toml:8"]),
    "same-name-twice": (HEAD + F + "[clients.f]\n", ["group.toml:8", "'f'"]),
    "reserved-name": (HEAD + F.replace("functions.f", "functions.cloud"), [":5", "cloud"]),
    "reserved-client": (HEAD + "[clients.GGShadowService]\n", [":5", "GGShadowService"]),
    "bad-name": (HEAD + '[clients."a b"]\n', ["group.toml:5", "a b"]),
    "unknown-source": (HEAD + F + ROW.format("g", "a", "f"), [":9", "source", "'g'", "it has: f"]),
    "unknown-target": (HEAD + F + ROW.format("f", "a", "clod"), [":11", "target", "cloud"]),
    "bad-filter": (HEAD + F + ROW.format("f", "a/#/b", "cloud"), [":10", "subject", "#"]),
    "bad-handler": (HEAD + F.replace("f.handler", "handler"), [":7", "handler", "MODULE.FUNCTION"]),
}


@pytest.mark.parametrize("case", GROUPS)
def test_a_wrong_group_file_is_told_by_file_and_line(project, refused, case):
    text, parts = GROUPS[case]
    data = text if isinstance(text, bytes) else text.encode()
    (project / "group.toml").write_bytes(data)
    says(refused(CONFIG, "run", project), str(project), *parts)
    assert not (project / ".greengrass").exists()


def test_all_problems_of_a_group_file_are_told_at_once(project, refused):
    (project / "group.toml").write_text(
        HEAD + F + 'pined = true\ntimeout_s = "3"\nmemory_kib = 0\n'
    )
    says(refused(CONFIG, "run", project), "pined", "timeout_s", "memory_kib")


def test_a_path_that_is_not_there_is_told_with_what_is_near(project, refused):
    says(refused(CONFIG, "run", project / "grup.toml"), "grup.toml", "group.toml")


# --- code -----------------------------------------------------------------------------------------


def write_zip(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)


def slip(path):
    write_zip(path, [("f.py", CODE), ("../../evil.py", "")])


def absolute(path):
    write_zip(path, [("f.py", CODE), ("/tmp/evil.py", "")])


def link(path):
    info = zipfile.ZipInfo("evil")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    write_zip(path, [("f.py", CODE), (info, "/etc/passwd")])


def bomb(path):
    write_zip(path, [("f.py", CODE), ("zeros", bytes(300_000_000))])


def truncated(path):
    write_zip(path, [("f.py", CODE), ("data", os.urandom(10_000))])
    path.write_bytes(path.read_bytes()[:-500])


def torn(path):
    write_zip(path, [("f.py", CODE), ("data", os.urandom(10_000))])
    data = bytearray(path.read_bytes())
    data[1000:1100] = bytes(100)
    path.write_bytes(data)


def text_file(path):
    path.write_text("this is no zip\n")


def program(path):
    shutil.copy(os.path.realpath("/bin/true"), path)


ZIPS = {
    slip: ["../../evil.py"],
    absolute: ["/tmp/evil.py"],
    link: ["evil", "link"],
    bomb: ["300000046 bytes; 262144000 is the limit"],
    truncated: ["whole zip", "build it again"],
    torn: ["data"],
    text_file: ["neither a folder nor a whole zip"],
    program: ["is an executable; executables as code are not supported yet"],
}


@pytest.mark.parametrize("make", ZIPS, ids=[make.__name__ for make in ZIPS])
def test_a_bad_zip_is_refused_by_its_entry_before_anything_is_written(project, refused, make):
    make(project / "function.zip")
    (project / "group.toml").write_text(group_text({"f": {"code": "function.zip"}}))
    says(refused(PACKAGE, "run", project), "function.zip", *ZIPS[make])
    assert [] == list((project / ".greengrass/ggc/deployment/lambda").iterdir())
    assert not (project / ".greengrass" / "evil.py").exists()


@pytest.mark.parametrize(
    ("handler", "said"),
    [("mian.handler", "did you mean 'main'?"), ("main.hanlder", "did you mean 'handler'?")],
)
def test_a_handler_that_is_not_in_the_zip_is_told_with_the_nearest(tmp_path, handler, said):
    write_zip(tmp_path / "function.zip", [("main.py", CODE)])
    with RunningCore(tmp_path / "function.zip", "--handler", handler) as core:
        record = core.log("function", f"Failed to import handler function {handler!r}")
        assert "FATAL" == record["level"]
        assert said in record["message"]


def test_bundled_without_a_bundled_sdk_says_what_to_set(project, refused):
    (project / "group.toml").write_text(group_text({"f": {"sdk": "bundled"}}))
    says(refused(PACKAGE, "run", project), "no greengrasssdk/", 'sdk = "ours"')


def test_code_that_cannot_be_read_is_told(project, refused):
    (project / "code").chmod(0)
    try:
        says(refused(PACKAGE, "run", project), str(project / "code"), "cannot be read")
    finally:
        (project / "code").chmod(0o755)


# --- config.json ----------------------------------------------------------------------------------

CONFIGS: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["config.json"]),
    "truncated": ('{"coreThing": {"thingArn": "arn', ["config.json"]),
    "not-utf-8": (b'{"coreThing": "\xff"}', ["config.json"]),
    "a-list": ("[]", ["config.json"]),
    "comment": ('{} // "', ["config.json"]),
    "doubled": ('{"runtime": {}, "runtime": {}}', ["config.json", "runtime"]),
    "wrong-type": ('{"runtime": {"maxWorkItemCount": "many"}}', ["maxWorkItemCount"]),
    "wrong-choice": (
        '{"runtime": {"allowFunctionsToRunAsRoot": true}}',
        ["allowFunctionsToRunAsRoot", "yes"],
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_corrupt_config_json_is_told_by_its_place(project, refused, case):
    text, parts = CONFIGS[case]
    folder = project / ".greengrass" / "config"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    says(refused(CONFIG, "run", project), *parts)
    assert not (project / ".greengrass" / "ggc").exists()


# --- the root -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_root_that_cannot_be_used_is_told_with_its_owner(project, refused, tmp_path, mode):
    root = tmp_path / "root"
    root.mkdir(mode=mode)
    text = refused(CONFIG, "run", project, "--root", root)
    place = f"cannot write to root {root}" if mode else f"{root}/config/config.json: cannot be read"
    says(text, place, "choose another root")


def test_a_folder_of_the_root_that_cannot_be_written_is_told(project, refused, tmp_path):
    with RunningCore(project, "--root", str(tmp_path / "root")):
        pass
    state = tmp_path / "root" / "ggc" / "var" / "state"
    state.chmod(0o500)
    says(
        refused(CONFIG, "run", project, "--root", tmp_path / "root"),
        f"cannot write to folder {state}",
    )


def test_a_file_in_place_of_the_root_is_told(project, refused, tmp_path):
    (tmp_path / "root").write_text("a file")
    text = refused(CONFIG, "run", project, "--root", tmp_path / "root")
    says(text, f"root {tmp_path / 'root'} is not a folder; move the file away")
    assert "a file" == (tmp_path / "root").read_text()


def test_a_folder_in_place_of_the_socket_is_told(project, refused, tmp_path):
    (tmp_path / "root" / "ggc" / "ipc.sock").mkdir(parents=True)
    text = refused(CONFIG, "run", project, "--root", tmp_path / "root")
    says(text, f"cannot listen at {tmp_path / 'root' / 'ggc' / 'ipc.sock'}")


def test_a_root_whose_name_is_too_long_is_told(project, refused, tmp_path):
    says(refused(CONFIG, "run", project, "--root", tmp_path / ("x" * 256)), "File name too long")


def test_a_second_core_on_a_root_is_refused_and_the_first_goes_on(project, refused):
    with RunningCore(project) as core, Client(root=core.root, name="tester") as client:
        assert {"a": 1} == client.invoke("f", {"a": 1}).json()
        pid = core.status()["functions"][0]["workers"][0]["pid"]
        text = refused(CONFIG, "run", project)
        says(text, f"root {core.root} is in use by the core with pid {core.process.pid}")
        assert {"a": 2} == client.invoke("f", {"a": 2}).json()
        assert pid == core.status()["functions"][0]["workers"][0]["pid"]


def test_a_broken_second_start_does_not_touch_what_the_first_deployed(project, refused):
    write_zip(project / "function.zip", [("f.py", CODE)])
    (project / "group.toml").write_text(group_text({"f": {"code": "function.zip"}}))
    with RunningCore(project) as core:
        bomb(project / "function.zip")
        refused(CONFIG, "run", project)
        assert b'{"a": 1}\n' == core.command("invoke", "f", '{"a": 1}').stdout


def test_a_stranger_on_the_socket_does_not_disturb_the_core(project):
    """Bytes that are no frame, a hello that is none, and connections that say nothing."""
    with RunningCore(project) as core:
        folder = os.open(core.root / "ggc", os.O_PATH)
        address = f"/proc/self/fd/{folder}/ipc.sock"
        try:
            for data in (
                b"GET / HTTP/1.1\r\nHost: core\r\n\r\n",
                bytes(24),
                b"\xff" * 100_000,
                b"",
            ):
                with socket.socket(socket.AF_UNIX) as stranger:
                    stranger.connect(address)
                    stranger.settimeout(20)
                    if data:
                        try:
                            stranger.sendall(data)
                            assert b"" == stranger.recv(1)
                        except (ConnectionResetError, BrokenPipeError):
                            pass  # cut off, as it should be
        finally:
            os.close(folder)
        assert b"{}\n" == core.command("invoke", "f").stdout


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["publish", "a/#", "x"], ["a/#"]),
        (["publish", "", "x"], ["topic"]),
        (["publish", "a" * 257, "x"], ["256"]),
        (["publish", "a", "-"], ["131073", "131072"]),
        (["publish", "a", "x", "--as", "nobody"], ["nobody"]),
        (["invoke", "nobody"], ["nobody"]),
        (["invoke", "f:2"], ["f:2"]),
        (["invoke", "f", "--client-context", "[]"], ["--client-context"]),
        (["logs", "nobody"], ["nobody"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_wrong_command_is_told_and_the_core_goes_on(project, arguments, parts):
    with RunningCore(project) as core:
        done = core.command(*arguments, status=None, payload=b"x" * 131073)
        assert done.returncode not in (0, 99)
        told = done.stderr.decode()
        assert "Traceback" not in told
        says(told, *parts)
        assert b"{}\n" == core.command("invoke", "f").stdout


def test_a_command_without_a_core_says_how_to_start_one(refused, tmp_path):
    says(refused(UNAVAILABLE, "status"), "no core of yours is running", "greengrass run")
    says(refused(UNAVAILABLE, "status", "--root", tmp_path), f"no core is running at {tmp_path}")


# --- the service ----------------------------------------------------------------------------------


def test_the_service_says_that_its_group_file_is_missing(refused, tmp_path):
    text = refused(CONFIG, "start", "--root", tmp_path / "root", program=GREENGRASSD)
    says(text, "ggc/deployment/group/group.toml: no group file")


def test_the_service_says_what_is_wrong_with_its_group_file(refused, tmp_path):
    group = tmp_path / "root" / "ggc" / "deployment" / "group"
    group.mkdir(parents=True)
    (group / "group.toml").write_text(HEAD + "[functions.f\n")
    text = refused(CONFIG, "start", "--root", tmp_path / "root", program=GREENGRASSD)
    says(text, "group.toml:5")
