# SPDX-License-Identifier: Apache-2.0
"""What a function sees of the process, and what the test keeps."""

from __future__ import annotations

import logging
import os
import signal
import sys
from threading import Lock
from time import sleep
from typing import Any

import pytest

from greengrass_sdk import FunctionUnhandledError
from greengrass_sdk.testing.threads import REAL_LOCK, VirtualLock
from greengrass_sdk.testing.world import Substitutes


def run(core, body, **options):
    core.add_function("f", lambda _event, _context: body(), **options)
    return core.invoke("f").json()


def test_a_function_has_the_variables_of_a_core_and_its_own(core):
    def look():
        return [
            os.environ[k] for k in ("MY_FUNCTION_ARN", "AWS_IOT_THING_NAME", "ENCODING_TYPE", "X")
        ]

    arn = "arn:aws:lambda:us-east-1:000000000000:function:f:1"
    assert [arn, "test-core", "json", "y"] == run(core, look, environment={"X": "y"})
    assert "MY_FUNCTION_ARN" not in os.environ


def test_a_callable_sees_the_variables_that_the_test_sets(core, monkeypatch):
    core.add_function("f", lambda _event, _context: os.environ.get("FROM_TEST"))
    monkeypatch.setenv("FROM_TEST", "1")
    assert "1" == core.invoke("f").json()
    monkeypatch.setenv("FROM_TEST", "2")
    assert "2" == core.invoke("f").json()


def test_a_test_may_put_a_mapping_in_place_of_the_variables(core, monkeypatch):
    variables: Any = {"FROM_TEST": "1"}
    monkeypatch.setattr(os, "environ", variables)

    def look():
        os.environ["FROM_FUNCTION"] = "2"
        return [os.environ["FROM_TEST"], os.getenv("ENCODING_TYPE"), os.getenv("FROM_FUNCTION")]

    assert ["1", "json", "2"] == run(core, look)
    assert os.environ is variables
    assert {"FROM_TEST": "1"} == variables


def test_an_imported_function_sees_only_what_a_core_hands_on(core, monkeypatch, write):
    monkeypatch.setenv("FROM_TEST", "1")
    folder = write(
        """
        import os
        def handler(event, context):
            os.environ["COUNT"] = os.environ.get("COUNT", "") + "x"
            return [os.environ.get("FROM_TEST"), os.environ["COUNT"], os.getcwd()]
        """
    )
    core.add_function("f", "app.handler", code=folder)
    here = os.getcwd()  # noqa: PTH109 - compared with what it was
    assert [None, "x", str(folder)] == core.invoke("f").json()
    assert [None, "xx", str(folder)] == core.invoke("f").json()
    assert "COUNT" not in os.environ
    assert here == os.getcwd()  # noqa: PTH109 - see above


def test_a_change_of_a_variable_stays_in_the_function(core):
    def change(_event, _context):
        os.environ["STAYS"] = os.environ.get("STAYS", "") + "x"
        return os.environ["STAYS"]

    core.add_function("f", change)
    assert ["x", "xx"] == [core.invoke("f").json() for _ in range(2)]
    assert "STAYS" not in os.environ


def test_what_is_printed_and_logged_is_in_the_functions_log(core, capsys):
    def talk():
        print("to stdout")  # noqa: T201 - the test
        print("to stderr", file=sys.stderr)  # noqa: T201 - the test
        logging.getLogger("app").info("logged")
        logging.getLogger("app").debug("not logged")

    run(core, talk)
    assert [("INFO", "to stdout"), ("ERROR", "to stderr"), ("INFO", "logged")] == [
        (record.level, record.message) for record in core.logs("f")
    ]
    assert "test_world.py" in core.logs("f")[0].origin
    assert ("", "") == capsys.readouterr()


def test_the_level_and_handlers_of_logging_stay_the_functions_own(core):
    root = logging.getLogger()
    before = root.level, list(root.handlers)

    def configure(_event, _context):
        root.setLevel(logging.DEBUG)
        root.addHandler(logging.NullHandler())
        logging.getLogger("app").debug("deep")
        return len(root.handlers)

    core.add_function("f", configure)
    first = core.invoke("f").json()
    assert first + 1 == core.invoke("f").json()
    assert before == (root.level, root.handlers)
    assert ["deep", "deep"] == [record.message for record in core.logs("f")]


def test_a_hard_exit_ends_the_worker_and_not_the_test(core):
    with pytest.raises(FunctionUnhandledError, match="exited with code 4"):
        run(core, lambda: os._exit(4))


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"signal 9 \(SIGKILL\)"),
        (lambda: signal.raise_signal(signal.SIGSEGV), r"signal 11 \(SIGSEGV\)"),
        (lambda: os.abort(), r"signal 6 \(SIGABRT\)"),  # noqa: PLW0108 - looked up when it runs
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "exited with code 0"),
    ],
    ids=["kill", "raise_signal", "abort", "terminate"],
)
def test_a_signal_to_itself_ends_the_worker_and_not_the_test(core, end, text):
    with pytest.raises(FunctionUnhandledError, match=text):
        run(core, end)


def test_signals_that_end_nothing_are_sent(core):
    def send():
        os.kill(os.getpid(), 0)
        os.kill(os.getpid(), signal.SIGCONT)
        with pytest.raises(ProcessLookupError):
            os.kill(2**22 + 1, signal.SIGTERM)  # no such process: others are not the function's

    run(core, send)


def test_a_function_may_set_handlers_of_signals(core):
    before = signal.getsignal(signal.SIGTERM)
    assert run(core, lambda: signal.signal(signal.SIGTERM, print) is signal.SIG_DFL)
    assert before == signal.getsignal(signal.SIGTERM)


def test_names_are_replaced_in_a_module_and_put_back():
    own = Lock()
    module: dict[str, Any] = {"sleep": sleep, "own": own, "held": Lock(), "other": 1}
    module["held"].acquire()
    substitutes = Substitutes()
    substitutes.install(module)
    assert sleep is not module["sleep"]
    assert [VirtualLock, REAL_LOCK] == [type(module[name]) for name in ("own", "held")]
    substitutes.close()
    assert sleep is module["sleep"]
    assert own is module["own"]
