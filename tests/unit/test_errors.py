# SPDX-License-Identifier: Apache-2.0
"""The exception tree: what programs and commands rely on."""

import pickle
import re
import subprocess
import sys

import pytest
from reference_tables import ADVICE, blocks, errors_table

from greengrass_sdk import errors
from greengrass_sdk.errors import (
    ConfigError,
    FunctionHandledError,
    FunctionTimeoutError,
    GreengrassError,
    HandlerError,
    LimitExceededError,
    NativeError,
    NoSubscriptionError,
    PackageError,
    Problem,
    QueueFullError,
    RequestTimeoutError,
    SecretNotFoundError,
    ShadowError,
    ShadowNotFoundError,
    StreamFullError,
    error_classes,
    error_from_code,
)

FUNCTION_OUTCOMES = {"Function", "FunctionHandled", "FunctionUnhandled", "FunctionTimeout"}


@pytest.mark.parametrize("cls", error_classes())
class TestEveryError:
    def test_is_built_from_its_message_alone(self, cls):
        assert "boom" == str(cls("boom"))

    def test_needs_no_message(self, cls):
        assert "" == str(cls())

    def test_survives_pickling_with_its_attributes(self, cls):
        error = pickle.loads(pickle.dumps(cls("boom")))
        assert (cls, "boom", cls("boom").__dict__) == (type(error), str(error), error.__dict__)

    def test_has_a_code_that_is_its_name(self, cls):
        assert cls.__name__ == f"{cls.code}Error"

    def test_has_a_sentence_that_says_when(self, cls):
        assert re.match(r"Raised (when|by) .+\.", cls.__doc__.strip())

    def test_is_exported_and_in_the_list_of_the_module(self, cls):
        assert cls.__name__ in errors.__all__
        assert f":exc:`{cls.__name__}`" in errors.__doc__

    def test_is_rebuilt_from_its_code(self, cls):
        error = error_from_code(cls.code, "boom")
        assert (cls, "boom") == (type(error), str(error))


def test_exit_codes_are_unique_but_for_outcomes_of_functions():
    codes = [cls.exit_code for cls in error_classes() if cls.code not in FUNCTION_OUTCOMES]
    assert sorted(set(codes)) == sorted(codes)
    assert {1} == {cls.exit_code for cls in error_classes() if cls.code in FUNCTION_OUTCOMES}


def test_no_exit_code_is_the_one_of_a_usage_error_or_a_signal():
    assert all(cls.exit_code == 1 or 2 < cls.exit_code < 126 for cls in error_classes())


def test_an_unknown_code_gives_an_error_that_keeps_it():
    error = error_from_code("FromTheFuture", "boom")
    assert (GreengrassError, "FromTheFuture", "boom") == (type(error), error.code, str(error))
    assert "Greengrass" == GreengrassError.code


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("InvalidInputError", ValueError),
        ("AuthorizationError", PermissionError),
        ("CoreUnavailableError", ConnectionError),
        ("RequestTimeoutError", TimeoutError),
        ("FunctionNotFoundError", LookupError),
        ("FunctionTimeoutError", TimeoutError),
        ("ShadowNotFoundError", LookupError),
        ("SecretNotFoundError", LookupError),
        ("StreamNotFoundError", LookupError),
    ],
)
def test_errors_are_caught_by_the_builtin_that_users_expect(name, builtin):
    assert issubclass(getattr(errors, name), builtin)


def test_what_may_succeed_later_is_retryable():
    expected = {
        "CoreUnavailable",
        "NotEnoughMessages",
        "QueueFull",
        "RequestTimeout",
        "ShadowVersionConflict",
    }
    assert expected == {cls.code for cls in error_classes() if cls.retryable}


class TestConfigError:
    def test_has_one_line_for_each_problem(self):
        error = ConfigError([Problem("is bad", file="group.toml", line=3, key="a"), Problem("no")])
        assert "group.toml:3: a: is bad\nno" == str(error)

    def test_takes_one_problem(self):
        problem = Problem("is bad")
        assert [problem] == ConfigError(problem).problems

    def test_makes_a_problem_of_a_text(self):
        assert [Problem("is bad")] == ConfigError("is bad").problems

    def test_keeps_its_problems_when_pickled(self):
        error = ConfigError([Problem("is bad", file="g", line=1, column=2, key="k")])
        assert error.problems == pickle.loads(pickle.dumps(error)).problems


class TestProblem:
    def test_reads_like_the_message_of_a_compiler(self):
        problem = Problem("must be text", file="group.toml", line=3, column=7, key="group.name")
        assert "group.toml:3:7: group.name: must be text" == str(problem)

    def test_leaves_out_what_is_not_known(self):
        assert "group.name: must be text" == str(Problem("must be text", key="group.name"))
        assert "Problem('must be text')" == repr(Problem("must be text"))

    def test_compares_by_all_that_it_holds(self):
        assert Problem("x", line=1) == Problem("x", line=1)
        assert Problem("x", line=1) != Problem("x", line=2)
        assert Problem("x") != "x"
        assert 1 == len({Problem("x", line=1), Problem("x", line=1)})


class TestAttributes:
    def test_a_function_error_carries_its_document(self):
        error = FunctionHandledError(
            "boom", function="echo", request_id="42", payload=b'{"errorMessage": "boom"}'
        )
        assert ("echo", "42", {"errorMessage": "boom"}) == (
            error.function,
            error.request_id,
            error.json(),
        )

    def test_a_document_that_is_not_json_says_so(self):
        with pytest.raises(ValueError, match="Expecting value"):
            FunctionTimeoutError("late").json()

    def test_others_carry_what_a_caller_needs(self):
        assert (3, 5) == (
            (error := LimitExceededError("x", limit=3, actual=5)).limit,
            error.actual,
        )
        assert 3.0 == RequestTimeoutError("x", timeout_s=3.0).timeout_s
        assert "echo" == QueueFullError("x", target="echo").target
        assert ("a", "t", "s-1") == (
            (row := NoSubscriptionError("x", source="a", topic="t", nearest="s-1")).source,
            row.topic,
            row.nearest,
        )
        assert ("a.zip", "../b") == (
            (package := PackageError("x", file="a.zip", entry="../b")).file,
            package.entry,
        )
        assert ["app.main"] == HandlerError("x", handler="a.b", candidates=["app.main"]).candidates
        assert "s" == StreamFullError("x", stream="s").stream
        assert -3 == NativeError("x", status=-3).status
        assert "AWSPENDING" == SecretNotFoundError("x", secret="s", stage="AWSPENDING").stage

    def test_shadow_errors_have_the_status_of_their_kind_unless_given(self):
        assert (500, 404, 400) == (
            ShadowError("x").status,
            ShadowNotFoundError("x").status,
            ShadowError("x", thing="t", status=400).status,
        )


def test_importing_the_errors_imports_nothing_else():
    program = (
        "import sys; before = set(sys.modules); import greengrass_sdk.errors;"
        "print(sorted(set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "['__future__', 'greengrass_sdk', 'greengrass_sdk.errors']" == found.stdout.strip()


def test_the_table_in_the_manual_is_fresh():
    assert {"errors": errors_table()} == blocks("errors.md"), ADVICE
