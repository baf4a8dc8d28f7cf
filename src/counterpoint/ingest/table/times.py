"""The clock of a table: converted to nanoseconds, and recognised as nominal where it only counts rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.errors import IngestError
from counterpoint.core.stream import TimeSource
from counterpoint.ingest.files.columns import scalars
from counterpoint.ingest.mapping.units import TIME_UNITS, guess_time_unit

TOLERANCE_S = 5e-6
"""Times this close to rows at a fixed rate count as nominal."""
FLOAT32 = 1.2e-7


def clock_ns(table: pa.Table, column: str, unit: str, where: str) -> tuple[NDArray[np.int64], TimeSource]:
    """Return capture times int64 [rows], and `nominal` where they are rows at a fixed rate.

    Args:
        table: holds `column`.
        column: numbers, or Arrow timestamps.
        unit: s, ms, us or ns; empty to guess: since 1970 by size, else seconds.
        where: for messages.

    Raises:
        IngestError: `missing_value`, `not_finite`, `wrong_type`, `absurd_time`.
    """
    array = table[column].combine_chunks()
    if pa.types.is_timestamp(array.type):
        unit = array.type.unit
        table = pa.table({column: array.cast(pa.int64())})
        array = table[column].combine_chunks()
    if pa.types.is_integer(array.type) and not array.null_count:
        whole = np.asarray(array.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
        factor = TIME_UNITS[unit or guess_time_unit(float(np.abs(whole).max(initial=0)))]
        if len(whole) and max(abs(int(whole.max())), abs(int(whole.min()))) > 2**62 // factor:
            raise IngestError(
                f"{where}: column {column!r}: {whole.max()} is too large for a time", reason="absurd_time"
            )
        return whole * factor, "measured"
    seconds = scalars(table, column, where)
    seconds = seconds * (TIME_UNITS[unit or guess_time_unit(float(np.abs(seconds).max(initial=0)))] / 1e9)
    if len(seconds) and np.abs(seconds).max() > 4e9:
        raise IngestError(f"{where}: column {column!r}: {np.abs(seconds).max():g} s", reason="absurd_time")
    rate = rate_of(seconds)
    if rate is not None:
        with np.errstate(over="ignore"):
            is_float32 = bool((seconds.astype(np.float32) == seconds).all())
        tolerance = TOLERANCE_S + (FLOAT32 * float(np.abs(seconds).max()) if is_float32 else 0.0)
        if np.abs(seconds - (seconds[0] + np.arange(len(seconds)) / rate)).max() <= tolerance:
            start = round(float(seconds[0]) * 1e9) if abs(seconds[0]) > tolerance else 0
            return periodic_ns(start, rate, len(seconds)), "nominal"
    return np.rint(seconds * 1e9).astype(np.int64), "measured"


def rate_of(seconds: NDArray[np.float64]) -> float | None:
    """Return the rate of rows, rounded to an integer within 1%; None for fewer than two times."""
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    if not 1e-6 < step < 1e6:
        return None
    rate = 1 / step
    return float(round(rate)) if round(rate) and abs(rate - round(rate)) < 0.01 * rate else rate
