"""Journals: append-only JSON lines that survive a power cut, for receipts, refusals and pushed episodes.

A line counts once it ends with a newline and is synced; a torn last line is closed off and skipped.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from counterpoint.core.errors import SiteError
from counterpoint.core.records import Json
from counterpoint.store.files.commit import sync_folder


class Journal:
    """Appends records to `path`; each is on the disk when `append` returns.

    Raises:
        SiteError: another process has the journal open.
    """

    def __init__(self, path: Path) -> None:
        """Open for appending with a lock, creating the file and its folder if needed."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise SiteError(f"{path}: another process is using this file; stop it, or let it finish") from error
        size = self._file.seek(0, os.SEEK_END)
        if size:
            self._file.seek(size - 1)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")
        sync_folder(path.parent)

    def append(self, record: dict[str, Json]) -> None:
        """Write one record and sync it."""
        self._file.write(json.dumps(record, sort_keys=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file and release the lock."""
        self._file.close()


def read_journal(path: Path, *, last_bytes: int | None = None) -> list[dict[str, Json]]:
    """Return the complete records of `path` in order, or those in its last `last_bytes`; none without a file."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        if last_bytes is not None:
            file.seek(max(0, path.stat().st_size - last_bytes))
        lines = file.read().split(b"\n")
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # torn by a crash, or cut by `last_bytes`
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
