# SPDX-License-Identifier: Apache-2.0
"""What keys of the group file mean together."""

import sys

import pytest

from greengrass_sdk.model.builder import Builder
from greengrass_sdk.model.function import RunAs
from greengrass_sdk.model.reader import Problems, read_tables

CODE = {"code": ".", "handler": "a.f"}
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:wifi-AbCdEf"
LED = "arn:aws:lambda:us-east-1:000000000000:function:led:1"


def builder(base, **data):
    data = {"group": {"name": "g", "core": "core"}, "functions": {"led": dict(CODE)}, **data}
    problems = Problems("group.toml", {(name,): line for line, name in enumerate(data, start=1)})
    found = Builder(read_tables(data, problems), problems, base)
    found.check()
    return found


def problems(base, **data):
    return {problem.key: problem.message for problem in builder(base, **data).problems.found}


def build(base, **data):
    found = builder(base, **data)
    assert [] == found.problems.found
    return found.build(None)


def row(source="led", target="cloud", **keys):
    return {"source": source, "subject": "a", "target": target, **keys}


class TestNames:
    @pytest.mark.parametrize(
        ("data", "key", "reason"),
        [
            ({"functions": {"cloud": CODE}}, "functions.cloud", "'cloud' is reserved"),
            ({"clients": {"GGShadowService": {}}}, "clients.GGShadowService", "is reserved"),
            ({"devices": {"led": {}}}, "devices.led", "'led' is taken by functions.led"),
            (
                {"devices": {"app": {}}, "clients": {"app": {}}},
                "clients.app",
                "'app' is taken by devices.app",
            ),
            ({"devices": {"core": {}}}, "devices.core", "'core' is the core itself"),
        ],
    )
    def test_names_are_unique_and_not_reserved(self, tmp_path, data, key, reason):
        [(found, message)] = problems(tmp_path, **data).items()
        assert key == found
        assert reason in message


class TestFunctions:
    def test_paths_become_absolute(self, tmp_path):
        keys = {**CODE, "python": sys.executable, "run_as": {"uid": 5}}
        found = build(tmp_path, functions={"led": keys}).functions["led"]
        assert (tmp_path, sys.executable, RunAs(uid=5)) == (found.code, found.python, found.run_as)

    def test_missing_paths_are_problems(self, tmp_path):
        keys = {**CODE, "code": "x", "python": "./y"}
        found = problems(tmp_path, functions={"led": keys})
        assert ["functions.led.code", "functions.led.python"] == list(found)

    def test_secrets_are_known_by_name_and_arn(self, tmp_path):
        found = build(
            tmp_path,
            functions={"led": {**CODE, "secrets": [SECRET, "key"]}},
            secrets={"wifi": {"arn": SECRET}, "key": {}},
        )
        assert ("wifi", "key") == found.functions["led"].secrets
        assert (SECRET, None) == (found.secrets["wifi"].arn, found.secrets["key"].arn)

    @pytest.mark.parametrize(
        ("names", "key", "reason"),
        [
            (["wify"], "functions.led.secrets[0]", "no secret 'wify'; did you mean 'wifi'?"),
            (["wifi", "db"], "functions.led.secrets[1]", "declare it: [secrets.db]"),
            (["wifi", SECRET], "functions.led.secrets[1]", "the secret 'wifi' stands there twice"),
        ],
    )
    def test_wrong_secrets_are_problems(self, tmp_path, names, key, reason):
        data = {
            "functions": {"led": {**CODE, "secrets": names}},
            "secrets": {"wifi": {"arn": SECRET}},
        }
        [(found, message)] = problems(tmp_path, **data).items()
        assert key == found
        assert reason in message


def test_a_secret_stands_once_in_a_group(tmp_path):
    found = problems(tmp_path, secrets={"a": {"arn": SECRET}, "b": {"arn": SECRET}, "c": {}})
    assert {"secrets.b.arn": "is the ARN of [secrets.a]; a secret stands once in a group"} == found


def test_a_component_has_one_logger(tmp_path):
    loggers = [{"component": name} for name in ("Lambda", "GreengrassSystem", "Lambda")]
    found = problems(tmp_path, loggers=loggers)
    assert {"loggers[2].component": "there is a logger for 'Lambda' already"} == found


def test_loggers_that_are_wrong_are_not_compared(tmp_path):
    found = problems(tmp_path, loggers=[{"component": "x"}, {"component": "x"}])
    assert ["loggers[0].component", "loggers[1].component"] == list(found)


class TestRows:
    def test_names_and_arns_become_addresses(self, tmp_path):
        rows = [row(), row("cloud", LED), row(LED.removesuffix(":1"), "GGShadowService")]
        found = build(tmp_path, subscriptions=rows)
        assert [(LED, "cloud"), ("cloud", LED), (LED, "GGShadowService")] == [
            (one.source, one.target) for one in found.subscriptions
        ]

    def test_rows_without_id_get_one_that_is_free(self, tmp_path):
        rows = [row(), row(id="subscription-3"), row(), row(id="x")]
        found = build(tmp_path, subscriptions=rows)
        assert ["subscription-1", "subscription-3", "subscription-4", "x"] == [
            one.id for one in found.subscriptions
        ]

    def test_unknown_names_and_taken_ids_are_problems(self, tmp_path):
        rows = [row("lad", id="a"), row(target="arn:aws:lambda:x", id="a")]
        found = problems(tmp_path, subscriptions=rows)
        assert [
            "subscriptions[0].source",
            "subscriptions[1].id",
            "subscriptions[1].target",
        ] == list(found)

    def test_a_function_with_problems_is_still_known_to_rows(self, tmp_path):
        found = problems(tmp_path, functions={"led": {"code": "x"}}, subscriptions=[row()])
        assert ["functions.led", "functions.led.code"] == list(found)

    def test_arns_are_not_compared_with_a_wrong_region(self, tmp_path):
        group = {"name": "g", "core": "c", "region": "x"}
        found = problems(tmp_path, group=group, subscriptions=[row(LED)])
        assert ["group.region"] == list(found)

    def test_rows_with_missing_keys_are_reported_once(self, tmp_path):
        found = problems(tmp_path, subscriptions=[{"subject": "a", "target": "cloud"}])
        assert ["subscriptions[0]"] == list(found)


class TestParts:
    def test_paths_of_the_cloud_start_from_the_group_file(self, tmp_path):
        found = build(tmp_path, cloud={"url": "mqtts://x", "ca_path": "ca.pem"}).cloud
        assert (tmp_path / "ca.pem", None) == (found.ca_path, found.private_key_path)

    def test_without_a_cloud_there_are_no_settings_for_it(self, tmp_path):
        assert build(tmp_path).cloud is None

    def test_paths_of_streams_start_from_the_group_file(self, tmp_path):
        streams = {"store_dir": "s", "read_only_dirs": ["a", "/b"]}
        found = build(tmp_path, streams=streams).streams
        assert (tmp_path / "s", [f"{tmp_path}/a", "/b"]) == (
            found.store_dir,
            [str(path) for path in found.read_only_dirs],
        )

    def test_everything_else_is_taken_over(self, tmp_path):
        found = build(
            tmp_path,
            limits={"work_items": 7},
            devices={"lamp": {"sync_shadow": True}},
            clients={"app": {}},
            shadows={"members_only": True},
            loggers=[{"component": "Lambda"}],
        )
        assert (7, True, "app", True, "Lambda") == (
            found.limits.work_items,
            found.devices["lamp"].sync_shadow,
            found.clients["app"].name,
            found.shadows.members_only,
            found.loggers[0].component,
        )

    def test_lines_of_tables_are_kept(self, tmp_path):
        assert {"group": 1, "functions": 2} == build(tmp_path).lines
