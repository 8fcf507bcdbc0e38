# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.core.functions.archive: what a zip may hold, and what it may not."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

from greengrass_sdk.core.functions import archive as archive_module
from greengrass_sdk.core.functions.archive import open_archive, read_entries, unpack
from greengrass_sdk.errors import PackageError

UNIX = 3


def info(name, *, mode=0o100644, system=UNIX, method=zipfile.ZIP_DEFLATED):
    entry = zipfile.ZipInfo(name)
    entry.create_system = system
    entry.external_attr = mode << 16
    entry.compress_type = method
    # ZipInfo cuts a name at NUL; archives made by others are written as they are.
    entry.filename = entry.orig_filename = name
    return entry


def make(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def extract(path: Path, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    with path.open("rb") as file, open_archive(file, path) as archive:
        unpack(archive, read_entries(archive, path), folder, path)
    return {
        found.relative_to(folder).as_posix(): found.read_bytes()
        for found in folder.rglob("*")
        if found.is_file()
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "code.zip"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "code"


# --- what is fine


def test_files_and_folders_are_unpacked(path, folder):
    make(path, ("a.py", b"a"), ("b/", b""), ("b/c/d.py", b"d"), ("empty/", b""), ("./e.py", b"e"))

    assert {"a.py": b"a", "b/c/d.py": b"d", "e.py": b"e"} == extract(path, folder)
    assert (folder / "empty").is_dir()


def test_executables_stay_executable_and_everything_is_readable(path, folder):
    make(
        path,
        (info("run", mode=0o100700), b"#!/bin/sh\n"),
        (info("secret.py", mode=0o100600), b""),
        (info("setuid", mode=0o106777), b""),
        (info("d/x.py", mode=0), b""),
        (info("dos.exe", mode=0o100755, system=0), b""),
    )

    extract(path, folder)

    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in folder.rglob("*")}
    assert {
        "run": 0o755,
        "secret.py": 0o644,
        "setuid": 0o755,
        "d": 0o755,
        "x.py": 0o644,
        "dos.exe": 0o644,
    } == modes


def test_stored_entries_and_data_before_the_zip_are_fine(path, folder):
    make(path, (info("a.py", method=zipfile.ZIP_STORED), b"a"))
    path.write_bytes(b"#!/usr/bin/env python3\n" + path.read_bytes())

    assert {"a.py": b"a"} == extract(path, folder)


def test_names_that_differ_in_case_only_are_two_files(path, folder):
    make(path, ("A.py", b"1"), ("a.py", b"2"))

    assert {"A.py": b"1", "a.py": b"2"} == extract(path, folder)


def test_names_beyond_ascii_and_odd_ones_are_fine(path, folder):
    names = ["größe.py", "Icon\r", "a b.txt", "-rf", "..a", "a..", "...", "c", "CON"]
    make(path, *((name, b"") for name in names))

    assert set(names) == set(extract(path, folder))


def test_a_folder_may_be_there_twice(path, folder):
    with pytest.warns(UserWarning, match="Duplicate name"):
        make(path, ("d/", b""), ("d/", b""), ("d/a.py", b""))

    assert {"d/a.py": b""} == extract(path, folder)


def test_much_of_the_same_is_fine_while_it_is_small(path, folder):
    make(path, ("zeros", bytes(10_000_000)))

    assert 10_000_000 == len(extract(path, folder)["zeros"])


# --- what is refused, by name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../x.py", "outside of its folder"),
        ("a/../../x.py", "outside of its folder"),
        ("a/..", "outside of its folder"),
        ("..", "outside of its folder"),
        ("/etc/passwd", "absolute path"),
        ("//host/x", "absolute path"),
        ("C:/x.py", "absolute path"),
        ("c:x.py", "absolute path"),
        ("..\\x.py", "backslash"),
        ("a\\b.py", "backslash"),
        ("a.py\0.txt", "NUL"),
        ("x" * 256, "too long"),
        ("ö" * 128, "too long"),
        ("/".join(["abcdefghij"] * 60 + ["y" * 255] * 2), "too long"),
        ("/".join(["a"] * 65), "folders deep"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(path, folder, name, reason):
    make(path, ("good.py", b""), (info(name), b"x"))

    with pytest.raises(PackageError, match=reason) as raised:
        extract(path, folder)

    assert name == raised.value.entry
    assert str(path) == raised.value.file
    assert [] == list(folder.iterdir())


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (info("link", mode=stat.S_IFLNK | 0o777), "is a symbolic link"),
        (info("null", mode=stat.S_IFCHR | 0o666), "is a device, a socket or a pipe"),
        (info("disk", mode=stat.S_IFBLK | 0o666), "is a device, a socket or a pipe"),
        (info("pipe", mode=stat.S_IFIFO | 0o666), "is a device, a socket or a pipe"),
        (info("sock", mode=stat.S_IFSOCK | 0o666), "is a device, a socket or a pipe"),
        (info("d", mode=stat.S_IFDIR | 0o755), "a folder and a file at once"),
        (info("d/", mode=stat.S_IFREG | 0o644), "a folder and a file at once"),
        (info("x", method=zipfile.ZIP_LZMA), "compressed with method lzma"),
        (info("x", method=zipfile.ZIP_BZIP2), "compressed with method bzip2"),
    ],
)
def test_what_is_no_file_is_refused(path, folder, entry, reason):
    make(path, ("good.py", b""), (entry, b"" if entry.filename == "d/" else b"/etc/passwd"))

    with pytest.raises(PackageError, match=reason) as raised:
        extract(path, folder)

    assert entry.filename == raised.value.entry
    assert [] == list(folder.iterdir())


def test_an_encrypted_entry_is_refused(path, folder):
    make(path, ("secret.py", b"x"))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)

    with pytest.raises(PackageError, match=r"entry 'secret.py' is encrypted"):
        extract(path, folder)


def test_a_name_that_is_there_twice_is_refused(path, folder):
    with pytest.warns(UserWarning, match="Duplicate name"):
        make(path, ("a.py", b"1"), ("a.py", b"2"))

    with pytest.raises(PackageError, match=r"entry 'a.py' is there twice"):
        extract(path, folder)


@pytest.mark.parametrize("names", [("a.py", "./a.py"), ("d/a.py", "d//a.py")])
def test_two_names_for_one_place_are_refused(path, folder, names):
    make(path, *((info(name), b"") for name in names))

    with pytest.raises(PackageError, match="is there twice"):
        extract(path, folder)


@pytest.mark.parametrize("names", [("a", "a/b.py"), ("a/b.py", "a"), ("a", "a/")])
def test_a_file_where_a_folder_is_needed_is_refused(path, folder, names):
    entries = [info(name, mode=0o40755 if name.endswith("/") else 0o100644) for name in names]
    make(path, *((entry, b"") for entry in entries))

    with pytest.raises(PackageError, match="needs a folder where the zip has a file"):
        extract(path, folder)


# --- bombs


def test_more_than_the_limit_is_refused_by_the_headers_alone(path, folder):
    make(path, ("a", b"x"))
    with path.open("rb") as file, open_archive(file, path) as archive:
        archive.infolist()[0].file_size = archive_module.UNPACKED_BYTES + 1
        with pytest.raises(PackageError, match=r"262144000 is the limit. Unpack it yourself"):
            read_entries(archive, path)


def test_a_bomb_is_refused_by_its_ratio(path, folder):
    make(path, ("zeros", bytes(20_000_000)))

    with pytest.raises(PackageError, match="more than 200 times as many"):
        extract(path, folder)


def test_too_many_entries_are_refused(path, folder, monkeypatch):
    monkeypatch.setattr(archive_module, "ENTRIES", 3)
    make(path, *((f"{number}.py", b"") for number in range(4)))

    with pytest.raises(PackageError, match="has 4 entries; 3 is the limit"):
        extract(path, folder)


def test_too_many_folders_are_refused(path, folder, monkeypatch):
    monkeypatch.setattr(archive_module, "ENTRIES", 40)
    make(path, (info("/".join("a" * 30)), b""), (info("/".join("b" * 30)), b""))

    with pytest.raises(PackageError, match="more than 40 files and folders"):
        extract(path, folder)


def test_a_directory_too_large_to_read_is_refused_before_it_is_read(path, folder, monkeypatch):
    monkeypatch.setattr(archive_module, "DIRECTORY_BYTES", 4000)
    make(path, *((f"{number}.py", b"") for number in range(100)))

    with pytest.raises(PackageError, match=r"lists its entries in .* bytes; 4000 is the limit"):
        extract(path, folder)


def lie_about_size(path: Path, size: int) -> None:
    """Change the unpacked size of the only entry, in both of its headers."""
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = data.index(signature) + offset
        data[start : start + 4] = size.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("size", [10, 5000])
def test_an_entry_that_lies_about_its_size_is_refused(path, folder, size):
    make(path, ("a.py", bytes(1000)))
    lie_about_size(path, size)

    with pytest.raises(PackageError, match=r"entry 'a.py' "):
        extract(path, folder)
    assert size <= 10 or 1000 >= (folder / "a.py").stat().st_size
    assert (folder / "a.py").stat().st_size <= size


# --- what is no zip


def test_an_empty_zip_is_refused(path, folder):
    make(path)

    with pytest.raises(PackageError, match="has no files"):
        extract(path, folder)


def test_a_zip_of_folders_only_is_refused(path, folder):
    make(path, ("a/", b""))

    with pytest.raises(PackageError, match="has no files"):
        extract(path, folder)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"x" * 1000, b"PK\x05\x06" * 30])
def test_what_is_no_zip_is_refused(path, folder, content):
    path.write_bytes(content)

    with pytest.raises(PackageError, match=r"is no usable zip: .*; build it again"):
        extract(path, folder)


def test_a_zip_is_refused_wherever_it_was_cut(path, tmp_path):
    make(path, ("a.py", b"print(1)\n" * 20), ("b/c.py", b"x" * 200))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(PackageError):
            extract(path, tmp_path / str(length))


def test_damaged_content_is_refused_by_name(path, folder):
    make(path, (info("a.py", method=zipfile.ZIP_STORED), b"hello world"))
    path.write_bytes(path.read_bytes().replace(b"hello", b"jello"))

    with pytest.raises(PackageError, match=r"entry 'a.py' cannot be unpacked: Bad CRC-32"):
        extract(path, folder)


# --- any bytes


def seed_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", b"print(1)\n" * 9)
        archive.writestr("lib/", b"")
        archive.writestr(info("lib/b.so", method=zipfile.ZIP_STORED), b"\x7fELF" + bytes(40))
    return buffer.getvalue()


SEED = seed_zip()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), min_size=1, max_size=6
    )
)
@example(changes=[(SEED.rindex(b"PK\5\6") + 16, 255), (SEED.rindex(b"PK\5\6") + 19, 127)])
def test_a_damaged_zip_is_refused_or_stays_in_its_folder(tmp_path_factory, changes):
    """The oracle of every parser here: a value or the documented error, and nothing outside."""
    data = bytearray(SEED)
    for position, value in changes:
        data[position] = value
    top = tmp_path_factory.mktemp("zip")
    path = top / "code.zip"
    path.write_bytes(data)

    (top / "in").mkdir()

    try:
        files = extract(path, top / "in" / "code")
    except PackageError:
        files = {}

    assert {"code.zip", "in"} == {entry.name for entry in top.iterdir()}
    assert {"code"} >= {entry.name for entry in (top / "in").iterdir()}
    assert sum(len(content) for content in files.values()) <= archive_module.UNPACKED_BYTES


NAMES = st.lists(
    st.sampled_from(["..", ".", "", "a", "b.py", "C:", "c:x", "\\", "x\\..", "\0", "ü", "\r", "~"]),
    min_size=1,
    max_size=5,
).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, min_size=1, max_size=4, unique=True))
@example(names=["a/../../b.py"])
@example(names=["./", "a"])
def test_whatever_the_names_nothing_is_written_outside(tmp_path_factory, names):
    assume(all(names))
    top = tmp_path_factory.mktemp("zip")
    path = make(
        top / "code.zip",
        *((info(n, mode=0o40755 if n.endswith("/") else 0o100644), b"") for n in names),
    )
    (top / "in").mkdir()

    try:
        files = extract(path, top / "in" / "code")
    except PackageError:
        files = {}

    assert {"code.zip", "in"} == {entry.name for entry in top.iterdir()}
    assert {"code"} == {entry.name for entry in (top / "in").iterdir()}
    for name in files:
        assert ".." not in name.split("/")
        assert "\\" not in name


def test_the_manual_names_every_limit():
    page = (Path(__file__).parents[4] / "docs" / "reference" / "on-disk-layout.md").read_text()
    limits = ("UNPACKED_BYTES", "ENTRIES", "DIRECTORY_BYTES", "RATIO", "NAME_BYTES", "PART_BYTES")

    assert [] == [name for name in limits if str(getattr(archive_module, name)) not in page]
    assert 16 * 1024 * 1024 == archive_module.RATIO_FREE_BYTES
    assert f"{archive_module.DEPTH} folders deep" in page
