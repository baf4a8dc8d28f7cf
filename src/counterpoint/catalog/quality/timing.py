"""Checks of one stream's clock: gaps, missing samples, rate, order, steps and drift.

Times that were computed rather than measured (`nominal`: frame number over rate) are not checked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog.quality.finding import Finding, Severity, ranged, whole
from counterpoint.catalog.quality.thresholds import Clock, Gap, Rate
from counterpoint.core.stream import Stream

LEAST_SAMPLES = 10
NS_PER_MS = 1e6
MAX_GAPS = 100
"""Gaps reported one by one, the longest first."""
MAX_BINS = 32
"""At most this many stretches of a stream are compared for their delays ..."""
BIN_SAMPLES = 8
"""... each with at least this many samples."""
SURE = 4.0
"""Standard errors by which a drift must exceed what is allowed."""


def check_gaps(stream: Stream, limits: Gap) -> list[Finding]:
    """Find gaps, and more missing samples than allowed."""
    times = stream.capture_ns
    if len(times) < LEAST_SAMPLES or stream.time_source == "nominal":
        return []
    periods = np.diff(times)
    usual = float(np.median(periods))
    longest = max(limits.periods * usual, limits.least_ms * NS_PER_MS)
    gaps = np.flatnonzero(periods > longest)
    found = []
    for place in gaps[np.argsort(-periods[gaps])[:MAX_GAPS]]:
        severity: Severity = "fail" if periods[place] >= limits.fail_ms * NS_PER_MS else "warn"
        span, value = (times[place], times[place + 1]), periods[place] / NS_PER_MS
        found.append(ranged("gap", stream.spec.name, severity, span, value, longest / NS_PER_MS))
    return found + _drops(stream, periods, usual, limits)


def _drops(stream: Stream, periods: NDArray[np.int64], usual: float, limits: Gap) -> list[Finding]:
    if usual <= 0:
        return []
    missing = float(np.maximum(np.rint(periods / usual) - 1, 0).sum())
    expected = missing + len(periods) + 1
    # Chance alone takes twice the root of the expected number more from a stream that drops as much as allowed.
    allowed = limits.drop_fraction * expected
    if missing <= max(allowed + 2 * np.sqrt(allowed), 2):
        return []
    share = missing / expected
    severity: Severity = "fail" if share >= limits.fail_fraction else "warn"
    return [whole("drop", stream, severity, share, limits.drop_fraction)]


def check_rate(stream: Stream, limits: Rate, gap: Gap) -> list[Finding]:
    """Compare the mean period, gaps left out, with the rate that the stream says it has."""
    rate = stream.spec.rate_hz
    if rate is None or len(stream) < LEAST_SAMPLES or stream.time_source == "nominal":
        return []
    periods = np.diff(stream.capture_ns)
    longest = max(gap.periods * float(np.median(periods)), gap.least_ms * NS_PER_MS)
    inside = periods[periods <= longest]
    off = float(np.mean(inside)) * rate / 1e9 - 1.0
    if abs(off) <= limits.tolerance:
        return []
    severity: Severity = "fail" if abs(off) > limits.fail_tolerance else "warn"
    return [whole("rate", stream, severity, off, limits.tolerance)]


def check_order(stream: Stream, limits: Clock) -> list[Finding]:
    """Find capture times that repeat, and arrivals in another order than captures."""
    count = len(stream)
    if count < LEAST_SAMPLES or stream.spec.kind == "text":
        return []
    found = []
    repeated = int((np.diff(stream.capture_ns) == 0).sum()) / count
    if repeated > limits.repeated_fraction:
        found.append(whole("repeated_time", stream, "warn", repeated, limits.repeated_fraction))
    newest = np.maximum.accumulate(stream.arrival_ns)
    late = int((newest - stream.arrival_ns > limits.disorder_ms * NS_PER_MS).sum()) / count
    if late > limits.disorder_fraction:
        found.append(whole("arrival_order", stream, "warn", late, limits.disorder_fraction))
    return found


def check_clock(stream: Stream, limits: Clock) -> list[Finding]:
    """Find steps and drift of the delay from capture to arrival, which are those of the clocks.

    The shortest delay of each stretch counts, because buffering only makes delays longer.
    """
    if len(stream) < 8 * BIN_SAMPLES or stream.time_source == "nominal":
        return []
    delay = (stream.arrival_ns - stream.capture_ns).astype(np.float64) / NS_PER_MS
    if delay.max() == delay.min():
        return []
    edges = np.linspace(0, len(delay), min(MAX_BINS, len(delay) // BIN_SAMPLES) + 1).astype(np.int64)[:-1]
    shortest = np.minimum.reduceat(delay, edges)
    middle = stream.capture_ns[edges + len(delay) // len(edges) // 2] - stream.capture_ns[0]
    step, noise, place = _step(shortest)
    if abs(step) > max(limits.warn_ms, SURE * noise):
        severity: Severity = "fail" if abs(step) > limits.fail_ms else "warn"
        span = stream.capture_ns[edges[place - 1]], stream.capture_ns[edges[min(place + 1, len(edges) - 1)]]
        return [ranged("clock_step", stream.spec.name, severity, span, step, limits.warn_ms)]
    slope, error = _line(middle / 6e10, shortest)
    if abs(slope) - SURE * error > limits.drift_ms_per_min:
        return [whole("clock_drift", stream, "warn", slope, limits.drift_ms_per_min)]
    return []


def _step(shortest: NDArray[np.float64]) -> tuple[float, float, int]:
    """Return the greatest lasting change beyond the usual trend, its standard error, and before which stretch it is."""
    width = 3
    changes = np.diff(shortest)
    level = shortest - float(np.median(changes)) * np.arange(len(shortest))
    medians = np.median(np.lib.stride_tricks.sliding_window_view(level, width), axis=1)
    change = medians[width:] - medians[:-width]
    high = np.flatnonzero(np.abs(change) >= 0.9 * np.abs(change).max())  # medians make a plateau of the edge
    place = int(high[len(high) // 2])
    return float(change[place]), 1.4826 * float(np.median(np.abs(np.diff(level)))), place + width


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and standard error of a straight line through points."""
    away = x - x.mean()
    spread = float(away @ away)
    if spread <= 0:
        return 0.0, np.inf
    slope = float(away @ (y - y.mean())) / spread
    left = y - y.mean() - slope * away
    return slope, float(np.sqrt(left @ left / max(len(x) - 2, 1) / spread))
