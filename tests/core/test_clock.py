"""Time: integers in storage, exact round trips, no drift."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.core.clock import NS_PER_SECOND, absolute_ns, periodic_ns, relative_seconds, seconds_to_ns

EPOCH_NS = st.integers(0, 4_000_000_000_000_000_000)  # 1970 to 2096
WINDOW_NS = st.lists(st.integers(-3_600_000_000_000, 3_600_000_000_000), max_size=20)


@given(EPOCH_NS, WINDOW_NS)
def test_relative_and_absolute_time_are_inverse_to_the_nanosecond(origin: int, offsets: list[int]) -> None:
    times = np.asarray(offsets, dtype=np.int64) + origin
    assert absolute_ns(relative_seconds(times, origin), origin).tolist() == times.tolist()


@given(EPOCH_NS, st.integers(0, 10**9))
def test_differences_are_taken_in_integers(origin: int, offset: int) -> None:
    found = float(relative_seconds(np.asarray(origin + offset), origin))
    assert abs(Fraction(found) - Fraction(offset, 10**9)) < Fraction(1, 10**15)


@given(st.integers(0, 10**15))
def test_durations_round_trip(duration_ns: int) -> None:
    assert seconds_to_ns(duration_ns / NS_PER_SECOND) == duration_ns


@given(EPOCH_NS, st.sampled_from([5.0, 20.0, 29.97, 30.0, 100.0]), st.integers(1, 5000))
def test_periodic_instants_do_not_drift(start: int, rate_hz: float, count: int) -> None:
    instants = periodic_ns(start, rate_hz, count)
    exact = round(Fraction(count - 1) * 10**9 / Fraction(rate_hz))
    assert instants.dtype == np.int64
    assert instants[0] == start
    assert abs(int(instants[-1]) - start - exact) <= 1
