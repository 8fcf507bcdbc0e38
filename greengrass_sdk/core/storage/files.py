# SPDX-License-Identifier: Apache-2.0
"""Files of a log: in a folder, or in memory for streams that end with the core, and for tests."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen

if TYPE_CHECKING:
    from pathlib import Path

    from greengrass_sdk.wire.blocks import Buffer

__all__ = ["File", "Files", "FolderFiles", "MemoryFiles"]


_PARTS = 1024  # that the system writes at once


class File(Protocol):
    """
    A file that is open for reading and writing, and is closed when nobody holds it any more.

    Raises:
        OSError: From every method.
    """

    @property
    def size(self) -> int:
        """Its size."""

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes."""

    def write(self, offset: int, *parts: Buffer) -> None:
        """Write all of all parts, one behind the other."""

    def allocate(self, size: int) -> None:
        """Have at least `size` bytes, the new ones zero, so that a write cannot lack space."""

    def truncate(self, size: int) -> None:
        """Cut it there."""

    def sync(self) -> None:
        """Return when all that was written is on the disk; another thread may write meanwhile."""


class Files(Protocol):
    """
    A place for files.

    Raises:
        OSError: From every method.
    """

    def make(self) -> None:
        """Make the place, if it is not there."""

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""

    def open(self, name: str) -> File:
        """Open a file, making it if need be."""

    def lend(self, name: str) -> int | None:
        """Return a descriptor to read a file by, the caller's to close; None if it has none."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def load(self, name: str) -> bytes:
        """Return the content of a small file, nothing if there is none."""

    def save(self, name: str, data: bytes) -> None:
        """Write a small file at once and for good: it is the old one or the new one, never both."""

    def sync(self) -> None:
        """Return when new and removed names are on the disk."""


@define(eq=False)
class _FolderFile:
    """A file of the operating system."""

    _descriptor: int
    _size: int

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def write(self, offset: int, *parts: Buffer) -> None:
        size = sum(map(len, parts))
        written = os.pwritev(self._descriptor, parts[:_PARTS], offset)
        if written < size:
            left = memoryview(b"".join(parts))
            while written < size:
                written += os.pwrite(self._descriptor, left[written:], offset + written)
        self._size = max(self._size, offset + size)

    def allocate(self, size: int) -> None:
        if size > self._size:
            os.posix_fallocate(self._descriptor, self._size, size - self._size)
            self._size = size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._size = size

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def __del__(self) -> None:
        # A thread may be in `sync` when the log has done with the file: the last one closes it.
        os.close(self._descriptor)


@frozen
class FolderFiles:
    """Files in a folder."""

    folder: Path

    def make(self) -> None:
        """Make the folder, if it is not there."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        try:
            return sorted(path.name for path in self.folder.iterdir())
        except FileNotFoundError:
            return []

    def open(self, name: str) -> File:
        """Open a file, making it if need be; a folder that was deleted stays so."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.folder / name, flags, 0o600)
        return _FolderFile(descriptor, os.fstat(descriptor).st_size)

    def lend(self, name: str) -> int | None:
        """Open a file once more: who has this descriptor can only read."""
        return os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def load(self, name: str) -> bytes:
        """Return the content of a small file, nothing if there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return b""

    def save(self, name: str, data: bytes) -> None:
        """Write a small file beside the old one, then put it in its place."""
        self.make()
        new = self.folder / f"{name}.new"
        try:
            file = self.open(new.name)
            file.truncate(0)
            file.write(0, data)
            file.sync()
            new.replace(self.folder / name)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise
        self.sync()

    def sync(self) -> None:
        """Return when new and removed names are on the disk."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@define(eq=False)
class _MemoryFile:
    """A file that is only memory; it takes what was written, not what was allocated."""

    data: bytearray = field(factory=bytearray)

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def write(self, offset: int, *parts: Buffer) -> None:
        data = b"".join(parts)
        self.data += bytes(max(offset - len(self.data), 0))
        self.data[offset : offset + len(data)] = data

    def allocate(self, size: int) -> None:
        pass

    def truncate(self, size: int) -> None:
        del self.data[size:]

    def sync(self) -> None:
        pass


@define(eq=False)
class MemoryFiles:
    """Files in memory: a file that is closed can be opened again."""

    _files: dict[str, _MemoryFile] = field(factory=dict, init=False)

    def make(self) -> None:
        """Be there already."""

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(self._files)

    def open(self, name: str) -> File:
        """Open a file, making it if need be."""
        return self._files.setdefault(name, _MemoryFile())

    def lend(self, name: str) -> int | None:
        """Return that memory has no descriptor."""
        del name
        return None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._files.pop(name, None)

    def load(self, name: str) -> bytes:
        """Return the content of a small file, nothing if there is none."""
        return bytes(self._files[name].data) if name in self._files else b""

    def save(self, name: str, data: bytes) -> None:
        """Keep a small file."""
        self._files[name] = _MemoryFile(bytearray(data))

    def sync(self) -> None:
        """Return at once."""
