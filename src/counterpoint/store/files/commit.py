"""Durable writes: a file or folder appears whole or not at all, even after a power cut.

Everything is written under another name, synced, and renamed.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from counterpoint.core.errors import StoreError

STALE_SECONDS = 24 * 3600


def write_durably(path: Path, data: bytes) -> None:
    """Write `data` to `path` by rename, so that a reader sees the old file or the new one whole.

    Raises:
        StoreError: the disk is full or refuses.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with explained(path, len(data)):
        try:
            write_synced(temporary, data)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def commit_folder(staging: Path, final: Path, files: Mapping[str, bytes]) -> bool:
    """Make `final` a folder of `files` plus what lies in `staging` already, in one step.

    Returns False and leaves `final` alone if it already exists. `staging` is removed in every case.

    Raises:
        StoreError: the disk is full or refuses; nothing of `final` exists then.
    """
    needed = sum(map(len, files.values()))
    try:
        with explained(final, needed):
            for entry in staging.iterdir():
                _sync(entry)
            for name, data in files.items():
                write_synced(staging / name, data)
            sync_folder(staging)
            if not final.parent.is_dir():
                final.parent.mkdir(parents=True, exist_ok=True)
                sync_folder(final.parent.parent)
            try:
                os.rename(staging, final)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    return False
                raise
            sync_folder(final.parent)
        return True
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def new_staging(root: Path) -> Path:
    """Make a fresh folder under `root/staging`, named after this process."""
    folder = root / "staging" / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
    with explained(folder, 0):
        folder.mkdir(parents=True)
    return folder


def clean_staging(root: Path) -> int:
    """Remove what crashed writers left behind; return the number of folders removed.

    A folder is removed when its process on this host has died, or when it is a day old.
    """
    removed = 0
    staging = root / "staging"
    for folder in staging.iterdir() if staging.is_dir() else ():
        if _is_stale(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and force it to the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force the names in a folder to the disk."""
    _sync(path)


@contextmanager
def explained(path: Path, num_bytes: int) -> Iterator[None]:
    """Turn an OSError of the body into a StoreError that says what was needed, and where."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"{where}: the disk is full: needed {num_bytes} bytes for {path.name}, {_free(path)} bytes are free; "
                "everything committed so far is safe: free some space and run the same command again"
            ) from error
        raise StoreError(f"{where}: cannot write ({error.strerror}); check the folder and its permissions") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _is_stale(folder: Path) -> bool:
    host, _, rest = folder.name.rpartition("-")[0].rpartition("-")
    if host == socket.gethostname() and rest.isdigit():
        try:
            os.kill(int(rest), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False
    try:
        return time.time() - folder.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return False
