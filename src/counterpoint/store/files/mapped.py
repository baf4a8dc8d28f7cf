"""Derived Arrow files: named by the SHA-256 of their bytes, written whole, memory-mapped, never changed.

    <prefix><sha256>.arrow

A mapping stays valid when its file is unlinked, so newer files may replace older ones at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from counterpoint.store.files.commit import explained, sync_folder

SUFFIX = ".arrow"
LEFT_OVER_SECONDS = 24 * 3600


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def write_mapped(
    folder: Path,
    prefix: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    metadata: Mapping[bytes, bytes] | None = None,
) -> Path:
    """Write record batches, one at a time, to a file named by its content; return its path.

    Raises:
        StoreError: the disk is full or refuses; nothing is left behind.
    """
    temporary = folder / f".{prefix}{uuid.uuid4().hex}"
    with explained(folder, 0):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                sink = _Hashing(file)
                with (
                    pa.PythonFile(sink, "w") as stream,
                    pa.ipc.new_file(stream, schema.with_metadata(metadata)) as writer,
                ):
                    for batch in batches:
                        writer.write_batch(batch)
                file.flush()
                os.fsync(file.fileno())
            path = folder / f"{prefix}{sink.digest.hexdigest()}{SUFFIX}"
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(folder)
    return path


def map_batches(path: Path, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Map a file that `write_mapped` wrote; no row is read yet.

    Raises:
        OSError, pa.ArrowException: absent, torn, or with other columns.
    """
    batches, _ = map_with_metadata(path, schema)
    return batches


def map_with_metadata(path: Path, schema: pa.Schema) -> tuple[list[pa.RecordBatch], Mapping[bytes, bytes]]:
    """Like `map_batches`, and also return the metadata given on writing."""
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        if not reader.schema.equals(schema):
            raise pa.ArrowInvalid(f"expected columns {', '.join(schema.names)}, got {', '.join(reader.schema.names)}")
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate()
        return batches, reader.schema.metadata or {}


def remove_left_overs(folder: Path) -> None:
    """Remove half-written files of crashed processes, once they are a day old."""
    for path in folder.glob(".*"):
        if path.name != ".lock" and age_seconds(path) > LEFT_OVER_SECONDS:
            path.unlink(missing_ok=True)


def age_seconds(path: Path) -> float:
    """Return how long ago a file was written; 0 where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextmanager
def locked(folder: Path, wait_s: float) -> Iterator[bool]:
    """Hold the folder's lock; yields False where it cannot be had (busy for `wait_s`, read-only)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield False
        return
    try:
        yield _lock(descriptor, time.monotonic() + wait_s)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        except OSError:  # a file system without locks
            return False
