# SPDX-License-Identifier: Apache-2.0
"""
Where a core writes what.

Ref: Greengrass V1 guide, "Monitoring with AWS IoT Greengrass logs", "FileSystem logs"
"""

from __future__ import annotations

import re

from projects import write_project
from running_core import RunningCore

LINE = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]\[(\w+)\]-([^,]+),(.*)"
SPEAK = """
import logging
def handler(event, context):
    logging.info("low")
    logging.error("high")
"""


def spoken(folder, **tables):
    """Return the lines of the log of a function that was invoked once, and the root."""
    project = write_project(folder, {"speak": SPEAK}, {"speak": {}}, **tables)
    with RunningCore(project) as core:
        core.command("invoke", "speak")
        core.log("speak", "high")
        root = core.root
    log = root / "ggc" / "var" / "log"
    return log, (log / "user" / "us-east-1" / "000000000000" / "speak.log").read_text().splitlines()


def test_a_function_has_a_file_by_region_and_account_and_v1s_lines(tmp_path):
    """GG-LG-01"""
    _, lines = spoken(tmp_path)
    found = [re.fullmatch(LINE, line) for line in lines[:2]]  # then it tells of its end
    assert [("INFO", "speak.py:4", "low"), ("ERROR", "speak.py:5", "high")] == [
        line.groups() for line in found if line
    ]
    assert all(found)


def test_the_core_has_its_own_files(tmp_path):
    """GG-LG-02"""
    log, _ = spoken(tmp_path)
    lines = (log / "system" / "runtime.log").read_text().splitlines()
    assert lines
    assert all(re.fullmatch(LINE, line) for line in lines)


def test_a_level_keeps_records_below_it_out(tmp_path):
    """GG-LG-03"""
    project = tmp_path / "project"
    write_project(project, {"speak": SPEAK}, {"speak": {}})
    group = project / "group.toml"
    group.write_text(group.read_text() + '[[loggers]]\ncomponent = "Lambda"\nlevel = "ERROR"\n')
    with RunningCore(project) as core:
        core.command("invoke", "speak")
        core.log("speak", "high")
        shown = [e["message"] for e in core.events if e.get("function") == "speak" and "level" in e]
    assert ["high"] == shown
