# SPDX-License-Identifier: Apache-2.0
"""The core's key in files: a random one of its own, or RSA."""

import pickle
import stat

import pytest
from secret_keys import ec_pem, rsa_pem

from greengrass_sdk.core.secrets import keys
from greengrass_sdk.core.secrets.keys import KeyFile, RsaKey, WrongKeyError
from greengrass_sdk.errors import ConfigError

DATA_KEY = bytes(range(32))


def rsa_key(folder, **arguments):
    path = folder / "hash.private.key"
    path.write_bytes(rsa_pem(**arguments))
    return RsaKey.load(path)


@pytest.fixture(params=["file", "rsa", "rsa-pkcs1"])
def key(request, tmp_path):
    if request.param == "file":
        return KeyFile.make(tmp_path / "secrets.key")
    return rsa_key(tmp_path, form="PKCS1" if request.param == "rsa-pkcs1" else "PKCS8")


def test_what_a_key_wraps_it_unwraps(key):
    wrapped = key.wrap(DATA_KEY)
    assert DATA_KEY == key.unwrap(wrapped)
    assert DATA_KEY not in wrapped
    assert wrapped != key.wrap(DATA_KEY)


def test_nothing_else_unwraps_it(key, tmp_path):
    wrapped = key.wrap(DATA_KEY)
    (tmp_path / "other").mkdir()
    for other in (KeyFile.make(tmp_path / "other" / "k"), rsa_key(tmp_path / "other", number=1)):
        with pytest.raises(WrongKeyError, match="does not open with"):
            other.unwrap(wrapped)
    for place in range(0, len(wrapped), 7):
        damaged = bytearray(wrapped)
        damaged[place] ^= 1
        with pytest.raises(WrongKeyError):
            key.unwrap(bytes(damaged))
    with pytest.raises(WrongKeyError):
        key.unwrap(b"")


def test_a_key_shows_where_it_is_and_nothing_of_itself(key, tmp_path):
    assert str(tmp_path) in key.place
    assert f"{type(key).__name__}(path={key.path!r})" == repr(key)


def test_identities_of_the_same_key_are_the_same_and_of_others_differ(tmp_path):
    made = KeyFile.make(tmp_path / "a")
    loaded = KeyFile.load(tmp_path / "a")
    assert loaded is not None
    assert made.identity == loaded.identity
    first, again = rsa_key(tmp_path), rsa_key(tmp_path)
    assert first.identity == again.identity
    others = [KeyFile.make(tmp_path / "b"), rsa_key(tmp_path, number=1)]
    identities = {each.identity for each in (made, first, *others)}
    assert 4 == len(identities)


def test_the_file_is_for_its_owner_alone_and_made_once(tmp_path):
    path = tmp_path / "secrets.key"
    made = KeyFile.make(path)
    assert (0o600, 32) == (stat.S_IMODE(path.stat().st_mode), path.stat().st_size)
    assert made == KeyFile.make(path)
    assert [path] == list(tmp_path.iterdir())


def test_a_file_is_made_where_there_are_no_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr(type(tmp_path), "hardlink_to", no_links)
    path = tmp_path / "secrets.key"
    made = KeyFile.make(path)
    assert made == KeyFile.load(path) == KeyFile.make(path)
    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_no_key(tmp_path):
    assert KeyFile.load(tmp_path / "nothing") is None


def test_a_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "secrets.key"
    KeyFile.make(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="open to others"):
        KeyFile.load(path)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_file_of_another_size_is_damaged(tmp_path, size):
    path = tmp_path / "secrets.key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="damaged"):
        KeyFile.load(path)


def test_a_file_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        KeyFile.make(tmp_path / "no" / "secrets.key")


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (None, "cannot be read"),
        (b"no key", "no private key in PEM"),
        ("ec", "is no RSA key"),
        ("short", "RSA key of 1024 bits"),
    ],
)
def test_a_file_that_holds_no_fitting_rsa_key_is_refused(tmp_path, pem, why):
    path = tmp_path / "key.pem"
    made = {"ec": ec_pem(), "short": rsa_pem(bits=1024)}
    if pem is not None:
        path.write_bytes(made.get(pem, pem))
    with pytest.raises(ConfigError, match=why):
        RsaKey.load(path)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    def missing():
        raise ImportError("No module named 'cryptography'")

    monkeypatch.setattr(keys, "_loaded", [])
    monkeypatch.setattr(keys, "_Cryptography", missing)
    with pytest.raises(ConfigError, match=r"pip install 'greengrass-core\[secrets\]'"):
        keys.cryptography()


def test_a_key_is_not_pickled_by_accident(tmp_path):
    with pytest.raises(TypeError):
        pickle.dumps(rsa_key(tmp_path))
