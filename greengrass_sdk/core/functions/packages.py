# SPDX-License-Identifier: Apache-2.0
"""
Takes the code of a function to where it runs.

A folder runs where it is; `deployment/lambda/<ARN>` is a link to it. A zip is unpacked to
`deployment/lambda/<ARN>/`, and again only when its content changed.

A process that is killed at any moment leaves no half folder behind that counts: the zip is
unpacked beside, put in place by renaming, and its checksum is written last, to `.<ARN>.json`.
Without that file a folder is not used. What a killed process left is removed by `remove_stale`.

Ref: Greengrass V1 guide, module 5: `ggc/deployment/lambda/<function version ARN>/`; "Create a
Lambda function deployment package"
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from greengrass_sdk.core.functions.archive import open_archive, read_entries, unpack
from greengrass_sdk.core.layout import write_atomic
from greengrass_sdk.errors import HandlerError, PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.model.function import Function

__all__ = ["code_folder", "handler_file", "install", "remove_stale"]

log = logging.getLogger(__name__)

_FORMAT = 1
_TEMPORARY = (".new-", ".old-", ".link-")
_ELF = b"\x7fELF"
_HEAD_BYTES = 4
_SHOWN_CANDIDATES = 8


def install(function: Function, layout: Layout) -> Path:
    """
    Make the code of a function ready and return the folder that it runs in.

    Reads the whole zip; blocks for as long as that and unpacking take. Other functions may be
    installed at the same time, `remove_stale` may not run.

    Raises:
        PackageError: The code is missing, not readable, an executable, or a zip that is refused.
    """
    code = function.code
    try:
        if code.is_dir():
            folder = _install_folder(function, layout)
        elif code.is_file():
            folder = _install_zip(function, layout)
        else:
            raise _refusal(function, "does not exist; correct `code` in the group file")
    except OSError as error:
        raise _refusal(function, f"cannot be made ready: {_reason(error)}") from error
    if function.sdk == "bundled" and not _has_module(folder, "greengrasssdk"):
        raise _refusal(
            function,
            'has no greengrasssdk/ at its top, which sdk = "bundled" needs; '
            'put it there or set sdk = "ours"',
        )
    return folder


def code_folder(function: Function, layout: Layout) -> Path:
    """Return the folder that `install` returns, without doing anything."""
    if function.code.is_dir():
        return function.code.resolve()
    return layout.lambda_dir(function.arn)


def remove_stale(layout: Layout, arns: Iterable[str]) -> None:
    """Remove deployed code of functions that are not in `arns`, and what killed processes left."""
    keep = {*arns}
    keep |= {_sidecar(layout, arn).name for arn in keep}
    try:
        entries = list(layout.lambdas_dir.iterdir())
    except FileNotFoundError:
        return
    for path in entries:
        if path.name in keep and not path.name.startswith(_TEMPORARY):
            continue
        try:
            _remove(path)
        except OSError as error:
            log.warning("cannot remove stale code %s: %s", path, _reason(error))


# --- folders and zips --------------------------------------------------------


def _install_folder(function: Function, layout: Layout) -> Path:
    folder = function.code.resolve()
    if not os.access(folder, os.R_OK | os.X_OK):
        raise _refusal(function, f"cannot be read (as uid {os.geteuid()})")
    link = layout.lambda_dir(function.arn)
    if not (link.is_symlink() and link.readlink() == folder):
        fresh = _temporary(layout, ".link-")
        fresh.symlink_to(folder)
        _sidecar(layout, function.arn).unlink(missing_ok=True)
        _put_in_place(fresh, link, layout)
    return folder


def _install_zip(function: Function, layout: Layout) -> Path:
    folder = layout.lambda_dir(function.arn)
    with function.code.open("rb") as file:
        _check_is_zip(function, file)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        sidecar = _sidecar(layout, function.arn)
        if _is_installed(sidecar, folder, digest):
            return folder
        fresh = _temporary(layout, ".new-")
        try:
            _unpack(function, file, fresh)
            sidecar.unlink(missing_ok=True)
            _put_in_place(fresh, folder, layout)
        except BaseException:
            with suppress(OSError):
                _remove(fresh)
            raise
    content = json.dumps({"format": _FORMAT, "sha256": digest, "zip": str(function.code)})
    write_atomic(sidecar, content.encode(), 0o600)
    log.info("unpacked %s for function %r", function.code, function.name)
    return folder


def _check_is_zip(function: Function, file: BinaryIO) -> None:
    head = file.read(_HEAD_BYTES)
    if head == _ELF:
        raise _refusal(function, "is an executable; executables as code are not supported yet")
    if not zipfile.is_zipfile(file):
        if function.code.suffix == ".py":
            hint = f"a module; give the folder that holds it: code = {str(function.code.parent)!r}"
        elif head.startswith(b"#!") or os.access(function.code, os.X_OK):
            hint = "an executable; executables as code are not supported yet"
        else:
            hint = "neither a folder nor a whole zip; build it again"
        raise _refusal(function, f"is {hint}")
    file.seek(0)


def _is_installed(sidecar: Path, folder: Path, digest: str) -> bool:
    try:
        known = json.loads(sidecar.read_bytes())
    except (OSError, ValueError):
        return False
    same = isinstance(known, dict) and (known.get("format"), known.get("sha256")) == (
        _FORMAT,
        digest,
    )
    return same and folder.is_dir() and not folder.is_symlink()


def _unpack(function: Function, file: BinaryIO, fresh: Path) -> None:
    with open_archive(file, function.code) as archive:
        entries = read_entries(archive, function.code)
        needed = sum(entry.size for entry in entries)
        free = shutil.disk_usage(fresh.parent).free
        if needed > free:
            raise _refusal(function, f"needs {needed} bytes in {fresh.parent}; {free} are free")
        fresh.mkdir()
        unpack(archive, entries, fresh, function.code)
        fresh.chmod(0o755)


def _put_in_place(fresh: Path, place: Path, layout: Layout) -> None:
    """Give `fresh` the name of `place`; what was there is removed."""
    old = _temporary(layout, ".old-")
    with suppress(FileNotFoundError):
        place.rename(old)
    fresh.rename(place)
    _sync(layout.lambdas_dir)
    if os.path.lexists(old):
        try:
            _remove(old)
        except OSError as error:
            log.warning("cannot remove stale code %s: %s", old, _reason(error))


def _sidecar(layout: Layout, arn: str) -> Path:
    folder = layout.lambda_dir(arn)
    return folder.with_name(f".{folder.name}.json")


def _temporary(layout: Layout, prefix: str) -> Path:
    return layout.lambdas_dir / f"{prefix}{secrets.token_hex(8)}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refusal(function: Function, reason: str) -> PackageError:
    code = str(function.code)
    return PackageError(f"function {function.name!r}: code {code} {reason}", file=code)


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error)
    advice = "; free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{reason}: {error.filename}{advice}" if error.filename else f"{reason}{advice}"


# --- handlers ----------------------------------------------------------------


def handler_file(code: Path, handler: str) -> str:
    """
    Return which file of the code, a folder or a zip, holds the module of a handler.

    Nothing is imported: the name of the function in it is not looked up.

    Raises:
        HandlerError: The handler is not `module.function`, or the module is not there; the text
            names what is there.
        PackageError: The zip is refused.
    """
    module, _, name = handler.rpartition(".")
    if not name or not all(module.split(".")):
        raise HandlerError(f"handler {handler!r} must be module.function", handler=handler)
    path = module.replace(".", "/")
    names = _names(code, path)
    for wanted in (f"{path}/__init__.py", f"{path}.py", f"{path}.pyc"):
        if wanted in names:
            return wanted
    for found in sorted(names):
        if found.startswith(f"{path}.") and found.endswith(".so"):
            return found
    raise HandlerError(
        f"handler {handler!r}: {code} has no {path}.py or {path}/__init__.py{_hint(names, path)}",
        handler=handler,
        candidates=_modules(names),
    )


def _names(code: Path, path: str) -> set[str]:
    """Return the files of a zip; of a folder those at its top, one level below and near `path`."""
    if code.is_dir():
        near = (code / path).parent
        patterns = ((code, "*"), (code, "*/*"), (near, "*"), (code / path, "__init__.py"))
        found = (file for folder, pattern in patterns for file in folder.glob(pattern))
        return {file.relative_to(code).as_posix() for file in found if file.is_file()}
    try:
        with code.open("rb") as file, open_archive(file, code) as archive:
            return {entry.path for entry in read_entries(archive, code) if not entry.is_folder}
    except OSError as error:
        raise PackageError(f"cannot read {code}: {_reason(error)}", file=str(code)) from error


def _hint(names: set[str], path: str) -> str:
    for found in sorted(names, key=lambda name: (name.count("/"), name)):
        for ending in (f"/{path}.py", f"/{path}/__init__.py"):
            if found.endswith(ending):
                above = found.removesuffix(ending)
                return (
                    f"; it is in {above}/: the code is the content of that folder, not the folder"
                )
    for found in names:
        if found.lower() in (f"{path}.py".lower(), f"{path}/__init__.py".lower()):
            return f"; there is {found}: upper and lower case count"
    modules = _modules(names)
    if not modules:
        return "; it has no Python files at its top"
    more = ", ..." if len(modules) > _SHOWN_CANDIDATES else ""
    return f"; its modules are {', '.join(modules[:_SHOWN_CANDIDATES])}{more}"


def _modules(names: set[str]) -> list[str]:
    """Return the modules and packages at the top, the likely ones first."""
    paths = [PurePosixPath(name) for name in names]
    single = {path.stem for path in paths if len(path.parts) == 1 and path.suffix == ".py"}
    packages = {
        path.parts[0]
        for path in paths
        if len(path.parts) == len("ab") and path.name == "__init__.py"
    }
    return [*sorted(single), *sorted(packages - single)]


def _has_module(folder: Path, name: str) -> bool:
    return (folder / name / "__init__.py").is_file() or (folder / f"{name}.py").is_file()
