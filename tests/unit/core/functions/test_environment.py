# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.core.functions.environment: what a function finds around it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from greengrass_sdk.core.functions.environment import (
    INHERITED,
    build,
    dropin_folder,
    is_reserved,
    sys_path,
)
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.model.coreconfig import CoreConfig, CoreThing, Crypto, NetworkProxy, Principal
from greengrass_sdk.model.function import Function
from greengrass_sdk.model.group import Group, Logger, Streams

ARN = "arn:aws:lambda:eu-home-1:123456789012:function:hello:3"
LOCAL = "localhost,127.0.0.1"


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


def make_group(function: Function, **options) -> Group:
    return Group(
        name="greenhouse",
        core="greenhouse-core",
        region="eu-home-1",
        account="123456789012",
        functions={function.name: function},
        **options,
    )


def environment(layout, own=None, *, base_env=None, config=None, uid=None, group=None, **options):
    function = Function(
        name="hello",
        code=layout.root / "code.zip",
        handler="hello.handler",
        version="3",
        environment=own or {},
        **options,
    )
    whole = make_group(function, **(group or {}))
    return build(
        whole.functions["hello"],
        whole,
        layout,
        layout.root / "code",
        token="secret-token",
        base_env=base_env or {},
        config=config,
        uid=uid,
    )


def config(layout, proxy=None, crypto=None, **thing) -> CoreConfig:
    return CoreConfig(
        path=layout.config_file,
        crypto=crypto,
        core_thing=CoreThing(
            thing_arn="arn:aws:iot:eu-home-1:123456789012:thing/greenhouse-core",
            thing_name="greenhouse-core",
            region="eu-home-1",
            account="123456789012",
            network_proxy=proxy,
            **thing,
        ),
    )


def test_everything_a_function_gets_without_asking(layout):
    expected = {
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret-token",
        "AWS_DEFAULT_REGION": "eu-home-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_GG_RESOURCE_PREFIX": str(layout.writable / "deployment" / "resources" / ARN),
        "AWS_GREENGRASS_GROUP_NAME": "greenhouse",
        "AWS_IOT_THING_ARN": "arn:aws:iot:eu-home-1:123456789012:thing/greenhouse-core",
        "AWS_IOT_THING_NAME": "greenhouse-core",
        "AWS_LAMBDA_FUNCTION_NAME": "hello",
        "AWS_LAMBDA_FUNCTION_VERSION": "3",
        "AWS_REGION": "eu-home-1",
        "ENCODING_TYPE": "json",
        "GGC_MAX_INTERFACE_VERSION": "1.5",
        "GGC_VERSION": "1.11.6",
        "GG_DAEMON_PORT": "8000",
        "GROUP_ID": "greenhouse",
        "LAMBDA_TASK_ROOT": str(layout.root / "code"),
        "LANG": "C.UTF-8",
        "LOG_LEVEL": "INFO",
        "MY_FUNCTION_ARN": ARN,
        "NO_PROXY": LOCAL,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "ROUTER_FUNCTION_ARN": "arn:aws:lambda:::function:GGRouter",
        "SECRETS_MANAGER_FUNCTION_ARN": "arn:aws:lambda:::function:GGSecretManager:1",
        "SHADOW_FUNCTION_ARN": "arn:aws:lambda:::function:GGShadowService",
        "no_proxy": LOCAL,
    }

    assert expected == environment(layout)


def test_services_that_do_not_exist_are_not_named(layout):
    found = environment(layout)

    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" not in found
    assert not [name for name in found if name.startswith("_GG_LOG_FD_")]


def test_the_cores_own_environment_stays_its_own(layout):
    base = {
        "AWS_SECRET_ACCESS_KEY": "precious",
        "PYTHONPATH": "/somewhere",
        "LANG": "de_DE.UTF-8",
        "PATH": "/opt/bin:/bin",
        "HOME": "/home/me",
        "TZ": "Europe/Berlin",
        "GREENGRASS_SDK_NATIVE": "python",
    }

    found = environment(layout, base_env=base)

    assert {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH"}.isdisjoint(found)
    assert "C.UTF-8" == found["LANG"]
    for name in ("PATH", "HOME", "TZ", "GREENGRASS_SDK_NATIVE"):
        assert base[name] == found[name]


def test_the_home_is_that_of_the_user_it_runs_as(layout):
    me = pwd.getpwuid(os.getuid())

    found = environment(layout, base_env={"HOME": "/x", "USER": "x"}, uid=me.pw_uid)

    assert (me.pw_dir, me.pw_name, me.pw_name) == (found["HOME"], found["USER"], found["LOGNAME"])


def test_a_user_id_without_a_user_gets_no_home_of_others(layout):
    found = environment(layout, base_env={"HOME": "/root", "USER": "root"}, uid=3_999_999_999)

    assert "/" == found["HOME"]
    assert "USER" not in found


def test_settings_of_the_group_show(layout):
    found = environment(
        layout,
        encoding="binary",
        group={
            "loggers": [Logger(component="Lambda", level="DEBUG")],
            "streams": Streams(enabled=True, port=9088),
        },
    )

    assert "binary" == found["ENCODING_TYPE"]
    assert "DEBUG" == found["LOG_LEVEL"]
    assert "9088" == found["STREAM_MANAGER_SERVER_PORT"]


@pytest.mark.parametrize(
    "streams", [Streams(), Streams(enabled=True), Streams(enabled=True, port=0), Streams(port=9088)]
)
def test_the_usual_port_of_streams_needs_no_variable(layout, streams):
    assert "STREAM_MANAGER_SERVER_PORT" not in environment(layout, group={"streams": streams})


# --- the function's own variables


def test_a_function_may_replace_what_does_not_identify_it(layout):
    own = {
        "AWS_REGION": "us-west-2",
        "LOG_LEVEL": "TRACE",
        "LANG": "C",
        "PATH": "/mine",
        "TARGET": "21",
        "PYTHONPATH": "lib:/opt/lib",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/mine",
    }

    found = environment(layout, own, base_env={"PATH": "/bin"})

    assert own == {name: found[name] for name in own}


@pytest.mark.parametrize(
    "name",
    ["MY_FUNCTION_ARN", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "GG_DAEMON_PORT", "ENCODING_TYPE"],
)
def test_who_it_is_a_function_may_not_replace(layout, caplog, name):
    found = environment(layout, {name: "mine"})

    assert is_reserved(name)
    assert environment(layout)[name] == found[name]
    assert f"function 'hello': variable {name} is the core's and cannot be set" in caplog.text


def test_the_cores_own_prefix_is_reserved(layout):
    assert "_GG_LOG_FD_INFO" not in environment(layout, {"_GG_LOG_FD_INFO": "1"})
    assert not is_reserved("GG_MINE")


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "PYTHONOPTIMIZE"])
def test_what_comes_too_late_for_a_forked_process_is_set_with_a_warning(layout, caplog, name):
    assert "/mine" == environment(layout, {name: "/mine"})[name]
    assert f"function 'hello': variable {name} is read when a process starts" in caplog.text


# --- config.json


def test_a_configuration_without_a_thing_changes_nothing(layout):
    empty = CoreConfig(path=layout.config_file)

    assert environment(layout) == environment(layout, config=empty)


def test_endpoints_of_the_configuration(layout):
    thing = config(layout, iot_host="iot.example", gg_host="gg.example", gg_daemon_port=8001)

    found = environment(layout, config=thing)

    assert {
        "AWS_GG_HTTP_ENDPOINT": "gg.example:8443",
        "AWS_GG_MQTT_ENDPOINT": "gg.example:8883",
        "AWS_IOT_HTTP_ENDPOINT": "iot.example:8443",
        "AWS_IOT_MQTT_ENDPOINT": "iot.example:8883",
        "GG_DAEMON_PORT": "8001",
        "GG_MQTT_KEEP_ALIVE": "600",
    }.items() <= found.items()


def test_the_root_certificate_is_where_the_configuration_says(layout):
    crypto = Crypto(
        ca_path=Path("/etc/ca.pem"), iot_certificate=Principal(private_key_uri="file:///k")
    )
    thing = {"ca_path": layout.certs_dir / "thing.pem"}
    assert "GG_ROOT_CA_PATH" not in environment(layout)

    layout.certs_dir.mkdir()
    (layout.certs_dir / "root.ca.pem").touch()
    found = [
        environment(layout)["GG_ROOT_CA_PATH"],
        environment(layout, config=config(layout, **thing))["GG_ROOT_CA_PATH"],
        environment(layout, config=config(layout, crypto=crypto, **thing))["GG_ROOT_CA_PATH"],
    ]

    certs = layout.certs_dir
    assert [str(certs / "root.ca.pem"), str(certs / "thing.pem"), "/etc/ca.pem"] == found


# --- proxies


def proxies(found):
    return {name: value for name, value in found.items() if name.lower().endswith("_proxy")}


PROXY = "http://u:p@proxy:3128"
PROXIED = {"http_proxy": PROXY, "HTTP_PROXY": PROXY, "https_proxy": PROXY, "HTTPS_PROXY": PROXY}


def test_a_proxy_of_the_configuration_is_for_functions_too(layout):
    proxy = NetworkProxy(url="http://proxy:3128", username="u", password="p")

    found = proxies(environment(layout, config=config(layout, proxy)))

    assert {**PROXIED, "no_proxy": LOCAL, "NO_PROXY": LOCAL} == found


def test_hosts_without_proxy_are_added_to_this_one(layout):
    proxy = NetworkProxy(url=PROXY, no_proxy_addresses=("10.0.0.1", "localhost"))

    found = environment(layout, config=config(layout, proxy))

    assert LOCAL + ",10.0.0.1" == found["no_proxy"] == found["NO_PROXY"]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "Http_Proxy"])
def test_a_function_that_sets_a_proxy_keeps_it_in_any_spelling(layout, name):
    proxy = NetworkProxy(url=PROXY)

    found = proxies(environment(layout, {name: "http://mine"}, config=config(layout, proxy)))

    assert "http://mine" == found.pop(name)
    assert {
        "https_proxy": PROXY,
        "HTTPS_PROXY": PROXY,
        "no_proxy": LOCAL,
        "NO_PROXY": LOCAL,
    } == found


def test_a_function_may_refuse_the_proxy(layout):
    own = {"http_proxy": "", "https_proxy": ""}

    found = environment(layout, own, config=config(layout, NetworkProxy(url=PROXY)))

    assert ("", "") == (found["http_proxy"], found["https_proxy"])
    assert "HTTP_PROXY" not in found


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"NO_PROXY": "a, b"}, LOCAL + ",a,b"),
        ({"no_proxy": "127.0.0.1,a"}, LOCAL + ",a"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, LOCAL + ",a,b"),
        ({"no_proxy": ""}, LOCAL),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_a_functions_own_list_of_hosts_is_kept_beside_this_one(layout, own, expected):
    proxy = NetworkProxy(url=PROXY, no_proxy_addresses=("10.0.0.1",))

    found = environment(layout, own, config=config(layout, proxy))

    assert expected == found["no_proxy"] == found["NO_PROXY"]


def test_without_a_configured_proxy_the_cores_own_is_handed_on(layout):
    base = {"HTTP_PROXY": "http://upper", "https_proxy": PROXY, "no_proxy": "corp"}

    found = proxies(environment(layout, base_env=base))

    assert {
        "http_proxy": "http://upper",
        "HTTP_PROXY": "http://upper",
        "https_proxy": PROXY,
        "HTTPS_PROXY": PROXY,
        "no_proxy": LOCAL + ",corp",
        "NO_PROXY": LOCAL + ",corp",
    } == found


def test_the_configured_proxy_wins_over_the_cores_own(layout):
    base = {"http_proxy": "http://other", "no_proxy": "corp"}

    found = environment(layout, base_env=base, config=config(layout, NetworkProxy(url=PROXY)))

    assert PROXY == found["http_proxy"]
    assert LOCAL == found["no_proxy"]


# --- imports


def make(sdk):
    return Function(name="hello", code=Path("/code"), handler="hello.handler", sdk=sdk)


def test_our_sdk_comes_before_the_one_in_the_code():
    assert [dropin_folder(), "/code"] == sys_path(make("ours"), Path("/code"))


def test_a_bundled_sdk_comes_before_ours():
    assert ["/code", dropin_folder()] == sys_path(make("bundled"), Path("/code"))


def test_the_drop_in_is_a_folder_of_this_package():
    assert Path(dropin_folder()).name == "dropin"
    assert Path(dropin_folder()).parent.name == "greengrass_sdk"


# --- the manual


def test_the_manual_names_every_variable(layout):
    page = (Path(__file__).parents[4] / "docs" / "reference" / "environment.md").read_text()
    thing = config(layout, NetworkProxy(url=PROXY), iot_host="i", gg_host="g", ca_path=Path("/c"))
    base = dict.fromkeys(INHERITED, "x")
    streams = {"streams": Streams(enabled=True, port=9088)}

    found = environment(layout, base_env=base, config=thing, group=streams)

    upper = [name for name in found if name not in {"HTTP_PROXY", "HTTPS_PROXY"}]
    assert [] == [name for name in upper if f"`{name}`" not in page]
