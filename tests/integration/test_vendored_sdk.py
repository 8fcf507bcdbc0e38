# SPDX-License-Identifier: Apache-2.0
"""
Zips made for AWS's Greengrass: they bring packages of their own and run unmodified.

AWS's `greengrasssdk` is installed from the registry at test time, beside the handler, as the guide
says. With `sdk = "ours"` the drop-in answers to its name, with `sdk = "bundled"` the zip's copy.

Ref: Greengrass V1 guide, "Create a Lambda function deployment package"
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import textwrap

import pytest
from projects import write_project
from running_core import RunningCore

from greengrass_sdk import Client
from greengrass_sdk.errors import FunctionHandledError

pytestmark = [pytest.mark.needs_core, pytest.mark.needs_network, pytest.mark.timeout(180)]

WIFI = "arn:aws:secretsmanager:us-east-1:123456789012:secret:greengrass-wifi-abcdef"
HANDLER = """
    import base64
    import json
    import os

    import greengrasssdk

    iot = greengrasssdk.client("iot-data")
    functions = greengrasssdk.client("lambda")
    iot.publish(topic="out/import", payload=b"at import")


    def function_handler(event, context):
        return globals()[event.pop("do")](context, **event)


    def where(context):
        return [greengrasssdk.__file__, greengrasssdk.__version__, os.getcwd()]


    def publish(context, **arguments):
        if "binary" in arguments:
            arguments["payload"] = bytes(arguments.pop("binary"))
        return iot.publish(**arguments)


    def failing_publish(context, **arguments):
        try:
            iot.publish(**arguments)
        except Exception as error:
            return [type(error).__name__, isinstance(error, ValueError), str(error)]


    def invoke(context, name, custom=None, **arguments):
        parts = context.invoked_function_arn.split(":")
        arn = ":".join([*parts[:6], name])
        if custom is not None:
            arguments["ClientContext"] = base64.b64encode(json.dumps({"custom": custom}).encode())
        try:
            answer = functions.invoke(FunctionName=arn, **arguments)
        except Exception as error:
            return [type(error).__name__, str(error)]
        payload = answer["Payload"]
        if type(payload).__name__ == "StreamingBody":
            payload = payload.read()
        return [answer["FunctionError"], payload.decode()]


    def shadow(context, operation, **arguments):
        try:
            answer = getattr(iot, f"{operation}_thing_shadow")(**arguments)
        except Exception as error:
            return [type(error).__name__, str(error)]
        return [type(answer["payload"]).__name__, json.loads(answer["payload"])]


    def secret(context, **arguments):
        try:
            answer = greengrasssdk.client("secretsmanager").get_secret_value(**arguments)
        except Exception as error:
            return [type(error).__name__, str(error)]
        created = answer.pop("CreatedDate")
        return [type(created).__name__, created.tzinfo, answer]
"""
CALLEE = """
    import time
    from greengrass_sdk import Client

    client = Client()


    def handler(event, context):
        if event.get("raise"):
            raise ValueError("asked to")
        if event.get("hang"):
            time.sleep(60)
        custom = context.client_context and context.client_context.custom
        client.publish("callee/ran", {"event": event, "custom": custom})
        return {"event": event, "custom": custom}


    def hang(event, context):
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def zip_file(registry, tmp_path_factory):
    """Return the zip that a user of AWS's Greengrass would have deployed."""
    folder = tmp_path_factory.mktemp("package")
    install = ["install", "-q", "--no-deps", "--target", folder, "greengrasssdk==1.6.1"]
    subprocess.run([registry, *install], check=True, capture_output=True)
    (folder / "main.py").write_text(textwrap.dedent(HANDLER))
    return shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "function"), "zip", folder)


@pytest.fixture(scope="module", params=["ours", "bundled"])
def core(request, zip_file, tmp_path_factory):
    vendored = {
        "code": zip_file,
        "handler": "main.function_handler",
        "sdk": request.param,
        "timeout_s": 20,
        "secrets": ["wifi", "certificate"],
    }
    project = write_project(
        tmp_path_factory.mktemp(request.param),
        {"callee": CALLEE},
        {
            "vendored": vendored,
            "callee": {"timeout_s": 1},
            "full": {"handler": "callee.hang", "timeout_s": 300, "max_workers": 1}
            | {"queue_items": 1},
        },
        clients=["tester"],
        rows=[
            ("vendored", "out/#", "tester"),
            ("vendored", "both/#", "tester"),
            ("vendored", "both/#", "full"),
            ("callee", "callee/#", "tester"),
            ("GGShadowService", "$aws/things/+/shadow/update/delta", "tester"),
        ],
        **{"secrets.wifi": {"arn": WIFI}, "secrets.certificate": {}, "secrets.hidden": {}},
    )
    with RunningCore(project) as running:
        running.command("secret", "put", "wifi", payload=b"hunter1")
        running.command("secret", "put", "wifi", payload=b"hunter2")
        running.command("secret", "put", "certificate", "--binary", payload=b"\0\xff")
        running.command("secret", "put", "hidden", payload=b"x")
        yield running


@pytest.fixture
def is_ours(core):
    return core.root.parent.name.startswith("ours")


@pytest.fixture(scope="module")
def client(core):
    with Client(root=core.root, name="tester") as client:
        client.invoke("vendored", {"do": "where"})
        assert ("out/import", b"at import") == received(client)
        yield client


@pytest.fixture
def call(client):
    """Call the vendored function."""
    return lambda do, **event: client.invoke("vendored", {"do": do, **event}).json()


def received(client):
    message = client.receive(timeout_s=10)
    return message.topic, message.payload


def test_the_sdk_that_the_group_names_answers(is_ours, call):
    file, version, folder = call("where")
    assert "1.6.1" == version
    assert is_ours != file.startswith(folder)
    assert folder.endswith("function:vendored:1")


def test_it_publishes_text_and_bytes_with_and_without_qos(call, client):
    assert call("publish", topic="out/text", payload="grün", qos=0) is None
    assert ("out/text", "grün".encode()) == received(client)
    assert call("publish", topic="out/bytes", binary=[0, 255]) is None
    assert ("out/bytes", b"\x00\xff") == received(client)
    assert call("publish", topic="out/empty") is None
    assert ("out/empty", b"") == received(client)


@pytest.mark.parametrize("policy", ["", "BestEffort", "AllOrException"])
def test_it_publishes_with_each_policy(call, client, policy):
    assert call("publish", topic="out/policy", payload=policy, queueFullPolicy=policy) is None
    assert ("out/policy", policy.encode()) == received(client)


def test_all_or_exception_raises_where_best_effort_drops(core, is_ours, call, client):
    client.invoke_async("full")
    core.wait(lambda event: (event.get("function"), event.get("state")) == ("full", "running"))
    client.invoke_async("full")  # waits, and is all that may
    name, _, text = call(
        "failing_publish", topic="both/a", payload="x", queueFullPolicy="AllOrException"
    )
    assert ("QueueFullError" if is_ours else "InvocationException") == name
    assert text.startswith("Failed to invoke function due to ")
    assert "queue full" in text
    assert call("publish", topic="both/b", payload="y", queueFullPolicy="BestEffort") is None
    assert ("both/b", b"y") == received(client)  # and nothing of both/a


def test_it_refuses_what_aws_refused(call):
    assert ["ValueError", True, "Invalid value for queueFullPolicy: AllOrError"] == call(
        "failing_publish", topic="out/a", payload="x", queueFullPolicy="AllOrError"
    )
    assert [
        "ValueError",
        True,
        'Parameter "topic" is a required parameter but was not provided.',
    ] == call("failing_publish", payload="x")


def test_a_payload_over_the_limit_is_refused_by_its_size(call):
    name, _, text = call("failing_publish", topic="out/large", payload="x" * 131073)
    assert name in ("InvocationException", "LimitExceededError")
    assert "131073" in text


def test_it_invokes_with_a_client_context(call, client):
    error, result = call("invoke", name="callee", custom={"key": "value"}, Payload='{"a": 1}')
    assert ("", {"event": {"a": 1}, "custom": {"key": "value"}}) == (error, json.loads(result))
    assert "callee/ran" == received(client)[0]


def test_it_invokes_a_version(call, client):
    assert "" == call("invoke", name="callee:1", Payload="{}")[0]
    received(client)
    assert "" == call("invoke", name="callee", Qualifier="1", Payload="{}")[0]
    received(client)


def test_it_sends_an_event(call, client):
    assert ["", ""] == call("invoke", name="callee", InvocationType="Event", Payload='{"b": 2}')
    topic, payload = received(client)
    assert ("callee/ran", {"b": 2}) == (topic, json.loads(payload)["event"])


def test_a_function_that_raises_is_handled(call):
    error, result = call("invoke", name="callee", Payload='{"raise": 1}')
    assert ("Handled", "asked to") == (error, json.loads(result)["errorMessage"])


def test_a_function_that_hangs_is_unhandled(call):
    error, result = call("invoke", name="callee", Payload='{"hang": 1}')
    assert "Unhandled" == error
    assert json.loads(result)["errorMessage"].endswith("Task timed out after 1.00 seconds")


@pytest.mark.parametrize("name", ["nobody", "callee:2"])
def test_an_unknown_function_or_version_is_an_invocation_exception(is_ours, call, name):
    kind, text = call("invoke", name=name, Payload="{}")
    assert ("FunctionNotFoundError" if is_ours else "InvocationException") == kind
    assert text.startswith("Failed to invoke function due to ")
    assert name in text


def test_an_exception_of_the_sdk_is_handled_as_any_other(client):
    with pytest.raises(FunctionHandledError, match="ValueError"):
        client.invoke("vendored", {"do": "publish", "payload": "x"})


def test_it_keeps_shadows(call, client):
    request = json.dumps({"state": {"desired": {"a": 1}}, "clientToken": "c"})
    kind, answer = call("shadow", operation="update", thingName="T", payload=request)
    assert ("bytes", {"desired": {"a": 1}}, "c") == (kind, answer["state"], answer["clientToken"])
    topic, delta = received(client)
    assert ("$aws/things/T/shadow/update/delta", {"a": 1}) == (topic, json.loads(delta)["state"])
    kind, whole = call("shadow", operation="get", thingName="T")
    assert ("bytes", {"a": 1}) == (kind, whole["state"]["delta"])
    kind, gone = call("shadow", operation="delete", thingName="T")
    assert ("bytes", answer["version"]) == (kind, gone["version"])


@pytest.mark.parametrize(
    ("operation", "arguments", "code", "message"),
    [
        ("get", {"thingName": "none"}, 404, "No shadow exists with name: none"),
        ("delete", {"thingName": "none"}, 404, "No shadow exists with name: none"),
        ("update", {"thingName": "none", "payload": "no"}, 400, "Invalid JSON"),
        (
            "update",
            {"thingName": "none", "payload": '{"state": {}, "version": 3}'},
            409,
            "Version conflict",
        ),
    ],
)
def test_it_raises_what_the_shadow_service_refuses(call, operation, arguments, code, message):
    text = f'Request for shadow state returned error code {code} with message "{message}"'
    assert ["ShadowError", text] == call("shadow", operation=operation, **arguments)


@pytest.mark.parametrize("identifier", ["wifi", "greengrass-wifi", WIFI])
@pytest.mark.parametrize("stage", [{}, {"VersionStage": "AWSCURRENT"}, {"VersionId": None}])
def test_it_reads_secrets(call, identifier, stage):
    kind, zone, answer = call("secret", SecretId=identifier, **stage)
    assert ("datetime", None) == (kind, zone)
    assert ("hunter2", WIFI, "greengrass-wifi", ["AWSCURRENT"]) == (
        answer["SecretString"],
        answer["ARN"],
        answer["Name"],
        answer["VersionStages"],
    )
    assert {"ARN", "Name", "VersionId", "VersionStages", "SecretString"} == set(answer)


def test_it_reads_bytes_as_text_in_base64(call):
    _, _, answer = call("secret", SecretId="certificate")
    assert ("AP8=", False) == (answer["SecretBinary"], "SecretString" in answer)


@pytest.mark.parametrize(
    "arguments",
    [
        {"SecretId": "hidden"},
        {"SecretId": "none"},
        {"SecretId": "wifi", "VersionStage": "AWSPREVIOUS"},
    ],
)
def test_a_secret_that_is_not_for_it_is_not_found(call, arguments):
    text = "Request for secret value returned error code 404 with message Resource not found"
    assert ["SecretsManagerError", text] == call("secret", **arguments)


def test_it_refuses_a_version_of_a_secret_by_its_id(call):
    assert ["SecretsManagerError", "Query by VersionId is not yet supported"] == call(
        "secret", SecretId="wifi", VersionId="1"
    )
    assert [
        "ValueError",
        'Parameter "SecretId" is a required parameter but was not provided.',
    ] == call("secret")


# --- other packages -------------------------------------------------------------------------------

OLD: dict[str, str | dict[int, str]] = {
    "attrs": "20.3.0",
    "typing_extensions": "3.7.4.3",
    # With wheels for the Pythons that this project runs on.
    "cbor2": {11: "5.4.6", 12: "5.6.0", 13: "5.6.5"},
    "msgpack": {11: "1.0.5", 12: "1.0.8", 13: "1.1.0"},
    "cffi": {11: "1.15.1", 12: "1.16.0", 13: "1.17.0"},
}
VENDORING = """
    import attr
    import cbor2
    import cffi
    import msgpack
    import typing_extensions
    import greengrasssdk
    import greengrass_sdk

    iot = greengrasssdk.client("iot-data")


    @attr.s
    class Point:
        x = attr.ib()


    def handler(event, context):
        ffi = cffi.FFI()
        ffi.cdef("int atoi(const char *);")
        packed = msgpack.packb({"x": Point(ffi.dlopen(None).atoi(b"7")).x})
        iot.publish(topic="out/packed", payload=packed)
        with greengrass_sdk.Client() as client:
            client.publish("out/packed", packed, queue_full_policy="AllOrException")
        modules = [attr, cbor2, cffi, msgpack, typing_extensions]
        return {module.__name__: module.__file__ for module in modules}
"""


def test_packages_in_the_zip_win_over_ours(registry, tmp_path):
    """Real ones, older than what this project requires, C extensions included."""
    wanted = []
    for name, version in OLD.items():
        old = version if isinstance(version, str) else version.get(sys.version_info.minor)
        if old is None:
            pytest.skip(f"no old {name} has a wheel for this Python")
        wanted.append(f"{name}=={old}")
    package = tmp_path / "package"
    install = ["install", "-q", "--no-deps", "--only-binary", ":all:", "--target", package]
    subprocess.run([registry, *install, *wanted], check=True, capture_output=True)
    (package / "main.py").write_text(textwrap.dedent(VENDORING))
    zipped = shutil.make_archive(str(tmp_path / "function"), "zip", package)
    project = write_project(
        tmp_path / "project",
        {},
        {"vendoring": {"code": zipped, "handler": "main.handler", "timeout_s": 20}},
        rows=[("vendoring", "out/#", "cloud")],
    )
    with RunningCore(project) as core:
        files = json.loads(core.command("invoke", "vendoring").stdout)
        packed = [core.message("out/packed", count=number)["payload"] for number in (1, 2)]
    assert [base64.b64encode(b"\x81\xa1x\x07").decode()] * 2 == packed
    assert {"attr", "cbor2", "cffi", "msgpack", "typing_extensions"} == set(files)
    assert [] == [file for file in files.values() if "function:vendoring:1/" not in file]
