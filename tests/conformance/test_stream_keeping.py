# SPDX-License-Identifier: Apache-2.0
"""
Streams: how a core keeps them.

Ref: Greengrass V1 guide, "Manage data streams", "Configure stream manager"
"""

from __future__ import annotations

import signal
import textwrap

import pytest
from projects import write_project
from running_core import RunningCore


@pytest.fixture
def project(tmp_path):
    def project(**settings):
        code = textwrap.dedent(
            """
            from greengrass_sdk import Client

            def handler(event, context):
                stream = Client().stream("readings")
                if "readings" not in Client().streams():
                    stream.create(flush_on_write=True)
                return stream.append(event)
            """
        )
        streams = {"enabled": True, "port": 0, **settings}
        return write_project(tmp_path / "p", {"writer": code}, {"writer": {}}, streams=streams)

    return project


def logs(folder):
    return sorted(path.name for path in folder.rglob("*.log"))


def test_a_stream_survives_the_end_of_the_core_whatever_ended_it(project):
    """GG-SM-06"""
    folder = project()
    with RunningCore(folder, status=-signal.SIGKILL) as core:
        core.command("invoke", "writer", '"one"')
        core.process.send_signal(signal.SIGKILL)
        core.process.wait(30)
    with RunningCore(folder) as core:
        assert b"1" == core.command("invoke", "writer", '"two"').stdout.strip()
        read = core.command("stream", "read", "readings").stdout
        assert [b"one", b"two"] == read.split()


def test_streams_are_kept_where_the_group_says_and_deleting_one_deletes_its_data(project, tmp_path):
    """GG-SM-07"""
    store = tmp_path / "data"
    with RunningCore(project(store_dir=str(store))) as core:
        core.command("invoke", "writer", '"one"')
        assert ["00000000000000000000.log"] == logs(store)
        core.command("stream", "delete", "readings")
        assert [] == logs(store)


def test_what_was_lost_stands_in_the_log_of_v1s_name(project):
    """GG-SM-08"""
    folder = project()
    with RunningCore(folder) as core:
        core.command("invoke", "writer", '"one"')
        root = core.root
    [segment] = (root / "ggc/var/state/streams").rglob("*.log")
    with segment.open("ab") as file:
        file.write(b"torn")
    with RunningCore(folder) as core:
        assert [b"one"] == core.command("stream", "read", "readings").stdout.split()
        log = (core.root / "ggc/var/log/system/GGStreamManager.log").read_text()
    assert "[WARN]-" in log
    assert "stream readings" in log
    assert "a torn tail of" in log
