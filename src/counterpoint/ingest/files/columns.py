"""Numbers of a log as numpy arrays: columns of Arrow tables, with their types, lengths and finiteness checked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError


def list_width(kind: pa.DataType) -> int | None:
    """Return the length of the lists in a column of lists of numbers, 0 where its type does not say; else None."""
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
        raise IngestError(
            f"{where}: column {column!r} has {array.null_count} rows without a value", reason="missing_value"
        )
    flat = array
    if isinstance(array, pa.FixedSizeListArray | pa.ListArray | pa.LargeListArray):
        lengths = set(array.value_lengths().unique().to_pylist())
        if lengths - {width}:
            raise IngestError(
                f"{where}: column {column!r} holds {sorted(lengths)} numbers per row, expected {width}",
                reason="dimension_mismatch",
            )
        flat = array.flatten()
    elif width != 1:
        raise IngestError(
            f"{where}: column {column!r} is one number per row, expected {width}", reason="dimension_mismatch"
        )
    kind = flat.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise IngestError(f"{where}: column {column!r} holds {kind}, expected numbers", reason="wrong_type")
    if flat.null_count:
        raise IngestError(f"{where}: column {column!r} has missing numbers", reason="missing_value")
    with np.errstate(over="ignore", invalid="ignore"):
        values = flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)
    check_finite(values, f"{where}: column {column!r}")
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
        raise IngestError(
            f"{where}: column {column!r} has {array.null_count} rows without a value", reason="missing_value"
        )
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        raise IngestError(f"{where}: column {column!r} holds {array.type}, expected numbers", reason="wrong_type")
    values = widened(array.to_numpy(zero_copy_only=False))
    check_finite(values[:, None], f"{where}: column {column!r}")
    return values


def column_values(table: pa.Table, column: str, where: str) -> list[object]:
    """Return a column as Python values; raises IngestError `not_text` where strings are not UTF-8."""
    try:
        return list(table[column].to_pylist())
    except ValueError as error:
        raise IngestError(f"{where}: column {column!r}: {error}", reason="not_text") from error


def widened(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return float64; a signalling NaN is treated like any other NaN, without a warning."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def check_finite(values: NDArray[np.floating], where: str) -> None:
    """Raise IngestError `not_finite` that names the first of [rows, width] numbers that is NaN or infinite."""
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise IngestError(
            f"{where}: row {row}, number {column} is {values[row, column]}; expected a finite number",
            reason="not_finite",
        )
