# SPDX-License-Identifier: Apache-2.0
"""`greengrass secret`: what it keeps, and where it takes values from."""

from __future__ import annotations

import io
import json
import os

import pytest

from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.secrets import aws
from greengrass_sdk.core.secrets.store import CURRENT, PREVIOUS, Version
from greengrass_sdk.core.secrets.vault import Vault


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    root = tmp_path / "root"
    monkeypatch.setenv("GREENGRASS_ROOT", str(root))
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture
def pipe(monkeypatch):
    """Let standard input be a pipe with these bytes."""

    def fill(value):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(value)))

    return fill


def kept(root):
    """Return labels and values of all versions of the secret wifi."""
    layout = Layout(root)
    vault = Vault.open(layout.secret_database, layout.secret_key, None, deployment="", now_ms=1)
    found = {each.stages: vault.reveal(each) for each in vault.versions("wifi")}
    vault.close()
    return found


def test_a_value_from_a_pipe_loses_its_last_newline_only(run, pipe, root):
    for given, value in ((b"a\n\n", b"a\n"), (b"a\r\n", b"a"), (b" a ", b" a ")):
        pipe(given)
        assert 0 == run("secret", "put", "wifi")[0]
        assert value == kept(root)[CURRENT,]


def test_bytes_from_a_pipe_and_a_file_stay_as_they_are(run, pipe, root, tmp_path):
    pipe(b"\xff\n")
    assert 0 == run("secret", "put", "wifi", "--binary")[0]
    assert b"\xff\n" == kept(root)[CURRENT,]
    (tmp_path / "value").write_bytes(b"text\n")
    assert 0 == run("secret", "put", "wifi", "--file", tmp_path / "value")[0]
    assert {(PREVIOUS,): b"\xff\n", (CURRENT,): b"text\n"} == kept(root)


def at_a_terminal(monkeypatch, *answers):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    given = list(answers)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: given.pop(0))


def test_at_a_terminal_the_value_is_asked_for_twice(run, monkeypatch, root):
    at_a_terminal(monkeypatch, "hunter2", "hunter2")
    code, out, err = run("secret", "put", "wifi")
    assert (0, {(CURRENT,): b"hunter2"}) == (code, kept(root))
    assert "hunter2" not in out + err


def test_two_values_that_differ_change_nothing(run, monkeypatch, root):
    at_a_terminal(monkeypatch, "hunter2", "hunter3")
    code, _, err = run("secret", "put", "wifi")
    assert (2, True) == (code, "the two values differ" in err)
    assert not Layout(root).secret_database.exists()


def test_bytes_are_not_asked_for(run, monkeypatch):
    at_a_terminal(monkeypatch)
    code, _, err = run("secret", "put", "wifi", "--binary")
    assert (2, True) == (code, "--file or from a pipe" in err)


def test_a_value_is_never_taken_from_the_command_line(run, pipe):
    pipe(b"x")
    assert 2 == run("secret", "put", "wifi", "hunter2")[0]


@pytest.mark.parametrize(
    ("value", "options", "why"),
    [
        (b"", [], "must not be empty"),
        (b"\n", [], "must not be empty"),
        (b"\xff", [], "say that it is binary"),
        (b"x" * 65537, [], "at most 65536"),
    ],
)
def test_a_bad_value_is_refused_before_anything_is_made(run, pipe, root, value, options, why):
    pipe(value)
    code, _, err = run("secret", "put", "wifi", *options)
    assert (True, True) == (code != 0, why in err)
    assert not root.exists()


def test_a_bad_name_is_refused(run, pipe):
    pipe(b"x")
    code, _, err = run("secret", "put", "wi fi")
    assert (True, True) == (code != 0, "secret name 'wi fi'" in err)


def test_labels_are_those_that_were_given(run, pipe, root):
    pipe(b"one")
    run("secret", "put", "wifi", "--stage", "blue", "--stage", "green", "--stage", "blue")
    assert {("blue", "green"): b"one"} == kept(root)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["put"], "put needs the NAME"),
        (["delete"], "delete needs the NAME"),
        (["list", "wifi"], "list takes no NAME"),
        (["rotate", "--file", "f"], "rotate takes no --file"),
        (["delete", "wifi", "--stage", "x"], "delete takes no --stage"),
        (["put", "wifi", "--as", "x"], "put takes no --as"),
        (["put", "wifi", "--region", "x"], "put takes no --region"),
        (["import", "wifi", "--binary"], "import takes no --binary"),
    ],
)
def test_what_an_action_does_not_know_is_wrong_usage(run, words, why):
    code, _, err = run("secret", *words)
    assert (2, True) == (code, why in err)


def test_list_shows_versions_and_no_values(run, pipe):
    for value in (b"hunter1", b"hunter2"):
        pipe(value)
        run("secret", "put", "wifi")
    _, out, _ = run("secret", "list", "--json")
    document = json.loads(out)
    assert [[PREVIOUS], [CURRENT]] == [each["stages"] for each in document["versions"]]
    assert {"name", "version_id", "stages", "kind", "created_ms"} == set(document["versions"][0])
    _, text, _ = run("secret", "list")
    assert ["NAME", "wifi", "wifi"] == [line.split()[0] for line in text.splitlines()]
    assert "hunter" not in out + text


def test_list_of_nothing_makes_nothing(run, root):
    assert (0, "", "no secrets\n") == run("secret", "list")
    assert {"schema": 1, "versions": []} == json.loads(run("secret", "list", "--json")[1])
    assert not root.exists()


def test_list_needs_no_key(run, pipe, root):
    pipe(b"x")
    run("secret", "put", "wifi")
    Layout(root).secret_key.unlink()
    assert "wifi" in run("secret", "list")[1]
    pipe(b"x")
    code, _, err = run("secret", "put", "wifi")
    assert (True, True) == (code != 0, "is not here" in err)


def test_rotate_keeps_the_values(run, pipe, root):
    pipe(b"one")
    run("secret", "put", "wifi")
    before = Layout(root).secret_database.read_bytes()
    assert 0 == run("secret", "rotate")[0]
    assert before != Layout(root).secret_database.read_bytes()
    assert {(CURRENT,): b"one"} == kept(root)
    assert {"schema": 1, "rotated": True} == json.loads(run("secret", "rotate", "--json")[1])


def test_delete_forgets_a_secret(run, pipe, root):
    assert 51 == run("secret", "delete", "wifi")[0]
    pipe(b"one")
    run("secret", "put", "wifi")
    assert (0, "wifi is deleted\n", "") == run("secret", "delete", "wifi")
    assert {} == kept(root)
    assert 51 == run("secret", "delete", "wifi")[0]


def test_put_tells_the_version(run, pipe):
    pipe(b"one")
    document = json.loads(run("secret", "put", "wifi", "--json")[1])
    [version] = document["versions"]
    assert ("wifi", [CURRENT], "text") == (version["name"], version["stages"], version["kind"])
    pipe(b"one")
    assert "is AWSCURRENT" in run("secret", "put", "wifi")[1]


def fetched(*labels, name="greengrass-Test", value=b"v"):
    return aws.Fetched(Version(name, "-".join(labels), labels, 5), value, "arn:of:it")


def test_import_keeps_what_aws_has(run, root, monkeypatch):
    asked = []

    def fetch(identifier, stages, **options):
        asked.append((identifier, list(stages), options))
        return [fetched(CURRENT, name="wifi", value=b"2"), fetched("blue", name="wifi", value=b"1")]

    monkeypatch.setattr(aws, "fetch", fetch)
    code, out, err = run(
        *("secret", "import", "aws-name", "--as", "wifi", "--stage", "blue", "--region", "r")
    )
    assert 0 == code
    options = {"name": "wifi", "region": "r"}
    assert [("aws-name", [CURRENT, "blue"], options)] == asked
    assert {("blue",): b"1", (CURRENT,): b"2"} == kept(root)
    assert "wifi: version AWSCURRENT is AWSCURRENT" in out
    assert '[secrets."wifi"] arn = "arn:of:it"' in err


def test_labels_stand_where_they_stand_in_aws(run, pipe, root, monkeypatch):
    versions = [fetched(CURRENT, name="wifi"), fetched(PREVIOUS, name="wifi", value=b"old")]
    monkeypatch.setattr(aws, "fetch", lambda *_, **__: versions)
    pipe(b"of here")
    run("secret", "put", "wifi")
    for _ in range(2):
        assert 0 == run("secret", "import", "wifi", "--stage", PREVIOUS)[0]
        assert {(PREVIOUS,): b"old", (CURRENT,): b"v"} == kept(root)


def test_beside_a_group_file_the_root_is_that_of_run(run, pipe, tmp_path, monkeypatch):
    monkeypatch.delenv("GREENGRASS_ROOT")
    (tmp_path / "group.toml").write_text("")
    pipe(b"one")
    assert 0 == run("secret", "put", "wifi")[0]
    assert {(CURRENT,): b"one"} == kept(tmp_path / ".greengrass")


def test_the_write_directory_of_the_configuration_is_used(run, pipe, root, tmp_path):
    (root / "config").mkdir(parents=True)
    (root / "config" / "config.json").write_text(
        json.dumps({"writeDirectory": str(tmp_path / "w")})
    )
    pipe(b"one")
    assert 0 == run("secret", "put", "wifi")[0]
    assert Layout(root, tmp_path / "w").secret_database.exists()


def test_another_user_is_told_to_be_the_owner(run, pipe, monkeypatch):
    pipe(b"one")
    run("secret", "put", "wifi")
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    pipe(b"two")
    code, _, err = run("secret", "put", "wifi")
    assert (True, True) == (code != 0, f"belongs to uid {uid}" in err)


def test_a_file_that_is_not_there_is_an_error(run, tmp_path):
    code, _, err = run("secret", "put", "wifi", "--file", tmp_path / "none")
    assert (50, True) == (code, "none" in err)
