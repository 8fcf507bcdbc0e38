# SPDX-License-Identifier: Apache-2.0
import stat

import pytest

from greengrass_sdk.core.ipc import tokens
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.errors import ConfigError
from greengrass_sdk.model.group import parse_group

GROUP = 'schema = 1\n[group]\nname = "g"\ncore = "c"\n[clients.panel]\n[clients.probe]\n'


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path / "root")
    layout.create()
    return layout


@pytest.fixture
def group(tmp_path):
    return parse_group(GROUP, base=tmp_path, file="group.toml")


def numbers(group):
    return {client.arn: n for n, client in enumerate(group.clients.values(), start=5)}


def test_each_client_has_a_token_of_its_own_in_a_file_for_the_owner(group, layout):
    clients = tokens.clients(group, layout, numbers(group))
    assert ["panel", "probe"] == list(clients)
    assert clients["panel"].token != clients["probe"].token
    path = layout.tokens_dir / "panel"
    assert clients["panel"].token == path.read_text()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 5 == clients["panel"].endpoint


def test_a_client_keeps_its_token_over_restarts(group, layout):
    first = tokens.clients(group, layout, numbers(group))
    assert first == tokens.clients(group, layout, numbers(group))


def test_the_token_of_a_client_that_is_gone_is_removed(group, layout):
    (layout.tokens_dir / "old").write_text("secret")
    tokens.clients(group, layout, numbers(group))
    assert not (layout.tokens_dir / "old").exists()


def test_an_empty_token_file_is_written_anew(group, layout):
    (layout.tokens_dir / "panel").write_text("")
    assert tokens.clients(group, layout, numbers(group))["panel"].token


def test_the_tool_token_is_new_at_every_start(layout):
    assert tokens.tool(layout) != tokens.tool(layout)
    assert 0o600 == stat.S_IMODE(layout.tool_token.stat().st_mode)


def test_an_unreadable_token_names_its_file(group, layout):
    (layout.tokens_dir / "panel").mkdir()
    with pytest.raises(ConfigError, match=r"token .*/panel cannot be read: .*; remove it"):
        tokens.clients(group, layout, numbers(group))


def test_a_folder_that_cannot_be_written_names_the_token(layout, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("greengrass_sdk.core.ipc.tokens.os.open", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        tokens.tool(layout)
