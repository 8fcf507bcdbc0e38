# SPDX-License-Identifier: Apache-2.0
import pytest

from greengrass_sdk.core.config import load_config
from greengrass_sdk.core.functions import fleet as module
from greengrass_sdk.core.functions.fleet import Fleet
from greengrass_sdk.core.functions.identity import Identity
from greengrass_sdk.core.functions.zygotes import Zygotes
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.telemetry.logs import Logs
from greengrass_sdk.errors import ConfigError, PackageError
from greengrass_sdk.model.group import parse_group

HEAD = 'schema = 1\n[group]\nname = "g"\ncore = "c"\nstrict = true\n'
FUNCTION = '[functions.f]\ncode = "code"\nhandler = "f.handler"\nversion = "2"\n'
ALLOWED = '{"runtime": {"allowFunctionsToRunAsRoot": "yes"}}'


@pytest.fixture
def make(tmp_path):
    """Return a fleet for a group; the code folder exists."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "f.py").write_text("def handler(event, context): pass\n")
    opened = []

    def build(text=FUNCTION, config=None):
        group = parse_group(HEAD + text, base=tmp_path, file="group.toml")
        layout = Layout(tmp_path / "root")
        layout.create()
        if config is not None:
            layout.config_file.write_text(config)
        logs = Logs(layout, group.loggers)
        opened.append(logs)
        zygotes = Zygotes(lambda _: None, lambda _: None)
        loaded = load_config(layout.config_file)
        return Fleet(group, layout, loaded, logs, zygotes, bytes(range(8)), (1024, 4096))

    yield build
    for logs in opened:
        logs.close()


def numbers(fleet):
    return {function.arn: n for n, function in enumerate(fleet.group.functions.values(), start=4)}


def request_of(fleet, *, as_current_user=True):
    [function] = fleet.prepare(numbers(fleet), as_current_user=as_current_user)
    return function.request(17)


def test_a_spawn_request_says_everything_about_the_function(make, tmp_path):
    fleet = make()
    request = request_of(fleet)
    assert (17, "f", "f.handler", "2") == (
        request.worker,
        request.name,
        request.handler,
        request.version,
    )
    assert str(tmp_path / "code") == request.code == request.cwd
    assert 4 == request.endpoint
    assert bytes(range(8)).hex() == request.boot
    assert request.strict
    assert {"RLIMIT_NOFILE": (1024, 4096)} == request.rlimits
    assert request.address == request.arn == request.environment["MY_FUNCTION_ARN"]
    assert [4] == list(fleet.logs)


def test_the_code_of_a_function_must_be_usable(make, tmp_path):
    fleet = make()
    (tmp_path / "code" / "f.py").unlink()
    (tmp_path / "code").rmdir()
    with pytest.raises(PackageError):
        request_of(fleet)


def test_root_is_refused_without_the_permission_in_v1s_words(make):
    fleet = make(FUNCTION + "run_as = { uid = 0 }\n")
    text = (
        "are configured to run as root while Greengrass is not configured to run lambdas with "
        "root permissions"
    )
    with pytest.raises(ConfigError, match=text):
        request_of(fleet)


@pytest.mark.needs_root
def test_root_is_granted_with_the_permission(make, monkeypatch):
    monkeypatch.setattr(module, "default_identity", lambda: Identity(990, 991, (991,)))
    fleet = make(FUNCTION + "run_as = { uid = 0, gid = 0 }\n", ALLOWED)
    assert request_of(fleet, as_current_user=False).uid is None  # the core's own


@pytest.mark.needs_root
def test_the_service_runs_functions_as_ggc_user(make, monkeypatch):
    monkeypatch.setattr(module, "default_identity", lambda: Identity(990, 991, (991,)))
    request = request_of(make(), as_current_user=False)
    assert (990, 991, (991,)) == (request.uid, request.gid, request.groups)


def test_greengrass_run_runs_functions_as_whoever_started_it(make):
    request = request_of(make())
    assert (None, None, None) == (request.uid, request.gid, request.groups)
