"""Time: int64 nanoseconds in storage and alignment, float seconds only relative to a start."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NS_PER_SECOND = 1_000_000_000

Nanoseconds = NDArray[np.int64]
Seconds = NDArray[np.float64]


def seconds_to_ns(seconds: float) -> int:
    """Convert a duration in seconds to nanoseconds, rounded to the nearest."""
    return round(seconds * NS_PER_SECOND)


def relative_seconds(time_ns: ArrayLike, origin_ns: int) -> Seconds:
    """Return `time_ns` (int64, any shape) as float64 seconds after `origin_ns`.

    The subtraction happens in integers: a float64 holds nanoseconds since 1970 only to about 200 ns.
    """
    return (np.asarray(time_ns, dtype=np.int64) - np.int64(origin_ns)).astype(np.float64) / NS_PER_SECOND


def absolute_ns(relative_s: ArrayLike, origin_ns: int) -> Nanoseconds:
    """Return float seconds after `origin_ns` as int64 nanoseconds; inverse of `relative_seconds`."""
    offset = np.rint(np.asarray(relative_s, dtype=np.float64) * NS_PER_SECOND).astype(np.int64)
    return np.asarray(offset + np.int64(origin_ns), dtype=np.int64)


def periodic_ns(start_ns: int, rate_hz: float, count: int) -> Nanoseconds:
    """Return `count` instants at `rate_hz` from `start_ns`, int64 [count], without accumulating error."""
    return absolute_ns(np.arange(count) / rate_hz, start_ns)
