# SPDX-License-Identifier: Apache-2.0
import grp
import os
import pwd
from types import SimpleNamespace

import pytest

from greengrass_sdk.core.functions.identity import Identity, default_identity, resolve
from greengrass_sdk.errors import ConfigError

GGC = Identity(990, 991, (991,))


def test_the_default_identity_is_ggc_user_and_ggc_group(monkeypatch):
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_uid=990))
    monkeypatch.setattr(grp, "getgrnam", lambda _: SimpleNamespace(gr_gid=991))
    assert GGC == default_identity()


def test_a_missing_ggc_user_is_told_in_v1s_words(monkeypatch):
    def missing(name):
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", missing)
    text = "could not find UID based on user name, userName: ggc_user: user: unknown user ggc_user"
    with pytest.raises(ConfigError, match=text):
        default_identity()
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_uid=990))
    monkeypatch.setattr(grp, "getgrnam", missing)
    with pytest.raises(ConfigError, match="unknown group ggc_group"):
        default_identity()


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr("greengrass_sdk.core.functions.identity.os.geteuid", lambda: 0)
    monkeypatch.setattr("greengrass_sdk.core.functions.identity.os.getuid", lambda: 0)
    monkeypatch.setattr("greengrass_sdk.core.functions.identity.os.getgid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_run_as_may_name_one_half_and_takes_the_other_from_the_default():
    assert GGC == resolve(None, None, GGC)
    assert Identity(1234, 991, (991,)) == resolve(1234, None, GGC)
    assert Identity(990, 1234, (1234,)) == resolve(None, 1234, GGC)
    assert Identity(1, 2, (2,)) == resolve(1, 2, None)


def test_no_change_of_identity_is_none():
    assert resolve(None, None, None) is None
    assert resolve(os.getuid(), os.getgid(), GGC) is None


def test_only_root_can_run_functions_as_somebody_else(monkeypatch):
    monkeypatch.setattr("greengrass_sdk.core.functions.identity.os.geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match="only a core started by root can run functions as"):
        resolve(4711, 4711, None)
