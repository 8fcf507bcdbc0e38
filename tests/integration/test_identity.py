# SPDX-License-Identifier: Apache-2.0
"""
As whom functions run: the service's `ggc_user`, a function's `run_as`, and root only if allowed.

Ref: Greengrass V1 guide, "Set the default access identity", "Run a Lambda function as root"
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess

import pytest
from leftovers import eventually, has_ended, tree
from projects import write_project
from running_core import GREENGRASS, GREENGRASSD, RunningCore, environment

pytestmark = [pytest.mark.needs_core, pytest.mark.needs_root, pytest.mark.timeout(90)]

UID, GID = 54321, 54322  # of nobody on this host

# Only modules that every worker has: the interpreter itself may lie where this user cannot read.
CODE = """
    import os
    import signal
    from greengrass_sdk import Client

    print("imported by", os.getuid())


    def attempt(action, *arguments):
        try:
            return action(*arguments)
        except OSError as error:
            return type(error).__name__


    def handler(event, context):
        print("called by", os.getuid())
        os.write(1, b"raw output\\n")
        Client().publish("who", os.getuid())
        return {
            "uid": os.getresuid(),
            "gid": os.getresgid(),
            "groups": os.getgroups(),
            "home": os.environ["HOME"],
            "user": os.environ.get("USER"),
            "cwd": os.getcwd(),
            "core": attempt(os.listdir, f"/proc/{event['core']}/fd"),
            "kill": attempt(os.kill, event["core"], signal.SIGCONT),
            "become root": attempt(os.setuid, 0),
            "token": attempt(os.open, event["token"], os.O_RDONLY),
        }
"""
ALLOWED = '{"runtime": {"allowFunctionsToRunAsRoot": "yes"}}'
FORBIDDEN = '{"runtime": {"allowFunctionsToRunAsRoot": "no"}}'
REFUSAL = (
    "lambda(s) [arn:aws:lambda:us-east-1:000000000000:function:f:1] are configured to run as root "
    "while Greengrass is not configured to run lambdas with root permissions"
)


@pytest.fixture
def folder(tmp_path):
    """A folder that other users can reach."""
    for parent in (tmp_path, *tmp_path.parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o011)  # pytest's folders are for one user
    return tmp_path


def project(folder, **keys):
    return write_project(
        folder, {"f": CODE}, {"f": {"timeout_s": 20, **keys}}, rows=[("f", "#", "cloud")]
    )


def ask(pid, root):
    return json.dumps({"core": pid, "token": str(root / "ggc" / "var" / "state" / "tool.token")})


def answer(core):
    return json.loads(core.command("invoke", "f", ask(core.process.pid, core.root)).stdout)


def test_run_as_gives_a_function_its_ids_and_nothing_else(folder):
    with RunningCore(project(folder / "p", run_as={"uid": UID, "gid": GID})) as core:
        told = answer(core)
        assert str(UID) == core.message("who")["payload"]
        for text in (f"imported by {UID}", f"called by {UID}", "raw output"):
            core.log("f", text)
        (worker,) = [process for process in tree(core.process.pid) if process.name() == "f"]
        assert (UID,) * 3 == tuple(worker.uids())
    assert ([UID] * 3, [GID] * 3, [GID]) == (told["uid"], told["gid"], told["groups"])
    assert ("/", None, str(folder / "p" / "code")) == (told["home"], told["user"], told["cwd"])
    denied = [told[key] for key in ("core", "kill", "become root", "token")]
    assert ["PermissionError"] * 4 == denied


def test_one_of_the_two_ids_leaves_the_other_as_it_is(folder):
    with RunningCore(project(folder / "p", run_as={"uid": UID})) as core:
        told = answer(core)
    assert ([UID] * 3, [os.getgid()] * 3) == (told["uid"], told["gid"])


def test_run_runs_functions_as_who_started_it_root_included(folder):
    with RunningCore(project(folder / "p")) as core:
        assert [0, 0, 0] == answer(core)["uid"]


def test_functions_of_different_users_do_not_reach_each_other(folder):
    """The boundary between functions is the uid."""
    code = """
        import os, signal


        def handler(event, context):
            if "other" not in event:
                return os.getpid()
            try:
                os.kill(event["other"], signal.SIGKILL)
            except PermissionError:
                return "denied"
    """
    path = write_project(
        folder / "p",
        {"f": code},
        {
            "first": {"handler": "f.handler", "run_as": {"uid": UID, "gid": GID}},
            "second": {"handler": "f.handler", "run_as": {"uid": UID + 1, "gid": GID}},
        },
    )
    with RunningCore(path) as core:
        pid = int(core.command("invoke", "first").stdout)
        said = core.command("invoke", "second", json.dumps({"other": pid})).stdout
        assert b'"denied"\n' == said
        assert pid == int(core.command("invoke", "first").stdout)


def test_a_function_of_another_user_ends_with_its_core(folder):
    """The parent-death signal is reset by a change of user; it must be there all the same."""
    path = project(folder / "p", run_as={"uid": UID, "gid": GID}, pinned=True)
    with RunningCore(path, status=-9) as core:
        core.log("f", f"imported by {UID}")
        (worker,) = [process for process in tree(core.process.pid) if process.name() == "f"]
        core.process.kill()
        eventually(lambda: has_ended(worker.pid), "the end of the worker", 1.0)


def test_a_function_of_another_user_ends_with_its_zygote(folder):
    path = project(folder / "p", run_as={"uid": UID, "gid": GID}, pinned=True)
    with RunningCore(path) as core:
        core.log("f", f"imported by {UID}")
        (worker,) = [process for process in tree(core.process.pid) if process.name() == "f"]
        (zygote,) = core.status()["zygotes"]
        os.kill(zygote["pid"], 9)
        eventually(lambda: has_ended(worker.pid), "the end of the worker", 1.0)


def test_code_that_its_user_cannot_read_is_told(folder):
    path = project(folder / "p", run_as={"uid": UID, "gid": GID})
    (path / "code").chmod(0o700)
    with RunningCore(path) as core:
        done = core.command("invoke", "f", status=1)
        assert "Permission denied" in done.stderr.decode()
        assert str(path / "code") in done.stderr.decode()


# --- root -----------------------------------------------------------------------------------------


@pytest.fixture
def service(folder):
    """Run `greengrassd ACTION` on a root of its own."""
    root = folder / "greengrass"
    env = environment(folder / "run")

    def call(*arguments, program=GREENGRASSD):
        return subprocess.run(
            [*program, *arguments, "--root", str(root)],
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    call.root = root  # type: ignore[attr-defined]  # for the tests
    yield call
    call("stop")


def deploy(service, config=None, **keys):
    project(service.root / "ggc" / "deployment" / "group", **keys)
    if config is not None:
        (service.root / "config").mkdir()
        (service.root / "config" / "config.json").write_text(config)


@pytest.mark.parametrize("config", [None, FORBIDDEN])
@pytest.mark.parametrize("run_as", [{"uid": 0, "gid": 0}, {"uid": 0}, {"gid": 0}])
def test_an_explicit_root_is_refused_in_the_words_of_v1(service, config, run_as):
    """Without `allowFunctionsToRunAsRoot` the deployment fails, and runtime.log says why."""
    deploy(service, config, run_as=run_as)
    done = service("start")
    assert 3 == done.returncode, done.stdout
    assert REFUSAL in done.stderr
    assert "allowFunctionsToRunAsRoot" in done.stderr
    assert "Traceback" not in done.stderr
    assert REFUSAL in (service.root / "ggc" / "var" / "log" / "system" / "runtime.log").read_text()
    assert "Greengrass is not running\n" == service("stop").stdout


def test_greengrass_run_refuses_an_explicit_root_as_well(folder):
    path = project(folder / "p", run_as={"uid": 0, "gid": 0})
    with pytest.raises(AssertionError, match="are configured to run as root"):
        RunningCore(path).__enter__()


def test_an_explicit_root_runs_as_root_where_it_is_allowed(service):
    deploy(service, ALLOWED, run_as={"uid": 0, "gid": 0})
    assert 0 == service("start").returncode
    done = service("invoke", "f", ask(1, service.root), program=GREENGRASS)
    assert [0, 0, 0] == json.loads(done.stdout)["uid"]


# --- ggc_user -------------------------------------------------------------------------------------


def account(lookup, name):
    try:
        return lookup(name)
    except KeyError:
        return None


def test_the_service_runs_functions_as_ggc_user(service):
    user, group = account(pwd.getpwnam, "ggc_user"), account(grp.getgrnam, "ggc_group")
    if user is None or group is None:
        pytest.skip("needs the accounts ggc_user and ggc_group")
    deploy(service)
    assert 0 == service("start").returncode
    done = service("invoke", "f", ask(1, service.root), program=GREENGRASS)
    told = json.loads(done.stdout)
    assert [user.pw_uid] * 3 == told["uid"]
    assert [group.gr_gid] * 3 == told["gid"]
    assert (user.pw_dir, "ggc_user") == (told["home"], told["user"])
    assert ["PermissionError"] * 4 == [
        told[key] for key in ("core", "kill", "become root", "token")
    ]


# The program runs with account databases that lack them.
NOBODY_THERE = """
import grp, pwd, sys

def missing(module, name, lacks):
    found = getattr(module, name)
    def lookup(wanted):
        if wanted == lacks:
            raise KeyError(wanted)
        return found(wanted)
    setattr(module, name, lookup)

missing(pwd, "getpwnam", sys.argv.pop(1))
missing(grp, "getgrnam", sys.argv.pop(1))
from greengrass_sdk.cli.greengrassd import main
exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("user", "group", "text"),
    [
        (
            "ggc_user",
            "-",
            "could not find UID based on user name, userName: ggc_user: user: unknown user",
        ),
        (
            "-",
            "ggc_group",
            "could not find GID based on group name, groupName: ggc_group: group: unknown group",
        ),
    ],
)
def test_a_host_without_ggc_user_or_ggc_group_is_told_in_the_words_of_v1(
    service, user, group, text
):
    deploy(service)
    lacking = [GREENGRASSD[0], "-P", "-c", NOBODY_THERE, user, group]
    done = service("start", "--foreground", program=lacking)
    assert 3 == done.returncode, done.stdout
    assert text in done.stderr
    assert "Traceback" not in done.stderr
