# SPDX-License-Identifier: Apache-2.0
"""The fixture, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
HEAD = """
import greengrasssdk
client = greengrasssdk.client("iot-data")
def handler(event, context):
    print("hello")
    client.publish(topic="out", payload=event["text"])
def prepare(greengrass):
    greengrass.add_function("echo", handler)
    greengrass.subscribe("cloud", "in", "echo")
"""


def _is_installed():
    """Whether pytest finds the plugin by itself, as it does for users."""
    return bool(entry_points(group="pytest11", name="greengrass_sdk"))


@pytest.fixture
def run(pytester):
    def run(body: str, *options: str, head: str = HEAD):
        pytester.makepyfile(head + body)
        plugins = ["-p", "no:randomly"]
        if not _is_installed():
            plugins += ["-p", "greengrass_sdk.testing.plugin"]
        return pytester.runpytest_subprocess(*plugins, *options)

    return run


def test_the_plugin_is_declared_for_pytest():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"greengrass_sdk": "greengrass_sdk.testing.plugin"} == (
        project["entry-points"]["pytest11"]
    )


def test_a_test_needs_no_configuration(run):
    result = run("""
def test_x(greengrass):
    prepare(greengrass)
    greengrass.deliver("in", {"text": "hi"})
    assert greengrass.published("out").one().payload == b"hi"
""")
    result.assert_outcomes(passed=1)


def test_a_test_with_unread_errors_fails_with_their_tracebacks(run):
    result = run("""
def test_x(greengrass):
    prepare(greengrass)
    greengrass.deliver("in", {})
def test_y(greengrass):
    prepare(greengrass)
    greengrass.deliver("in", {})
    assert "KeyError: 'text'" == greengrass.errors[0].last_line
""")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*UnreadErrors: an error in functions*", "*KeyError: 'text'*"])


def test_a_test_that_fails_shows_what_happened_in_the_core(run):
    result = run("""
def test_x(greengrass):
    prepare(greengrass)
    greengrass.deliver("in", {"text": "hi"})
    assert greengrass.published("uot")
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*no function has published on 'uot'; the nearest topic is 'out'*",
            "*- greengrass -*",
            "messages:",
            '  cloud: in {"text": "hi"}: delivered to echo',
            "  echo: out hi: dropped: no subscription matches; nearest is*",
            "log of echo:",
            "*hello",
        ]
    )


ON_BOTH = """
import os
import pytest
@pytest.fixture(params=["fake", "core"])
def greengrass_world(request):
    return request.param
"""


@pytest.mark.needs_core
@pytest.mark.timeout(90)
def test_the_same_test_runs_on_a_real_core(run):
    body = """
import os
def whoami(event, context):
    return os.getpid()
def test_x(greengrass):
    prepare(greengrass)
    greengrass.deliver("in", {"text": "hi"})
    assert greengrass.published("out").one().payload == b"hi"
    assert [record.message for record in greengrass.logs("echo")] == ["hello"]
def test_y(greengrass):
    greengrass.add_function("whoami", whoami)
    assert (greengrass.world == "fake") == (greengrass.invoke("whoami").json() == os.getpid())
"""
    run(body).assert_outcomes(passed=2)
    run(body, "--greengrass=core").assert_outcomes(passed=2)
    run(ON_BOTH + body, "-n", "2").assert_outcomes(passed=4)


@pytest.mark.needs_core
@pytest.mark.timeout(90)
def test_what_a_real_core_cannot_do_is_skipped_with_its_reason(run):
    result = run(
        """
import pytest
def test_x(greengrass):
    greengrass.add_function("f", lambda event, context: None)
@pytest.fixture
def broken(greengrass):
    greengrass.add_function("f", handler).crash()
def test_y(broken):
    pass
def test_z(greengrass):
    with pytest.raises(KeyError):
        greengrass.advance(days=8)
def test_error(greengrass):
    raise ZeroDivisionError
""",
        *("--greengrass=core", "-rs"),
    )
    result.assert_outcomes(skipped=3, failed=1)
    result.stdout.fnmatch_lines_random(
        ["*a worker is a process of its own*", "*fails by itself only*", "*time of a core is real"]
    )


def test_a_world_that_there_is_not_is_refused(run):
    result = run("def test_x(): pass", "--greengrass=moon")
    assert 4 == result.ret
    result.stderr.fnmatch_lines(["*--greengrass: invalid choice: 'moon'*"])


def test_the_plugin_imports_nothing_before_a_test_needs_it(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("""
def test_x():
    import sys
    with open("modules", "w") as file:
        file.write(" ".join(sys.modules))
""")
    loaded = []
    for plugins in ([], ["-p", "greengrass_sdk.testing.plugin"]):
        pytester.runpytest_subprocess(*plugins).assert_outcomes(passed=1)
        loaded.append(set((pytester.path / "modules").read_text().split()))
    without, unused = loaded
    package = ["greengrass_sdk", "greengrass_sdk.testing", "greengrass_sdk.testing.plugin"]
    assert package == sorted(unused - without)


def test_it_works_under_xdist(run):
    body = """
import pytest
@pytest.mark.parametrize("n", range(8))
def test_x(greengrass, n):
    prepare(greengrass)
    greengrass.deliver("in", {"text": str(n)})
    assert [str(n).encode()] == greengrass.published("out").payloads
"""
    run(body, "-n", "2").assert_outcomes(passed=8)


def test_unittest_needs_no_pytest(tmp_path):
    (tmp_path / "test_alone.py").write_text(
        HEAD
        + """
import sys
import unittest
from greengrass_sdk.testing import FakeCore
class EchoTest(unittest.TestCase):
    def setUp(self):
        self.core = FakeCore()
        self.addCleanup(self.core.close)
        prepare(self.core)
    def test_x(self):
        self.core.deliver("in", {"text": "hi"})
        self.assertEqual([b"hi"], self.core.published("out").payloads)
        self.assertNotIn("pytest", sys.modules)
    def test_unread(self):
        self.core.deliver("in", {})
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "-v"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "test_x (test_alone.EchoTest.test_x) ... ok" in done.stderr
    assert "test_unread (test_alone.EchoTest.test_unread) ... FAIL" in done.stderr
    assert "KeyError: 'text'" in done.stderr
    assert "Ran 2 tests" in done.stderr


def test_it_works_with_unittest_under_pytest(run):
    result = run("""
import unittest
from greengrass_sdk.testing import FakeCore
class EchoTest(unittest.TestCase):
    def setUp(self):
        self.core = FakeCore()
        self.addCleanup(self.core.close)
        prepare(self.core)
    def test_x(self):
        self.core.deliver("in", {"text": "hi"})
        self.assertEqual([b"hi"], self.core.published("out").payloads)
    def test_y(self):
        self.core.deliver("in", {})
""")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*UnreadErrors*"])
