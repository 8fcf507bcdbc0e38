# SPDX-License-Identifier: Apache-2.0
"""What a function sees and what the core sees of it, in real workers."""

from __future__ import annotations

import json
import signal
import tempfile
import textwrap
from pathlib import Path

import pytest

from greengrass_sdk._native import Flag, Kind

ARN = "arn:aws:lambda:us-east-1:000000000000:function:tested:1"


# --- the event and the context ---------------------------------------------------


def test_a_json_function_gets_its_event_parsed_and_its_result_is_json(rig):
    worker = rig.start("def handler(event, context): return {'got': event}")
    assert worker.answer({"a": [1, None]}) == {"got": {"a": [1, None]}}


def test_an_empty_payload_is_an_empty_object(rig):
    worker = rig.start("def handler(event, context): return event")
    assert worker.answer(b"") == {}


def test_a_handler_that_returns_nothing_returns_null(rig):
    worker = rig.start("def handler(event, context): pass")
    assert worker.invoke(b"1") == (0, b"null")


def test_a_message_brings_its_topic_and_its_result_is_not_sent(rig):
    worker = rig.start(
        """
        def handler(event, context):
            print(context.client_context.custom["subject"], event)
            return object()
        """
    )
    assert worker.message("a/b", b'{"n": 1}') == (0, b"")
    assert worker.record() == ("I", "lambda_function.py:3", "a/b {'n': 1}")


def test_the_result_of_an_event_is_not_sent(rig):
    worker = rig.start("def handler(event, context): return object()")
    assert worker.invoke(b"{}", event=True) == (0, b"")


def test_an_item_that_nobody_waits_for_is_not_answered(rig):
    worker = rig.start("def handler(event, context): return event")
    worker.send(Kind.MESSAGE, id=0, topic=b"t", payload=b"1")
    assert worker.invoke(b"2", number=9) == (0, b"2")


def test_the_context_describes_the_invocation(rig):
    worker = rig.start(
        """
        def handler(event, context):
            return [
                type(context).__name__, context.invoked_function_arn, context.function_name,
                context.function_version, context.aws_request_id, context.client_context.custom,
                context.memory_limit_in_mb, 0 < context.get_remaining_time_in_millis() <= 3000,
            ]
        """,
        memory_kib=32768,
    )
    assert worker.answer(b"{}", context=b'{"custom": {"k": "v"}}', number=1) == [
        "LambdaContext",
        ARN,
        "tested",
        "1",
        "00112233-4455-86aa-8000-000000000001",
        {"k": "v"},
        32,
        True,
    ]


def test_a_client_context_that_is_no_json_is_logged_and_left_out(rig):
    worker = rig.start("def handler(event, context): return context.client_context")
    assert worker.answer(b"{}", context=b"\xff") is None
    level, _, message = worker.record()
    assert level == "W"
    assert message.startswith("client context ignored: ")


@pytest.mark.parametrize(
    ("result", "payload"),
    [("event + b'!'", b"\x00\xff!"), ("'h\\xe9'", "hé".encode()), ("None", b"")],
)
def test_a_binary_function_takes_and_returns_bytes(rig, result, payload):
    worker = rig.start(f"def handler(event, context): return {result}", encoding="binary")
    assert worker.invoke(b"\x00\xff") == (0, payload)


# --- handled errors ----------------------------------------------------------------


def test_a_handler_that_raises_is_reported_and_goes_on(rig):
    worker = rig.start(
        """
        def handler(event, context):
            if event:
                return inner(event)
            return "fine"

        def inner(event):
            raise KeyError("no " + event)
        """
    )
    document = worker.failure("lamp")
    assert (document["errorMessage"], document["errorType"]) == ("'no lamp'", "KeyError")
    assert [frame[1:] for frame in document["stackTrace"]] == [
        [4, "handler", "return inner(event)"],
        [8, "inner", 'raise KeyError("no " + event)'],
    ]
    level, origin, message = worker.record()
    assert (level, origin) == ("E", "lambda_function.py:8")
    assert message.startswith("Traceback (most recent call last):\n")
    assert message.endswith("KeyError: 'no lamp'")
    assert "runtime/" not in message
    assert worker.answer(b"") == "fine"


def test_a_payload_that_is_not_json_is_reported_at_once(rig):
    worker = rig.start("def handler(event, context): return event")
    document = worker.failure(b"\xff{")
    assert document["errorType"] == "JSONDecodeError"
    assert document["errorMessage"].startswith("the payload is not JSON: ")
    assert document["stackTrace"] == []
    assert worker.answer(b"1") == 1


def test_json_that_is_nested_without_end_is_an_error_not_a_crash(rig):
    worker = rig.start("def handler(event, context): return event")
    assert worker.failure(b"[" * 100_000)["errorType"] == "JSONDecodeError"


def test_a_result_that_is_not_json_is_reported(rig):
    worker = rig.start("def handler(event, context): return {1, 2}")
    document = worker.failure(b"")
    assert document["errorMessage"] == (
        "the handler's result is not JSON serialisable: Object of type set is not JSON serializable"
    )


def test_a_binary_function_that_returns_something_else_is_reported(rig):
    worker = rig.start("def handler(event, context): return 5", encoding="binary")
    assert "returns bytes or str, not int" in worker.failure(b"")["errorMessage"]


def test_a_result_beyond_the_limit_is_reported(rig):
    worker = rig.start(
        "def handler(event, context): return 'x' * event", limits={"invoke_payload_bytes": 100}
    )
    assert worker.failure(b"200")["errorMessage"].startswith(
        "the handler's result has 202 bytes, the limit is 100"
    )


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("raise MemoryError", "MemoryError"),
        ("b'x' * (1 << 60)", "MemoryError"),
        ("handler(event, context)", "RecursionError"),
        ("raise asyncio.CancelledError", "CancelledError"),
        ("raise GeneratorExit", "GeneratorExit"),
    ],
)
def test_whatever_else_a_handler_raises_is_handled_too(rig, statement, error):
    worker = rig.start(f"import asyncio\ndef handler(event, context):\n    {statement}\n")
    assert worker.failure(b"")["errorType"] == error


# --- imports -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        ("import no_such_library", "ModuleNotFoundError", "No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        (
            "def handle(e, c): pass",
            "HandlerError",
            "has no function 'handler'; did you mean 'handle'?",
        ),
        ("x = = 1", "SyntaxError", "invalid syntax"),
        ("raise BaseException('odd')", "BaseException", "odd"),
    ],
)
def test_an_import_that_fails_is_told_to_the_core_and_the_log(rig, source, error, text):
    worker = rig.spawn(source)
    document = worker.ready()
    assert document["errorType"] == error
    assert text in document["errorMessage"]
    assert worker.exit_code() == 1
    ((level, _, message),) = worker.records()
    assert level == "F"
    assert message.startswith(
        "Failed to import handler function 'lambda_function.handler' due to exception: "
    )
    assert text in message


def test_a_handler_module_that_is_not_there_is_named(rig):
    worker = rig.spawn("def handler(e, c): pass", handler="lambda_functions.handler")
    assert "did you mean 'lambda_function'?" in worker.ready()["errorMessage"]
    assert worker.exit_code() == 1


@pytest.mark.parametrize(
    ("call", "code"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('no')", 1)]
)
def test_an_exit_during_the_import_keeps_its_code(rig, call, code):
    worker = rig.spawn(f"import sys\nprint('first')\n{call}\n")
    document = worker.ready()
    assert document["errorType"] == "SystemExit"
    assert "ended the process while it was imported: sys.exit(" in document["errorMessage"]
    assert worker.exit_code() == code
    assert worker.messages()[0] == ("I", "first")


def test_a_function_publishes_while_it_is_imported_and_may_never_return(rig):
    worker = rig.spawn(
        """
        import greengrass_sdk, threading
        client = greengrass_sdk.Client()
        client.publish("hello/world", "at import")
        threading.Event().wait()
        """
    )
    frame = worker.frame()
    assert (frame.kind, frame.topic, frame.payload) == (Kind.PUBLISH, b"hello/world", b"at import")
    worker.kill(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert ("I", "Caught SIGTERM. Stopping runtime.") in worker.messages()


def test_the_working_folder_is_the_code_folder(rig):
    code = rig.code(
        "import os\ndata = open('data.txt').read()\ndef handler(e, c): return [data, os.getcwd()]"
    )
    (code / "data.txt").write_text("near")
    assert rig.start(code).answer(b"") == ["near", str(code)]


def test_the_environment_is_the_requests_and_nothing_else(rig):
    worker = rig.start(
        "import os\ndef handler(e, c): return [dict(os.environ), os.popen('env').read()]"
    )
    environment, seen_by_children = worker.answer(b"")
    assert sorted(environment) == ["COLOUR", "MY_FUNCTION_ARN", "PATH"]
    assert "COLOUR=green" in seen_by_children
    assert "GREENGRASS" not in seen_by_children


def test_the_time_zone_of_the_environment_counts(rig):
    worker = rig.start(
        "import time\ndef handler(e, c): return time.localtime(0).tm_hour",
        environment={"TZ": "XYZ-5"},
    )
    assert worker.answer(b"") == 5


# --- whose modules ---------------------------------------------------------------------


VENDORED = ("attr", "attrs", "typing_extensions", "msgpack", "cbor2", "cffi", "_cffi_backend")


@pytest.mark.parametrize("sdk", ["ours", "bundled"])
def test_what_a_zip_brings_wins_over_what_we_use(rig, sdk):
    source = f"""
    from importlib import import_module
    def handler(event, context):
        return [import_module(name).__version__ for name in {VENDORED}]
    """
    code = rig.code(source)
    for name in VENDORED:
        (code / f"{name}.py").write_text("__version__ = 'vendored'")
    path = [str(rig.dropin), str(code)] if sdk == "ours" else [str(code), str(rig.dropin)]
    worker = rig.start(code, sys_path=path)
    assert worker.answer(b"") == ["vendored"] * len(VENDORED)


def test_no_third_party_module_is_loaded_before_the_functions_own(rig):
    worker = rig.start("import sys\nloaded = sorted(sys.modules)\ndef handler(e, c): return loaded")
    loaded = {name.partition(".")[0] for name in worker.answer(b"")}
    import sys

    ours = {
        "greengrass_sdk",
        "greengrasssdk",
        "lambda_function",
        "__main__",
        "__mp_main__",
        "sitecustomize",
    }
    # `.pth` files of the environment under test may load what they like.
    hooks = {"coverage", "_distutils_hack", "a1_coverage", "_virtualenv"}
    assert set() == loaded - ours - hooks - set(sys.stdlib_module_names)


def test_the_dropin_comes_first_unless_the_zip_is_to_use_its_own(rig):
    code = rig.code("import greengrasssdk\ndef handler(e, c): return greengrasssdk.__version__")
    (code / "greengrasssdk").mkdir()
    (code / "greengrasssdk" / "__init__.py").write_text("__version__ = 'bundled'")
    bundled = rig.start(code, sys_path=[str(code), str(rig.dropin)])
    assert bundled.answer(b"") == "bundled"


def test_the_path_is_dropin_code_own_pythonpath_and_then_the_interpreters(rig):
    worker = rig.start(
        "import sys\npath = list(sys.path)\ndef handler(e, c): return path",
        environment={"PYTHONPATH": "/opt/more:/opt/most"},
        sys_path=["/dropin"],
    )
    path = worker.answer(b"")
    assert path[0] == "/dropin"
    assert path[1].startswith(str(rig.folder))
    assert path[2:4] == ["/opt/more", "/opt/most"]
    assert any(entry.endswith("lib-dynload") for entry in path[4:])


# --- unhandled ends -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("sys.exit(3)", 3),
        ("sys.exit()", 0),
        ("sys.exit('message')", 1),
        ("raise KeyboardInterrupt", 130),
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 11)", -11),
        ("os.abort()", -6),
    ],
)
def test_a_handler_that_ends_the_process_is_seen_as_that(rig, statement, code):
    worker = rig.start(f"import os, sys\ndef handler(event, context):\n    {statement}\n")
    assert worker.invoke(b"") is None
    assert worker.exit_code() == code


def test_an_exit_runs_exit_handlers_sends_what_was_printed_and_says_why(rig):
    worker = rig.start(
        """
        import atexit, sys, threading
        threading.Thread(target=threading.Event().wait).start()
        atexit.register(print, "bye")
        def handler(event, context):
            print("half a line", end="")
            sys.exit(4)
        """
    )
    assert worker.invoke(b"") is None
    assert worker.exit_code() == 4
    assert worker.messages() == [
        ("E", "the handler ended the process: sys.exit(4)"),
        ("I", "half a linebye"),
    ]


def test_a_crash_in_c_code_leaves_a_trace_on_standard_error(rig):
    worker = rig.start("import ctypes\ndef handler(event, context): ctypes.string_at(0)")
    assert worker.invoke(b"") is None
    assert worker.exit_code() == -signal.SIGSEGV
    assert b"Fatal Python error: Segmentation fault" in worker.pipe(2)


def test_what_was_published_before_a_hard_exit_arrives(rig):
    worker = rig.start(
        """
        import greengrass_sdk, os
        client = greengrass_sdk.Client()
        def handler(event, context):
            client.publish("last", "words")
            os._exit(1)
        """
    )
    worker.send(Kind.INVOKE, id=1, topic=b"f", payload=b"{}")
    assert worker.frame().payload == b"words"
    assert worker.frame() is None


def test_sigterm_stops_an_idle_worker_and_runs_exit_handlers(rig):
    worker = rig.start("import atexit\natexit.register(print, 'bye')\ndef handler(e, c): pass")
    worker.kill(signal.SIGTERM)
    assert worker.exit_code() == 0
    assert worker.messages() == [("I", "Caught SIGTERM. Stopping runtime."), ("I", "bye")]


def test_sigterm_stops_a_worker_in_its_handler_and_with_threads(rig):
    worker = rig.start(
        """
        import threading
        threading.Thread(target=threading.Event().wait).start()
        def handler(event, context):
            print("busy")
            while True:
                pass
        """
    )
    worker.send(Kind.INVOKE, id=1, topic=b"f", payload=b"{}")
    assert worker.record()[2] == "busy"
    worker.kill(signal.SIGTERM)
    assert worker.exit_code() == 0


def test_a_functions_own_sigterm_handler_wins(rig):
    worker = rig.start(
        """
        import os, signal
        signal.signal(signal.SIGTERM, lambda *_: os._exit(21))
        def handler(event, context): pass
        """
    )
    worker.kill(signal.SIGTERM)
    assert worker.exit_code() == 21


def test_a_worker_ends_when_the_core_closes_the_channel(rig):
    worker = rig.start(
        """
        import threading
        threading.Thread(target=threading.Event().wait).start()
        def handler(event, context): pass
        """
    )
    worker.channel.close()
    assert worker.exit_code() == 0


# --- threads and forks --------------------------------------------------------------


def test_threads_work_between_and_after_invocations(rig):
    worker = rig.start(
        """
        import threading, queue
        import greengrass_sdk
        client = greengrass_sdk.Client()
        jobs = queue.Queue()
        def work():
            while True:
                client.publish("done", str(jobs.get()))
        threading.Thread(target=work).start()
        def handler(event, context):
            jobs.put(event)
        """
    )
    worker.send(Kind.MESSAGE, id=1, topic=b"t", payload=b"5")
    kinds = {}
    for _ in range(2):
        frame = worker.frame()
        kinds[frame.kind] = frame.payload
    assert kinds == {Kind.RESULT: b"", Kind.PUBLISH: b"5"}


def test_an_exception_in_a_thread_is_one_record(rig):
    worker = rig.start(
        """
        import threading
        def work():
            raise RuntimeError("in a thread")
        def handler(event, context):
            thread = threading.Thread(target=work, name="Timer-9")
            thread.start()
            thread.join()
        """
    )
    worker.answer(b"")
    level, origin, message = worker.record()
    assert (level, origin) == ("E", "lambda_function.py:4")
    assert message.startswith("Exception in thread Timer-9:\nTraceback (most recent call last):\n")
    assert message.endswith("RuntimeError: in a thread")


def test_a_child_that_runs_back_into_the_loop_ends_there(rig):
    worker = rig.start(
        """
        import os
        def handler(event, context):
            pid = os.fork()
            if pid == 0:
                print("child")
                return "from the child"
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """
    )
    assert worker.answer(b"") == 0
    assert worker.record()[2] == "child"
    assert worker.answer(b"") == 0


def test_a_child_that_raises_is_logged_and_fails_alone(rig):
    worker = rig.start(
        """
        import os
        def handler(event, context):
            pid = os.fork()
            if pid == 0:
                raise ValueError("in the child")
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """
    )
    assert worker.answer(b"") == 1
    assert worker.record()[2].endswith("ValueError: in the child")


def test_a_child_does_not_print_what_its_parent_had_begun(rig):
    worker = rig.start(
        """
        import os
        def handler(event, context):
            print("parent", end=" ")
            pid = os.fork()
            if pid == 0:
                print("child")
                os._exit(0)
            os.waitpid(pid, 0)
            print("again")
        """
    )
    worker.answer(b"")
    assert [worker.record()[2], worker.record()[2]] == ["child", "parent again"]


def test_multiprocessing_works_and_its_children_end_on_sigterm(rig):
    worker = rig.start(
        """
        import multiprocessing, time
        def square(n):
            return n * n
        def handler(event, context):
            print('a', flush=True)
            fork = multiprocessing.get_context("fork")
            with fork.Pool(1) as pool:
                squares = pool.map(square, range(3))
            process = fork.Process(target=time.sleep, args=(60,))
            process.start()
            process.terminate()
            process.join()
            return [squares, process.exitcode]
        """
    )
    assert worker.answer(b"") == [[0, 1, 4], -15]


# --- identity, limits, descriptors -----------------------------------------------------


@pytest.mark.looks_inside
@pytest.mark.parametrize("prepared", [True, False])
def test_a_worker_has_only_the_descriptors_it_was_born_with(rig, eventually, prepared):
    if prepared:
        eventually(rig.children, "a spare waits")
    worker = rig.start("def handler(e, c): return 1")
    worker.answer(b"")

    def kinds():
        return {fd: text.rpartition("[")[0] for fd, text in worker.descriptors().items()}

    # The eventfd is the channel's own.
    expected = sorted(["", "pipe:", "pipe:", "socket:", "socket:", "anon_inode:"])
    eventually(lambda: expected == sorted(kinds().values()), "it waits, with nothing else open")
    assert ["pipe:", "pipe:"] == [kinds()[1], kinds()[2]]


def test_programs_inherit_the_output_pipes_and_nothing_else(rig):
    worker = rig.start(
        """
        import subprocess
        def handler(event, context):
            script = "ls /proc/self/fd; echo out; echo err >&2"
            return subprocess.run(
                script, shell=True, close_fds=False, stdout=subprocess.PIPE
            ).stdout.decode()
        """
    )
    assert worker.answer(b"").split() == ["0", "1", "2", "3", "out"]


def test_a_worker_leads_a_session_of_its_own_and_bears_the_functions_name(rig):
    worker = rig.start(
        "import os\ndef handler(e, c): return [os.getsid(0), os.getpgid(0)]", name="climate"
    )
    assert worker.answer(b"") == [worker.pid, worker.pid]
    assert Path(f"/proc/{worker.pid}/comm").read_text() == "climate\n"
    command = Path(f"/proc/{worker.pid}/cmdline").read_text().rstrip("\0")
    assert command == "greengrass function climate (lambda_function.handler)"


@pytest.mark.needs_root
def test_a_worker_runs_as_the_user_that_was_asked_for(rig):
    for folder in (rig.folder, *rig.folder.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    worker = rig.start(
        """
        import os
        def handler(e, c):
            open("/dev/stderr", "w").write("to the pipe\\n")
            return [os.getresuid(), os.getresgid(), os.getgroups()]
        """,
        uid=65534,
        gid=65533,
        groups=[65533, 4],
    )
    assert worker.answer(b"") == [[65534] * 3, [65533] * 3, [4, 65533]]
    # The parent-death signal and the protection of its memory survive the change of user.
    assert Path(f"/proc/{worker.pid}/environ").stat().st_uid == 0
    rig.process.kill()
    worker.wait_gone()
    assert worker.pipe(2) == b"to the pipe\n"


def test_a_user_that_cannot_be_taken_is_an_error_not_a_function_as_another_user(rig):
    worker = rig.spawn("def handler(e, c): pass", groups=[2**32 - 1])
    document = worker.ready()
    assert "cannot run as uid None, gid None, groups [4294967295]" in document["errorMessage"]
    assert worker.exit_code() == 1


def test_isolation_that_does_not_exist_yet_is_refused(rig):
    worker = rig.spawn("def handler(e, c): pass", namespaces=["mnt"])
    assert "asks for namespaces" in worker.ready()["errorMessage"]


def test_a_missing_working_folder_is_named(rig):
    worker = rig.spawn("def handler(e, c): pass", cwd="/nowhere/at/all")
    assert "/nowhere/at/all" in worker.ready()["errorMessage"]


def test_resource_limits_are_set(rig):
    worker = rig.start(
        "import resource\ndef handler(e, c): return resource.getrlimit(resource.RLIMIT_NOFILE)",
        rlimits={"RLIMIT_NOFILE": [100, 200]},
    )
    assert worker.answer(b"") == [100, 200]


def test_a_resource_limit_that_cannot_be_set_is_named(rig):
    worker = rig.spawn("def handler(e, c): pass", rlimits={"RLIMIT_TASTE": [1, 1]})
    assert "resource limit 'RLIMIT_TASTE'" in worker.ready()["errorMessage"]


def test_random_numbers_differ_between_workers(rig):
    source = textwrap.dedent(
        """
        import random, ssl, uuid
        def handler(e, c): return [random.random(), ssl.RAND_bytes(4).hex(), str(uuid.uuid4())]
        """
    )
    one, other = rig.start(source).answer(b""), rig.start(source).answer(b"")
    assert [] == [value for value in one if value in other]


def test_signals_have_their_defaults(rig):
    worker = rig.start(
        """
        import signal
        def handler(e, c):
            return [signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGCHLD, signal.SIGHUP)]
        """
    )
    assert worker.answer(b"") == [True, True]


def test_an_error_document_is_json_the_core_can_pass_on(rig):
    worker = rig.start("def handler(e, c): raise ValueError('\\udc80 \\u20ac')")
    flags, payload = worker.invoke(b"")
    assert flags == Flag.HANDLED
    assert json.loads(payload)["errorMessage"] == "\udc80 €"
