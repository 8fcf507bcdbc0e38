# SPDX-License-Identifier: Apache-2.0
"""
AWS's own `greengrasssdk` 1.6.1 on our `greengrass_common` and `greengrass_ipc_python_sdk`.

The core is a script on a socketpair, so that shadows and secrets can answer whatever AWS's package
has to understand. It runs in a process of its own, where its name is its own.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap

import pytest
from fake_core import FakeCore, result, verdict

from greengrass_sdk._native import Flag, Kind, Status
from greengrass_sdk.model.arn import INTERFACE_VERSION, ROUTER_ARN, SECRETS_ARN, SHADOW_ARN

pytestmark = [pytest.mark.needs_network, pytest.mark.timeout(180)]

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
ENVIRONMENT = {
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
    "ENCODING_TYPE": "json",
    "GGC_MAX_INTERFACE_VERSION": INTERFACE_VERSION,
    "GG_DAEMON_PORT": "8000",
    "MY_FUNCTION_ARN": f"{ARN}:1",
    "ROUTER_FUNCTION_ARN": ROUTER_ARN,
    "SECRETS_MANAGER_FUNCTION_ARN": SECRETS_ARN,
    "SHADOW_FUNCTION_ARN": SHADOW_ARN,
}
PROGRAM = """
    import json, os, socket, sys
    from greengrass_sdk._native._py.channel import StreamChannel
    from greengrass_sdk.client import session

    dropin = os.path.join(os.path.dirname(session.__file__), "..", "dropin")
    vendored, descriptor = sys.argv[1:]
    sys.path[:0] = [vendored, dropin]
    channel = StreamChannel(socket.socket(fileno=int(descriptor)))
    session.adopt(session.Session(channel, 7, bytes(8), "me"))

    import greengrasssdk
    assert greengrasssdk.__file__.startswith(vendored), greengrasssdk.__file__
    data, functions, secrets = map(greengrasssdk.client, ("iot-data", "lambda", "secretsmanager"))

    def outcome(call, **arguments):
        try:
            answer = call(**arguments)
        except Exception as error:
            return [type(error).__name__, str(error)]
        if isinstance(answer, dict) and hasattr(answer.get("Payload"), "read"):
            answer["Payload"] = answer["Payload"].read()
        return json.loads(json.dumps(answer, default=lambda value: (
            value.decode() if isinstance(value, bytes) else str(value.year)
        )))

    ARN = os.environ["MY_FUNCTION_ARN"]
    print(json.dumps({
        "publish": outcome(data.publish, topic="a/b", qos=0, payload="text"),
        "all": outcome(data.publish, topic="a/b", payload=b"", queueFullPolicy="AllOrException"),
        "refused": outcome(data.publish, topic="full", queueFullPolicy="AllOrException"),
        "shadow": outcome(data.get_thing_shadow, thingName="T"),
        "no shadow": outcome(data.get_thing_shadow, thingName="none"),
        "secret": outcome(secrets.get_secret_value, SecretId="wifi"),
        "invoke": outcome(functions.invoke, FunctionName=ARN, Payload=b"ping"),
        "event": outcome(functions.invoke, FunctionName=ARN, InvocationType="Event"),
        "handled": outcome(functions.invoke, FunctionName=ARN, Payload=b"raise"),
        "missing": outcome(functions.invoke, FunctionName=ARN, Qualifier="1", Payload=b"missing"),
    }))
    channel.close()
"""


def core(frame):
    """Answer as a core with shadows and secrets would."""
    topic, subject = frame.topic.decode(), b'"$aws/things/none/'
    if frame.kind == Kind.PUBLISH:
        status = Status.QUEUE_FULL if topic == "full" else Status.OK
        return [verdict(frame, status, "the queue is full")] if frame.flags & Flag.ANSWER else None
    if frame.flags & Flag.EVENT:
        return [verdict(frame, work=1)]
    if topic == SHADOW_ARN:
        missing = b'{"code": 404, "message": "No shadow exists with name: none"}'
        return [result(frame, missing if subject in frame.context else b'{"state": {}}')]
    if topic == SECRETS_ARN:
        return [result(frame, b'{"SecretString": "hidden", "CreatedDate": 1600000000000}')]
    if frame.payload == b"missing":
        return [verdict(frame, Status.NOT_FOUND, "no such function")]
    raised = frame.payload == b"raise"
    document = b'{"errorMessage": "x"}' if raised else b"pong"
    return [result(frame, document, Flag.HANDLED if raised else 0)]


@pytest.fixture(scope="module")
def outcomes(registry, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vendored")
    install = ["install", "-q", "--no-deps", "--target", folder, "greengrasssdk==1.6.1"]
    subprocess.run([registry, *install], check=True, capture_output=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    peer = FakeCore.__new__(FakeCore)
    peer._start(ours, core, reading=True)
    with theirs:
        done = subprocess.run(
            [sys.executable, "-P", "-c", textwrap.dedent(PROGRAM), folder, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    peer.close()
    assert 0 == done.returncode, done.stderr  # its log of refused calls goes there, too
    return json.loads(done.stdout), peer.frames


EXPECTED = {
    "publish": None,
    "all": None,
    "refused": ["InvocationException", "Failed to invoke function due to the queue is full"],
    "shadow": {"payload": '{"state": {}}'},
    "no shadow": [
        "ShadowError",
        (
            "Request for shadow state returned error code 404 with message"
            ' "No shadow exists with name: none"'
        ),
    ],
    "secret": {"SecretString": "hidden", "CreatedDate": "2020"},
    "invoke": {"Payload": "pong", "FunctionError": ""},
    "event": {"Payload": "", "FunctionError": ""},
    "handled": {"Payload": '{"errorMessage": "x"}', "FunctionError": "Handled"},
    "missing": ["InvocationException", "Failed to invoke function due to no such function"],
}


@pytest.mark.parametrize("what", list(EXPECTED))
def test_it_understands_what_the_core_answers(outcomes, what):
    assert EXPECTED[what] == outcomes[0][what]


def test_its_messages_leave_as_messages(outcomes):
    published = [frame for frame in outcomes[1] if frame.kind == Kind.PUBLISH]
    both = Flag.ALL_OR_EXCEPTION | Flag.ANSWER
    assert [(b"a/b", 0, b"text"), (b"a/b", both, b""), (b"full", both, b"")] == [
        (frame.topic, frame.flags, frame.payload) for frame in published
    ]


def test_its_shadow_requests_name_their_subject(outcomes):
    (first, _second) = [frame for frame in outcomes[1] if frame.topic == SHADOW_ARN.encode()]
    assert {"custom": {"subject": "$aws/things/T/shadow/get"}} == json.loads(first.context)
