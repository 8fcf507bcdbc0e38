# SPDX-License-Identifier: Apache-2.0
"""Warnings: allowed, and probably not meant."""

import os
from pathlib import Path

import pytest

from greengrass_sdk.model.group import (
    CloudSettings,
    Device,
    Function,
    Group,
    RunAs,
    Subscription,
    parse_group,
)
from greengrass_sdk.model.lint import lint_group

GROUP = '[group]\nname = "g"\ncore = "c"\n'


def warnings(group):
    return [(problem.key, problem.message) for problem in lint_group(group)]


def group(**changes):
    return Group(**{"name": "g", "core": "c", **changes})


def function(**changes):
    return Function(**{"name": "led", "code": Path("/no/zip"), "handler": "app.f", **changes})


class TestUnservedParts:
    @pytest.mark.parametrize(
        ("text", "key", "stays"),
        [
            ('[cloud]\nurl = "mqtt://x"', "cloud", "stay on this core"),
            ("[devices.a]\n[devices.b]", "devices", "their rows are kept"),
        ],
    )
    def test_each_gives_one_warning_that_says_what_stays_local(self, text, key, stays):
        [problem] = lint_group(parse_group(GROUP + text, base=Path("/")))
        assert (key, 4) == (problem.key, problem.line)
        assert stays in problem.message

    def test_a_group_without_a_file_gives_them_too(self):
        found = group(
            cloud=CloudSettings(url="mqtt://x"),
            devices={"a": Device(name="a")},
        )
        assert ["cloud", "devices"] == [key for key, _ in warnings(found)]

    def test_clients_and_limits_are_served(self):
        assert [] == lint_group(parse_group(GROUP + "[clients.a]\n[limits]", base=Path("/")))


class TestFunctions:
    def of(self, **changes):
        return warnings(group(functions={"led": function(**changes)}))

    def test_root_needs_to_be_allowed(self):
        [(key, message)] = self.of(run_as=RunAs(gid=0))
        assert "functions.led.run_as" == key
        assert "allowFunctionsToRunAsRoot" in message
        assert [] == self.of(run_as=RunAs(uid=1))

    def test_a_pinned_function_has_no_use_for_more_workers(self):
        assert ["functions.led.max_workers", "functions.led.idle_s"] == [
            key for key, _ in self.of(pinned=True, max_workers=2, idle_s=1)
        ]
        assert [] == self.of(pinned=True)

    def test_a_command_that_is_not_on_the_path_is_named(self):
        assert [("functions.led.python", "there is no 'python0.9' on PATH")] == self.of(
            python="python0.9"
        )
        assert [] == self.of(python="sh")
        assert [] == self.of(python="/no/such/python")

    @pytest.mark.parametrize(
        ("handler", "warned"),
        [
            ("app.f", False),
            ("package.f", False),
            ("package.inner.f", False),
            ("native.f", False),
            ("ap.f", "no module 'ap' in {}; did you mean 'app'?"),
            ("package.outer.f", "no module 'package.outer' in {}"),
            ("xyz.f", "no module 'xyz' in {}; it has: app"),
        ],
    )
    def test_a_handler_without_module_names_the_nearest(self, tmp_path, handler, warned):
        (tmp_path / "package").mkdir()
        for name in ("app.py", "package/inner.py", "native.cpython-311-x86_64-linux-gnu.so"):
            (tmp_path / name).write_text("")
        found = self.of(code=tmp_path, handler=handler)
        if not warned:
            assert [] == found
        else:
            [(key, message)] = found
            assert "functions.led.handler" == key
            assert warned.format(tmp_path) in message

    def test_a_folder_that_cannot_be_read_is_left_to_who_runs_it(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert [] == self.of(code=tmp_path, handler="app.f")

    def test_an_empty_folder_has_no_modules(self, tmp_path):
        [(_, message)] = self.of(code=tmp_path)
        assert "it has: no modules" in message


class TestRows:
    def of(self, *rows):
        return warnings(group(subscriptions=list(rows)))

    def test_a_row_that_stands_twice_is_named(self):
        first = Subscription("a", "x", "t", "y", line=7)
        again = Subscription("b", "x", "t", "y", line=9)
        expected = "says the same as 'a' of line 7; messages are delivered once"
        assert [("subscriptions[1]", expected)] == self.of(first, again)

    def test_without_lines_the_id_is_enough(self):
        rows = [Subscription(name, "x", "t", "y") for name in "ab"]
        assert "says the same as 'a'; messages are delivered once" == self.of(*rows)[0][1]

    @pytest.mark.parametrize(
        ("target", "levels", "warned"), [("cloud", 8, 0), ("cloud", 9, 1), ("x", 9, 0)]
    )
    def test_the_cloud_takes_eight_levels(self, target, levels, warned):
        row = Subscription("a", "y", "/".join("l" * levels), target)
        found = self.of(row)
        assert [("subscriptions[0].subject", "has 9 levels; AWS IoT takes at most 8")][
            :warned
        ] == found

    def test_the_cloud_to_itself_is_a_mistake(self):
        [(key, message)] = self.of(Subscription("a", "cloud", "t", "cloud"))
        assert ("subscriptions[0]", "sends the cloud its own messages") == (key, message)


def test_warnings_have_the_file_and_its_order():
    found = group(
        path=Path("/g/group.toml"),
        lines={"cloud": 9},
        cloud=CloudSettings(url="mqtt://x"),
        functions={"led": function(run_as=RunAs(uid=0), line=4)},
    )
    assert [("/g/group.toml", 4), ("/g/group.toml", 9)] == [
        (problem.file, problem.line) for problem in lint_group(found)
    ]
