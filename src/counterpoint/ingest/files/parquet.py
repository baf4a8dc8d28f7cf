"""Parquet files from strangers: sizes and columns are checked before anything is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import file_size

MAGIC = b"PAR1"
MAX_TABLE_BYTES = 8 * 2**30
"""Most bytes that one table may unpack to."""
_DAMAGED = (pa.ArrowException, OSError, ValueError, MemoryError)
"""What pyarrow raises on damaged files; ValueError where names are not UTF-8."""


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file after checking its size and magic.

    Raises:
        IngestError: `missing_file`, `empty_file`, `wrong_magic`, `truncated`, `damaged_parquet` or `absurd_size`.
    """
    size = file_size(path, "Parquet")
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(size - 4, 0))
        tail = file.read(4)
    if head != MAGIC:
        raise IngestError(f"{path}: starts with {head!r}, expected {MAGIC!r} (Parquet)", reason="wrong_magic")
    if tail != MAGIC or size < 12:
        raise IngestError(
            f"{path}: truncated: {size} bytes, and the end mark is missing; copy it again", reason="truncated"
        )
    try:
        file_ = pq.ParquetFile(path)
    except _DAMAGED as error:
        raise IngestError(f"{path}: damaged Parquet ({error})", reason="damaged_parquet") from error
    groups = [file_.metadata.row_group(index) for index in range(file_.metadata.num_row_groups)]
    if sum(max(group.total_byte_size, group.num_rows) for group in groups) > MAX_TABLE_BYTES:
        raise IngestError(
            f"{path}: claims to unpack to more than {MAX_TABLE_BYTES} bytes; refused", reason="absurd_size"
        )
    return file_


def read_columns(
    file: pq.ParquetFile, path: Path, columns: Collection[str], optional: Collection[str] = ()
) -> pa.Table:
    """Read the named columns; those of `optional` only where present.

    Raises:
        IngestError: `missing_column` or `damaged_parquet`.
    """
    present = set(file.schema_arrow.names)
    missing = sorted(set(columns) - present)
    if missing:
        raise IngestError(
            f"{path}: no column {', '.join(map(repr, missing))}; it has {', '.join(sorted(present))}",
            reason="missing_column",
        )
    wanted = [*columns, *(name for name in optional if name in present)]
    with damaged_parquet(path):
        return file.read(columns=wanted, use_threads=False)


@contextmanager
def damaged_parquet(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises on a damaged file into an IngestError `damaged_parquet`."""
    try:
        yield
    except _DAMAGED as error:
        if isinstance(error, IngestError):
            raise
        raise IngestError(f"{path}: damaged Parquet ({error})", reason="damaged_parquet") from error
