# SPDX-License-Identifier: Apache-2.0
"""
A function's zip, checked as a whole before anything of it is written.

A zip comes from somewhere else. It is refused, by the name of the entry, when unpacking it could
write outside of its folder, fill the disk or the memory, or give something else than what its
maker meant. What V1 ran is accepted: files and folders, stored or deflated.

Ref: AWS Lambda guide, "Limits": 250 MB unzipped. Greengrass V1 guide, "Create a Lambda function
deployment package": the files lie at the root of the archive.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from attrs import field, frozen

from greengrass_sdk.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Entry", "open_archive", "read_entries", "unpack"]

UNPACKED_BYTES = 262_144_000
ENTRIES = 32_768
DIRECTORY_BYTES = 8 * 1024 * 1024
RATIO = 200
RATIO_FREE_BYTES = 16 * 1024 * 1024
NAME_BYTES = 1024
PART_BYTES = 255
DEPTH = 64

_CHUNK = 1024 * 1024
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_METHOD_NAMES = {9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstandard", 95: "xz"}
_ENCRYPTED = 0x1 | 0x40
_UNIX = 3
_DRIVE = re.compile(r"[A-Za-z]:")
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)


@frozen
class Entry:
    """One file or folder to be made; `path` is relative, checked, and has no `.` or `..`."""

    path: str
    is_folder: bool
    executable: bool
    size: int
    info: zipfile.ZipInfo = field(repr=False, eq=False)


@contextmanager
def open_archive(file: BinaryIO, name: Path) -> Iterator[zipfile.ZipFile]:
    """
    Open a zip for reading; what its parts raise becomes PackageError.

    Raises:
        PackageError: It is no zip, truncated, or its directory is too large.
    """
    try:
        archive = zipfile.ZipFile(_Bounded(file, name))
    except _BROKEN as error:
        raise PackageError(
            f"{name} is no usable zip: {_reason(error)}; build it again", file=str(name)
        ) from error
    with archive:
        yield archive


class _OutsideError(zipfile.BadZipFile, OSError):
    """Raised for a seek to nowhere; also an OSError, because `zipfile` itself probes that way."""


class _Bounded:
    """
    The file as `zipfile` sees it: without two of its traps.

    It follows a broken archive to where no file is, and reports a failure of the disk. And it reads
    the whole directory with one call, and keeps an object for each entry, before anybody can count
    them: that call is bounded.
    """

    def __init__(self, file: BinaryIO, name: Path) -> None:
        self._file = file
        self._name = name
        self.tell = file.tell
        self.seekable = file.seekable

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Move within the file."""
        try:
            return self._file.seek(position, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise _OutsideError("it points outside of itself") from error

    def read(self, size: int = -1) -> bytes:
        """Read at most DIRECTORY_BYTES."""
        if size > DIRECTORY_BYTES:
            raise PackageError(
                f"{self._name} lists its entries in {size} bytes; {DIRECTORY_BYTES} is the limit",
                file=str(self._name),
            )
        return self._file.read(size)


def read_entries(archive: zipfile.ZipFile, name: Path) -> list[Entry]:
    """
    Check every entry of an archive, before any is unpacked.

    Raises:
        PackageError: An entry is refused; `entry` is its name.
    """
    infos = archive.infolist()
    if len(infos) > ENTRIES:
        raise PackageError(
            f"{name} has {len(infos)} entries; {ENTRIES} is the limit", file=str(name)
        )
    entries = [
        Entry(path, info.is_dir(), _executable(info), info.file_size, info)
        for info in infos
        if (path := _check(info, name))
    ]
    if not any(not entry.is_folder for entry in entries):
        raise PackageError(f"{name} has no files", file=str(name))
    _check_sizes(entries, name)
    _check_places(entries, name)
    return entries


def unpack(archive: zipfile.ZipFile, entries: list[Entry], folder: Path, name: Path) -> None:
    """
    Write the entries below `folder`, an empty folder, and have them on disk when this returns.

    Files are readable by everybody and writable by their owner; the executable ones stay so.

    Raises:
        PackageError: A file's content does not fit its checksum or size.
        OSError: The disk is full, or the folder cannot be written to.
    """
    folders = [folder / path for path in sorted(_folders(entries))]  # parents before children
    for place in folders:
        place.mkdir()
        place.chmod(0o755)
    files = [entry for entry in entries if not entry.is_folder]
    for entry in files:
        _unpack_file(archive, entry, folder / entry.path, name)
    # The first of these writes most of what the others would: all files were written before it.
    for path in (*(folder / entry.path for entry in files), *folders, folder):
        _sync(path)


def _unpack_file(archive: zipfile.ZipFile, entry: Entry, target: Path, name: Path) -> None:
    try:
        with archive.open(entry.info) as source, target.open("xb") as sink:
            left = entry.size
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    break
                sink.write(chunk)
            os.fchmod(sink.fileno(), 0o755 if entry.executable else 0o644)
    except _BROKEN as error:
        raise _refusal(name, entry.info, f"cannot be unpacked: {_reason(error)}") from error
    if left != 0:
        raise _refusal(name, entry.info, f"is not {entry.size} bytes long, as its header says")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- checks ------------------------------------------------------------------


def _check(info: zipfile.ZipInfo, name: Path) -> str:
    """Return the path of an entry, without `.`; empty for the archive's own root."""
    raw = info.orig_filename
    reason = _wrong_name(raw) or _wrong_kind(info)
    if reason:
        raise _refusal(name, info, reason)
    return "/".join(part for part in raw.split("/") if part not in {"", "."})


def _wrong_name(raw: str) -> str | None:
    parts = raw.split("/")
    if not raw or "\0" in raw:
        return "has no name, or a NUL in it"
    if "\\" in raw:
        return "has a backslash in its name; zip it with a tool that writes '/' between folders"
    if raw.startswith("/") or _DRIVE.match(raw):
        return "has an absolute path"
    if ".." in parts:
        return "would be written outside of its folder"
    try:
        lengths = [len(os.fsencode(part)) for part in parts]
    except UnicodeEncodeError:
        return "has a name that this system cannot write"
    if sum(lengths) + len(parts) - 1 > NAME_BYTES or max(lengths) > PART_BYTES:
        return f"has a name that is too long ({PART_BYTES} bytes a part, {NAME_BYTES} in all)"
    if len(parts) > DEPTH:
        return f"lies more than {DEPTH} folders deep"
    return None


def _wrong_kind(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if stat.S_ISLNK(kind):
        return "is a symbolic link; put the file itself into the zip (zip without -y)"
    if kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        return "is a device, a socket or a pipe"
    if kind and stat.S_ISDIR(kind) != info.is_dir():
        return "is called a folder and a file at once"
    if info.is_dir() and info.file_size:
        return "is a folder with content"
    if info.compress_type not in _METHODS:
        method = _METHOD_NAMES.get(info.compress_type, str(info.compress_type))
        return f"is compressed with method {method}; V1 takes deflated and stored entries"
    return None


def _check_sizes(entries: list[Entry], name: Path) -> None:
    total = sum(entry.size for entry in entries)
    packed = sum(entry.info.compress_size for entry in entries)
    if total > UNPACKED_BYTES:
        raise PackageError(
            f"{name} would unpack to {total} bytes; {UNPACKED_BYTES} is the limit. "
            "Unpack it yourself and give the folder as code",
            file=str(name),
        )
    if total > RATIO_FREE_BYTES and total > packed * RATIO:
        raise PackageError(
            f"{name} would unpack to {total} bytes from {packed}, more than {RATIO} times as many. "
            "If that is right, unpack it yourself and give the folder as code",
            file=str(name),
        )


def _check_places(entries: list[Entry], name: Path) -> None:
    """Refuse two entries for one place: what counts would depend on who unpacks."""
    files: set[str] = set()
    for entry in entries:
        if entry.is_folder:
            continue
        if entry.path in files:
            raise _refusal(name, entry.info, "is there twice")
        files.add(entry.path)
    folders: set[str] = set()
    for entry in entries:
        above = _folders([entry])
        folders |= above
        if len(files) + len(folders) > ENTRIES:
            raise PackageError(
                f"{name} has more than {ENTRIES} files and folders, which is the limit",
                file=str(name),
            )
        if not above.isdisjoint(files):
            raise _refusal(name, entry.info, "needs a folder where the zip has a file")


def _folders(entries: Iterable[Entry]) -> set[str]:
    """Return every folder that the entries need, whether it has an entry of its own or not."""
    found: set[str] = set()
    for entry in entries:
        path = entry.path if entry.is_folder else entry.path.rpartition("/")[0]
        while path and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return found


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _executable(info: zipfile.ZipInfo) -> bool:
    return info.create_system == _UNIX and bool((info.external_attr >> 16) & 0o111)


def _refusal(name: Path, info: zipfile.ZipInfo, reason: str) -> PackageError:
    entry = info.orig_filename
    shown = entry if len(entry) <= PART_BYTES else entry[:PART_BYTES] + "..."
    return PackageError(f"{name}: entry {shown!r} {reason}", file=str(name), entry=entry)
