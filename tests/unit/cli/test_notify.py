# SPDX-License-Identifier: Apache-2.0
"""Telling the service manager how far we are."""

from __future__ import annotations

import socket

import pytest

from greengrass_sdk.cli._notify import notify


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    address = f"\0{tmp_path}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        yield sock


def test_the_manager_gets_the_state(manager):
    assert notify("READY=1")
    assert manager.recv(100) == b"READY=1"


def test_without_a_manager_nobody_is_told(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    assert not notify("READY=1")


def test_a_manager_that_is_gone_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))

    assert not notify("READY=1")
