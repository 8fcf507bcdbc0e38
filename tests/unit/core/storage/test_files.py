# SPDX-License-Identifier: Apache-2.0

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from greengrass_sdk.core.storage.files import FolderFiles, MemoryFiles


@pytest.fixture(params=["folder", "memory"])
def files(request, tmp_path):
    return (
        FolderFiles(tmp_path / "made" / "when needed")
        if request.param == "folder"
        else (MemoryFiles())
    )


def test_a_place_without_files_has_no_names(files):
    assert [] == files.names()


def test_a_place_that_is_gone_is_not_made_by_opening_a_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        FolderFiles(tmp_path / "gone").open("a")


def test_what_is_written_is_read_also_by_who_opens_it_later(files):
    files.make()
    file = files.open("a")
    file.write(0, b"hello")
    file.write(5, memoryview(b" world"))
    file.sync()
    assert (11, b"world") == (file.size, file.read(6, 100))
    again = files.open("a")
    assert (11, b"hello world") == (again.size, again.read(0, 11))
    assert ["a"] == files.names()


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_parts_are_written_one_behind_the_other(files, count):
    files.make()
    file = files.open("a")
    parts = [b"%6d" % number for number in range(count)]
    file.write(3, *parts)
    assert b"".join(parts) == file.read(3, 100_000)
    assert b"\0\0\0" == file.read(0, 3).ljust(3, b"\0")


def test_a_file_that_is_cut_is_shorter(files):
    files.make()
    file = files.open("a")
    file.write(0, b"hello")
    file.truncate(2)
    assert (2, b"he") == (file.size, file.read(0, 10))


def test_what_is_allocated_reads_as_nothing_or_zeros(files):
    files.make()
    file = files.open("a")
    file.write(0, b"x")
    file.allocate(100)
    assert b"x" == file.read(0, 200).rstrip(b"\0")


def test_a_file_that_is_removed_is_gone_and_may_be_removed_again(files):
    files.make()
    files.open("a").write(0, b"x")
    files.remove("a")
    files.remove("a")
    assert [] == files.names()


def test_a_small_file_is_replaced_as_a_whole(files):
    assert b"" == files.load("small")
    files.save("small", b"longer")
    files.save("small", b"new")
    assert b"new" == files.load("small")
    assert ["small"] == files.names()
    files.sync()


def test_space_is_allocated_on_the_disk(tmp_path):
    file = FolderFiles(tmp_path).open("a")
    file.allocate(1 << 20)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 1 << 20
    assert 1 << 20 == file.size


def test_files_are_for_their_owner(tmp_path):
    files = FolderFiles(tmp_path)
    files.open("a")
    files.save("b", b"x")
    for name in ("a", "b"):
        assert 0o600 == stat.S_IMODE((tmp_path / name).stat().st_mode)


def test_a_small_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    files = FolderFiles(tmp_path)
    files.save("small", b"old")
    (tmp_path / "small.new").mkdir()
    with pytest.raises(OSError, match=r"small\.new"):
        files.save("small", b"new")
    assert b"old" == files.load("small")


def test_a_file_is_closed_when_nobody_holds_it(tmp_path):
    def opened():
        links = []
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # one was closed meanwhile
                links.append(entry.readlink())
        return links.count(tmp_path / "a")

    file = FolderFiles(tmp_path).open("a")
    assert 1 == opened()
    del file
    assert 0 == opened()


def test_a_file_is_lent_to_be_read_and_for_nothing_else(tmp_path):
    files = FolderFiles(tmp_path)
    files.open("a").write(0, b"content")
    descriptor = files.lend("a")
    assert descriptor is not None
    try:
        assert b"tent" == os.pread(descriptor, 99, 3)
        assert os.O_RDONLY == fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        assert not os.get_inheritable(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"!")
    finally:
        os.close(descriptor)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_is_somebody_else_cannot_write_what_it_was_lent(tmp_path):
    files = FolderFiles(tmp_path)
    files.open("a").write(0, b"content")
    descriptor = files.lend("a")
    assert descriptor is not None
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            os.pread(descriptor, 7, 0)
            os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)
        except PermissionError:
            os._exit(7)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    os.close(descriptor)
    assert 7 == os.waitstatus_to_exitcode(status)


def test_what_is_only_memory_is_not_lent():
    files = MemoryFiles()
    files.open("a").write(0, b"content")
    assert files.lend("a") is None


def test_what_is_not_there_is_not_lent(tmp_path):
    with pytest.raises(FileNotFoundError):
        FolderFiles(tmp_path).lend("a")
    assert [] == FolderFiles(tmp_path).names()
