"""Parquet from strangers: sizes and columns are checked before anything is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import file_size

MAGIC = b"PAR1"
MAX_TABLE_BYTES = 8 * 2**30
"""Most bytes that one table may unpack to."""
_DAMAGED = (pa.ArrowException, OSError, ValueError, MemoryError)
"""What pyarrow raises on spoilt bytes; ValueError where names are not UTF-8."""


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file after looking at its size and magic.

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
        raise IngestError(f"{path}: cut off: {size} bytes without the end mark; copy it again", reason="truncated")
    try:
        file_ = pq.ParquetFile(path)
    except _DAMAGED as error:
        raise IngestError(f"{path}: damaged Parquet ({error})", reason="damaged_parquet") from error
    groups = [file_.metadata.row_group(index) for index in range(file_.metadata.num_row_groups)]
    if sum(max(group.total_byte_size, group.num_rows) for group in groups) > MAX_TABLE_BYTES:
        raise IngestError(f"{path}: claims to unpack to more than {MAX_TABLE_BYTES} bytes", reason="absurd_size")
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
    """Turn what pyarrow raises on spoilt bytes into an IngestError `damaged_parquet`."""
    try:
        yield
    except _DAMAGED as error:
        if isinstance(error, IngestError):
            raise
        raise IngestError(f"{path}: damaged Parquet ({error})", reason="damaged_parquet") from error


def list_width(kind: pa.DataType) -> int | None:
    """Return the numbers a row of a column of lists of numbers, 0 where its type leaves that open; else None."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return None
    inner = kind.value_type
    if not (pa.types.is_floating(inner) or pa.types.is_integer(inner)):
        return None
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else 0


def matrix(table: pa.Table, column: str, width: int, where: str) -> NDArray[np.float32]:
    """Return a column of vectors (or of scalars, for width 1) as float32 [rows, width].

    Raises:
        IngestError: `dimension_mismatch`, `wrong_type`, `missing_value` or `not_finite`.
    """
    array = table[column].combine_chunks()
    if array.null_count:
        raise IngestError(f"{where}: column {column!r} has {array.null_count} empty rows", reason="missing_value")
    flat = array
    if isinstance(array, pa.FixedSizeListArray | pa.ListArray | pa.LargeListArray):
        lengths = set(array.value_lengths().unique().to_pylist())
        if lengths - {width}:
            raise IngestError(
                f"{where}: column {column!r} holds {sorted(lengths)} numbers a row, expected {width}",
                reason="dimension_mismatch",
            )
        flat = array.flatten()
    elif width != 1:
        raise IngestError(
            f"{where}: column {column!r} is one number a row, expected {width}", reason="dimension_mismatch"
        )
    kind = flat.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise IngestError(f"{where}: column {column!r} holds {kind}, expected numbers", reason="wrong_type")
    if flat.null_count:
        raise IngestError(f"{where}: column {column!r} has empty numbers", reason="missing_value")
    with np.errstate(over="ignore", invalid="ignore"):
        values = flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)
    if not np.isfinite(values).all():
        row, channel = np.argwhere(~np.isfinite(values))[0]
        raise IngestError(
            f"{where}: column {column!r}, row {row}, number {channel} is {values[row, channel]}; expected finite",
            reason="not_finite",
        )
    return np.ascontiguousarray(values)


def scalars(table: pa.Table, column: str, where: str) -> NDArray[np.float64]:
    """Return a column of numbers as float64 [rows]; exact for integers below 2^53.

    Raises:
        IngestError: `missing_value`, `wrong_type`, `dimension_mismatch` or `not_finite`.
    """
    array = table[column].combine_chunks()
    if isinstance(array, pa.FixedSizeListArray | pa.ListArray | pa.LargeListArray):
        return matrix(table, column, 1, where)[:, 0].astype(np.float64)
    if array.null_count:
        raise IngestError(f"{where}: column {column!r} has {array.null_count} empty rows", reason="missing_value")
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        raise IngestError(f"{where}: column {column!r} holds {array.type}, expected numbers", reason="wrong_type")
    with np.errstate(invalid="ignore"):  # a signalling NaN is refused below like any other
        values = np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)
    if not np.isfinite(values).all():
        raise IngestError(f"{where}: column {column!r} holds a number that is not finite", reason="not_finite")
    return values


def column_values(table: pa.Table, column: str, where: str) -> list[object]:
    """Return a column as Python values; raises IngestError `not_text` where strings are not UTF-8."""
    try:
        return list(table[column].to_pylist())
    except ValueError as error:
        raise IngestError(f"{where}: column {column!r}: {error}", reason="not_text") from error
