# SPDX-License-Identifier: Apache-2.0
"""
What becomes of functions that fail, as callers, logs and everybody else see it.

One core runs all of them. While each fails, a canary exchanges messages with a pinned function on
the same core and must notice nothing; afterwards nothing may be left.

Ref: docs/reference/errors.md, "Invocations"; docs/explanation/processes.md
"""

from __future__ import annotations

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest
from leftovers import Footprint, eventually, has_ended
from projects import write_project
from running_core import RunningCore

from greengrass_sdk import Client
from greengrass_sdk.errors import (
    FunctionError,
    FunctionHandledError,
    FunctionTimeoutError,
    FunctionUnhandledError,
    RequestTimeoutError,
)

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

VICTIM = """
    import json, os, signal, subprocess, sys, threading, time
    from greengrass_sdk import Client

    client = Client()


    def handler(event, context):
        return globals()["do_" + event["do"]](**event)


    def do_nothing(**event):
        return os.getpid()


    def do_raise(**event):
        raise ValueError("asked to")


    def do_unserialisable(**event):
        return object()


    def do_memory_error(**event):
        return len(bytes(1 << 60))


    def do_hang(**event):
        time.sleep(60)


    def do_exit(**event):
        os._exit(3)


    def do_sys_exit(**event):
        sys.exit(4)


    def do_kill(**event):
        os.kill(os.getpid(), signal.SIGKILL)


    def do_crash(**event):
        import ctypes
        ctypes.string_at(0)


    def do_hold(**event):
        held = bytearray(256_000_000)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(60)


    def do_hold_in_child(**event):
        code = "h = bytearray(256_000_000); h[::4096] = b'x' * len(h[::4096]); input()"
        subprocess.run([sys.executable, "-c", code], stdin=subprocess.PIPE)


    def do_wait_for_a_signal(**event):
        client.publish("victim/pid", os.getpid())
        time.sleep(60)


    def do_publish_and_exit(count, **event):
        for number in range(count):
            client.publish("victim/number", number)
        os._exit(0)


    def do_print(count, **event):
        sys.stdout.write("x" * count)
        return "printed"


    def do_write(count, **event):
        subprocess.run(["head", "-c", str(count), "/dev/zero"])
        return "written"


    def do_spawn(how, then, **event):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if how == "plain":
            child = subprocess.Popen(["sleep", "300"], **quiet)
        elif how == "group":
            child = subprocess.Popen(["sleep", "300"], process_group=0, **quiet)
        elif how == "nohup":
            child = subprocess.Popen(["nohup", "sleep", "300"], stdin=subprocess.DEVNULL, **quiet)
            while not open(f"/proc/{child.pid}/cmdline", "rb").read().startswith(b"sleep"):
                time.sleep(0.01)
        elif how == "session":
            child = subprocess.Popen(["sleep", "300"], start_new_session=True, **quiet)
        elif how == "grandchild":
            text = 'sleep 300 >/dev/null 2>&1 & echo $!'
            return int(subprocess.check_output(["sh", "-c", text]))
        if then == "exit":
            client.publish("victim/child", child.pid)
            os._exit(5)
        return child.pid


    def do_threads(count, **event):
        def publish(number):
            client.publish("victim/number", number)

        threads = [threading.Thread(target=publish, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        threading.Thread(target=time.sleep, args=(300,)).start()  # never joined
        return [thread.join() for thread in threads]


    def do_timer(**event):
        threading.Timer(0.2, client.publish, ("victim/number", 7)).start()


    def do_fork(how, **event):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            try:
                client.publish("victim/number", "from the child")
            except Exception as error:
                os.write(writing, f"{type(error).__name__}: {error}".encode())
            os.close(writing)
            if how == "raises":
                raise ValueError("in the child")
            if how == "exits":
                sys.exit(9)
            return "the child's answer"
        os.close(writing)
        said = b"".join(iter(lambda: os.read(reading, 1000), b"")).decode()
        os.close(reading)
        return [said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]
"""
CALLER = """
    import json
    import greengrasssdk

    client = greengrasssdk.client("lambda")


    def handler(event, context):
        arn = context.invoked_function_arn.replace(":caller:", ":victim:")
        answer = client.invoke(FunctionName=arn, Payload=json.dumps(event).encode())
        payload = answer["Payload"]
        kind = type(payload).__name__
        text = payload.read() if kind == "StreamingBody" else payload
        return [answer["FunctionError"], kind, json.loads(text)]
"""
CANARY = """
    import os
    from greengrass_sdk import Client

    client = Client()


    def handler(event, context):
        client.publish("canary/out", [os.getpid(), event])
"""
SHORT = {"idle_s": 0.1, "timeout_s": 10, "handler": "victim.handler"}


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    project = write_project(
        tmp_path_factory.mktemp("outcomes"),
        {"victim": VICTIM, "caller": CALLER, "canary": CANARY},
        {
            "canary": {"pinned": True},
            "victim": SHORT,
            "hasty": SHORT | {"timeout_s": 0.5},
            "bounded": SHORT | {"memory_kib": 64_000},
            "caller": {"idle_s": 0.1, "timeout_s": 30},
        },
        clients=["tester", "canary_cage"],
        rows=[
            ("canary_cage", "canary/in", "canary"),
            ("canary", "canary/out", "canary_cage"),
            ("victim", "victim/#", "tester"),
            ("hasty", "victim/#", "tester"),
        ],
    )
    # Debuggable: only its owner may look into /proc/<pid>/fd, and root need not run this.
    with RunningCore(project, env={"GREENGRASS_DEBUGGABLE": "1"}) as running:
        running.wait(lambda event: event.get("state") == "running")
        yield running


@pytest.fixture(scope="module")
def client(core):
    with Client(root=core.root, name="tester") as client:
        yield client


class Canary:
    """Sends a number, waits for its echo, sends the next; remembers what went wrong."""

    def __init__(self, root):
        self.count = 0
        self.pids = set()
        self.failure = None
        self._stop = Event()
        self._root = root
        self._thread = Thread(target=self._sing)
        self._thread.start()

    def _sing(self):
        try:
            with Client(root=self._root, name="canary_cage") as client:
                while not self._stop.is_set():
                    client.publish("canary/in", self.count)
                    pid, number = client.receive(timeout_s=10).json()
                    assert self.count == number
                    self.pids.add(pid)
                    self.count += 1
                    self._stop.wait(0.005)
        except BaseException as error:  # noqa: BLE001 - told by `check`
            self.failure = error

    def stop(self):
        self._stop.set()
        self._thread.join()

    def check(self):
        """It sang on, in one process, in order."""
        count = self.count
        eventually(lambda: self.failure or self.count > count + 2, "the canary sings")
        assert self.failure is None
        assert 1 == len(self.pids)


@pytest.fixture(scope="module")
def canary(core, client):
    canary = Canary(core.root)
    eventually(lambda: canary.failure or canary.count, "the canary sings")
    yield canary
    canary.stop()


@pytest.fixture(scope="module")
def footprint(core, client, canary):
    """What the core holds when nothing but the canary runs."""
    client.invoke("victim", {"do": "nothing"})
    core.wait(lambda event: (event.get("function"), event.get("state")) == ("victim", "stopped"))
    return Footprint.settled(core.process.pid)


@pytest.fixture(autouse=True)
def nobody_else_notices(core, canary, footprint, client):
    yield
    canary.check()
    with pytest.raises(RequestTimeoutError):  # every test takes what it caused
        client.receive(timeout_s=0)
    footprint.check(core.process.pid)


@pytest.fixture
def in_background():
    """Return a function that calls in another thread and returns the future."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


def document(error):
    return error.value.json()


# --- the caller's view ----------------------------------------------------------------------------

# Event, FunctionError, class in ours, errorType, pattern of errorMessage.
OUTCOMES = {
    "raises": ("raise", "Handled", "ValueError", "asked to"),
    "unserialisable": ("unserialisable", "Handled", "ResultError", ".*not JSON serialisable.*"),
    "memory-error": ("memory_error", "Handled", "MemoryError", ".*"),
    "exits": ("exit", "Unhandled", "Runtime.ExitError", "the worker exited with code 3"),
    "sys-exit": ("sys_exit", "Unhandled", "Runtime.ExitError", "the worker exited with code 4"),
    "killed": (
        "kill",
        "Unhandled",
        "Runtime.SignalError",
        r"the worker was ended by signal 9 \(SIGKILL\)",
    ),
    "crashes": (
        "crash",
        "Unhandled",
        "Runtime.SignalError",
        r"the worker was ended by signal 11 \(SIGSEGV\)",
    ),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_a_client_sees_how_a_function_failed(core, client, case):
    do, kind, error_type, message = OUTCOMES[case]
    expected = FunctionHandledError if kind == "Handled" else FunctionUnhandledError
    with pytest.raises(FunctionError) as failed:
        client.invoke("victim", {"do": do})
    assert expected is type(failed.value)
    assert error_type == document(failed)["errorType"]
    assert re.fullmatch(message, document(failed)["errorMessage"])
    assert re.fullmatch(UUID, failed.value.request_id)
    if kind == "Unhandled":
        core.log("victim", f"invocation {failed.value.request_id} ended unhandled: ")
    assert isinstance(client.invoke("victim", {"do": "nothing"}).json(), int)


@pytest.mark.parametrize("case", OUTCOMES)
def test_the_command_says_how_a_function_failed(core, case):
    do, kind, error_type, message = OUTCOMES[case]
    done = core.command("invoke", "victim", json.dumps({"do": do}), status=1)
    told = done.stderr.decode().splitlines()[0]
    verb = "raised" if kind == "Handled" else r"failed \(unhandled\):"
    assert re.fullmatch(f"error: function 'victim' {verb} {error_type}(: {message})?", told), told


@pytest.mark.parametrize("case", OUTCOMES)
def test_another_function_sees_how_a_function_failed(client, case):
    do, kind, error_type, message = OUTCOMES[case]
    function_error, payload_type, failure = client.invoke("caller", {"do": do}).json()
    assert (kind, "bytes", error_type) == (function_error, payload_type, failure["errorType"])
    assert re.fullmatch(message, failure["errorMessage"])


def test_another_function_gets_a_result_as_a_streaming_body(client):
    function_error, payload_type, pid = client.invoke("caller", {"do": "nothing"}).json()
    assert ("", "StreamingBody", int) == (function_error, payload_type, type(pid))


def test_the_trace_begins_at_the_first_frame_of_the_user(client):
    with pytest.raises(FunctionHandledError) as failed:
        client.invoke("victim", {"do": "raise"})
    trace = document(failed)["stackTrace"]
    assert [
        ("victim.py", "handler", 'return globals()["do_" + event["do"]](**event)'),
        ("victim.py", "do_raise", 'raise ValueError("asked to")'),
    ] == [(Path(file).name, name, source) for file, _, name, source in trace]


def test_a_payload_that_is_no_json_is_handled(client):
    with pytest.raises(FunctionHandledError) as failed:
        client.invoke("victim", "{not json")
    assert "JSONDecodeError" == document(failed)["errorType"]
    assert [] == document(failed)["stackTrace"]


def test_an_exception_restarts_nothing(client):
    """On demand: the same process takes the next call."""
    with pytest.raises(FunctionHandledError):
        client.invoke("canary", "{not json")
    pid = client.invoke("victim", {"do": "nothing"}).json()
    with pytest.raises(FunctionHandledError):
        client.invoke("victim", {"do": "raise"})
    assert pid == client.invoke("victim", {"do": "nothing"}).json()


def test_a_hanging_function_is_killed_with_the_text_of_lambda(core, client):
    with pytest.raises(FunctionTimeoutError) as failed:
        client.invoke("hasty", {"do": "hang"})
    text = f"{STAMP} {re.escape(failed.value.request_id)} Task timed out after 0.50 seconds"
    assert re.fullmatch(text, document(failed)["errorMessage"])
    core.log("hasty", "Task timed out after 0.50 seconds")
    event = core.wait(lambda event: event.get("request_id") == failed.value.request_id)
    assert ("tester", "hasty", "timeout") == (
        event["caller"],
        event["function"],
        event["outcome"],
    )


def test_the_command_tells_a_timeout(core):
    done = core.command("invoke", "hasty", '{"do": "hang"}', status=1)
    assert re.search(
        rf"function 'hasty' failed \(timeout\): .*{STAMP} {UUID} Task timed out after 0.50 seconds",
        done.stderr.decode(),
    )


def test_what_was_published_right_before_an_exit_arrives_in_order(client):
    with pytest.raises(FunctionUnhandledError) as failed:
        client.invoke("victim", {"do": "publish_and_exit", "count": 500})
    assert "the worker exited with code 0" == document(failed)["errorMessage"]
    assert list(range(500)) == [client.receive(timeout_s=10).json() for _ in range(500)]


def test_kill_9_of_a_running_function(core, client, in_background):
    call = in_background(client.invoke, "victim", {"do": "wait_for_a_signal"})
    os.kill(client.receive(timeout_s=10).json(), signal.SIGKILL)
    error = call.exception()
    assert isinstance(error, FunctionUnhandledError)
    assert "the worker was ended by signal 9 (SIGKILL)" == error.json()["errorMessage"]
    core.log("victim", "the worker was ended by signal 9 (SIGKILL)")


def test_a_stopped_function_runs_into_its_timeout(client, in_background):
    call = in_background(client.invoke, "hasty", {"do": "wait_for_a_signal"})
    os.kill(client.receive(timeout_s=10).json(), signal.SIGSTOP)
    assert isinstance(call.exception(), FunctionTimeoutError)


@pytest.mark.parametrize("do", ["hold", "hold_in_child"])
def test_memory_beyond_the_bound_is_killed_and_told(core, client, do):
    with pytest.raises(FunctionUnhandledError) as failed:
        client.invoke("bounded", {"do": do})
    text = r"memory limit exceeded: \d+ KiB held, memory_kib = 64000; the worker is killed"
    assert re.fullmatch(text, document(failed)["errorMessage"])
    assert "Runtime.OutOfMemory" == document(failed)["errorType"]
    core.log("bounded", "memory limit exceeded")


def test_the_outcome_of_an_event_stands_in_the_log_only(core, client):
    request_id = client.invoke_async("victim", {"do": "exit"})
    core.log("victim", f"invocation {request_id} ended unhandled: the worker exited with code 3")


# --- output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("do", "character"), [("print", "x"), ("write", "\0")])
def test_a_megabyte_without_a_newline_becomes_bounded_records(core, client, do, character):
    count = 1024 * 1024
    seen = len(core.events)
    client.invoke("victim", {"do": do, "count": count})

    def pieces():
        return [
            event["message"]
            for event in list(core.events[seen:])
            if event["event"] == "log" and event["message"].startswith(character * 100)
        ]

    eventually(lambda: sum(piece.count(character) for piece in pieces()) >= count, "all of it")
    assert count == sum(piece.count(character) for piece in pieces())
    assert max(map(len, pieces())) <= 64 * 1024


# --- processes and threads ------------------------------------------------------------------------


@pytest.fixture
def child():
    """Names a process that the test ends, should it still be there."""
    pids: list[int] = []
    yield pids.append
    for pid in pids:
        if not has_ended(pid):
            os.kill(pid, signal.SIGKILL)


def spawned(client, child, how, then):
    """Have the victim start a child and then exit, be killed or be idle; return the child's pid."""
    if then == "exit":
        with pytest.raises(FunctionUnhandledError):
            client.invoke("victim", {"do": "spawn", "how": how, "then": then})
        pid = client.receive(timeout_s=10).json()
    else:
        pid = client.invoke("victim", {"do": "spawn", "how": how, "then": then}).json()
    child(pid)
    return pid


@pytest.mark.parametrize("then", ["exit", "be idle"])
@pytest.mark.parametrize("how", ["plain", "group"])
def test_children_end_with_their_function(client, child, how, then):
    pid = spawned(client, child, how, then)
    eventually(lambda: has_ended(pid), "the child ends")


def test_grandchildren_end_with_their_function(client, child):
    pid = spawned(client, child, "grandchild", "be idle")
    eventually(lambda: has_ended(pid), "the grandchild ends")


@pytest.mark.parametrize("then", ["exit", "be idle"])
@pytest.mark.parametrize("how", ["nohup", "session"])
def test_children_that_were_detached_outlive_their_function_and_are_named(
    core, client, child, how, then
):
    """Greengrass V1 guide, "Considerations when choosing Lambda function containerization"."""
    pid = spawned(client, child, how, then)
    # What it is called is not certain yet: the kernel shows the arguments last in an exec.
    record = core.log("victim", f"processes that outlive the worker: {pid} (")
    assert "WARN" == record["level"]
    assert not has_ended(pid)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: has_ended(pid), "the child ends")


def test_threads_publish_and_do_not_keep_their_function_alive(client):
    client.invoke("victim", {"do": "threads", "count": 20})
    numbers = [client.receive(timeout_s=10).json() for _ in range(20)]
    assert list(range(20)) == sorted(numbers)


def test_a_timer_publishes_after_the_handler_has_returned(core, tmp_path):
    project = write_project(
        tmp_path,
        {"victim": VICTIM},
        {"victim": {}},
        rows=[("victim", "#", "cloud")],
    )
    with RunningCore(project) as running:
        running.command("invoke", "victim", '{"do": "timer"}')
        assert "7" == running.message("victim/number")["payload"]


@pytest.mark.parametrize(("how", "code"), [("returns", 0), ("raises", 1), ("exits", 9)])
def test_a_fork_gives_one_answer_and_its_child_cannot_speak_for_the_function(client, how, code):
    said, status = client.invoke("victim", {"do": "fork", "how": how}).json()
    assert re.match(r"CoreUnavailableError: .*fork", said), said
    assert code == status


# --- the import -----------------------------------------------------------------------------------

PUBLISHES = """
    from greengrass_sdk import Client

    Client().publish("import/done", "early")


    def handler(event, context):
        return "served"
"""
ENDLESS = """
    import time
    from greengrass_sdk import Client

    client = Client()
    number = 0
    while True:
        client.publish("import/number", number)
        number += 1
        time.sleep(0.05)


    def handler(event, context):
        return "never"
"""
IMPORTS = {
    "leaves": (
        "import sys\nsys.exit(3)",
        "SystemExit",
        "handler 'leaves.handler' ended the process while it was imported: sys.exit(3)",
    ),
    "dies": (
        "import os\nos._exit(3)",
        "Runtime.ExitError",
        "the worker exited with code 3",
    ),
    "lacks": (
        "import nowhere_to_be_found",
        "ModuleNotFoundError",
        "No module named 'nowhere_to_be_found'",
    ),
    "breaks": (
        "def handler(event, context:\n    pass",
        "SyntaxError",
        "'(' was never closed (breaks.py, line 1)",
    ),
    "misspelt": (
        "def handle(event, context):\n    pass",
        "HandlerError",
        "handler 'misspelt.handler': {code}/misspelt.py has no function 'handler'; did you",
    ),
    "elsewhere": (
        None,
        "HandlerError",
        "handler 'elsewhere.handler': no module 'elsewhere' in {code}; there is breaks, dies, ",
    ),
}


@pytest.fixture(scope="module")
def imports(tmp_path_factory):
    """A core whose functions fail while they are imported, on demand and pinned."""
    project = write_project(
        tmp_path_factory.mktemp("imports"),
        {
            "publishes": PUBLISHES,
            "endless": ENDLESS,
            **{name: code for name, (code, *_) in IMPORTS.items() if code is not None},
        },
        {
            "publishes": {"pinned": True},
            "endless": {"pinned": True},
            **{name: {"idle_s": 0.1} for name in IMPORTS},
            **{
                f"pinned_{name}": {"pinned": True, "handler": f"{name}.handler"}
                for name in ("leaves", "lacks")
            },
        },
        clients=["tester"],
        rows=[("publishes", "#", "cloud"), ("endless", "#", "cloud")],
    )
    with RunningCore(project) as running:
        yield running


@pytest.mark.parametrize("name", IMPORTS)
def test_a_failed_import_is_unhandled_and_names_what_is_wrong(imports, name):
    _, error_type, message = IMPORTS[name]
    message = message.format(code=imports.root.parent / "code")
    with Client(root=imports.root, name="tester") as client:
        with pytest.raises(FunctionUnhandledError) as failed:
            client.invoke(name)
        assert error_type == document(failed)["errorType"]
        assert document(failed)["errorMessage"].startswith(message)
        imports.log(name, message if name != "breaks" else "SyntaxError: '(' was never closed")


@pytest.mark.parametrize("name", ["pinned_leaves", "pinned_lacks"])
def test_a_pinned_function_that_cannot_be_imported_is_started_again_later(imports, name):
    waits = imports.wait(
        lambda event: (event.get("function"), event.get("state")) == (name, "waiting"), count=2
    )
    assert waits["reason"].endswith("; next start in 2 s")


def test_a_function_publishes_while_it_is_imported(imports):
    assert "early" == imports.message("import/done")["payload"]
    assert b'"served"\n' == imports.command("invoke", "publishes").stdout


def test_a_pinned_function_may_never_return_from_its_import(imports):
    numbers = [imports.message("import/number", count=n)["payload"] for n in range(1, 11)]
    assert [str(number) for number in range(10)] == numbers
    (endless,) = [f for f in imports.status()["functions"] if f["name"] == "endless"]
    assert "starting" == endless["state"]
    assert 0 == endless["restarts"]


@pytest.mark.slow
def test_an_import_on_demand_has_ten_seconds(tmp_path):
    project = write_project(
        tmp_path, {"endless": "import time\ntime.sleep(60)"}, {"endless": {}}, clients=["tester"]
    )
    with RunningCore(project) as core, Client(root=core.root, name="tester") as client:
        with pytest.raises(FunctionUnhandledError) as failed:
            client.invoke("endless")
        assert "import did not finish within 10 s" == document(failed)["errorMessage"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_call_that_never_starts_ends_after_a_minute_and_says_why(imports):
    with Client(root=imports.root, name="tester") as client:
        with pytest.raises(FunctionUnhandledError) as failed:
            client.invoke("endless")
        text = "the invocation has not started after 60 s: the function is still importing"
        assert text == document(failed)["errorMessage"]


# --- stopping -------------------------------------------------------------------------------------


def test_a_stop_ends_everything_but_detached_children(tmp_path, child):
    project = write_project(tmp_path, {"victim": VICTIM}, {"victim": {"idle_s": 60}})
    with RunningCore(project) as core:
        pids = {}
        for how in ("plain", "session"):
            event = json.dumps({"do": "spawn", "how": how, "then": "be idle"})
            pids[how] = int(core.command("invoke", "victim", event).stdout)
            child(pids[how])
        below = psutil.Process(core.process.pid).children(recursive=True)
    assert {pids["session"]} == {process.pid for process in below if not has_ended(process.pid)}
