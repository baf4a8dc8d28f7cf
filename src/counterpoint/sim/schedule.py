"""When a sensor captures and when its sample arrives: own clock, latency, jitter, drop-outs.

The whole schedule is drawn from the seed before the episode starts, so it does not depend on what the robot
does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import absolute_ns

NEVER_DROPPED = 4
"""The first samples always arrive, so that a policy has seen every stream when control starts."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Timing of a kind of sensor."""

    rate_hz: float
    jitter_s: float = 0.0
    """Captures deviate from their grid uniformly by up to this, seconds."""
    latency_s: float = 0.0
    latency_spread_s: float = 0.0
    """Latency varies uniformly by up to this around `latency_s`, seconds."""
    drop_rate: float = 0.0
    """Share of samples that never arrive."""
    gap_rate_hz: float = 0.0
    """Silent gaps a second."""
    gap_s: float = 0.2
    """Length of a silent gap, seconds."""


STATE_TIMING = Timing(rate_hz=100.0, latency_s=0.002, latency_spread_s=0.001)
TRACKER_TIMING = Timing(
    rate_hz=25.0,
    jitter_s=0.004,
    latency_s=0.03,
    latency_spread_s=0.01,
    drop_rate=0.02,
    gap_rate_hz=0.05,
)


def camera_timing(rate_hz: float) -> Timing:
    """Return the timing of a camera: 40 ms of exposure, transfer and decoding, give or take 8."""
    return Timing(rate_hz=rate_hz, latency_s=0.04, latency_spread_s=0.008)


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """All captures of one sensor in one episode, int64 ns [samples], and when each arrives."""

    capture_ns: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.capture_ns)


def draw_schedule(
    timing: Timing, duration_s: float, random: np.random.Generator, *, grid_s: float | None = None
) -> Schedule:
    """Return the schedule of one sensor for an episode of at most `duration_s`.

    With `grid_s`, captures move to its nearest multiple. The clock's phase is random, except for sensors at the
    grid's own rate.
    """
    count = int(duration_s * timing.rate_hz)
    on_grid = grid_s is not None and abs(timing.rate_hz * grid_s - 1) < 1e-9
    phase = 0.0 if on_grid else float(random.uniform(0, 1))
    capture = (np.arange(count) + phase) / timing.rate_hz
    capture += random.uniform(-timing.jitter_s, timing.jitter_s, count)
    capture = np.maximum(capture, 0.0)
    if grid_s is not None:
        capture = np.rint(capture / grid_s) * grid_s
    latency = timing.latency_s + timing.latency_spread_s * random.uniform(-1, 1, count)
    kept = random.uniform(size=count) >= timing.drop_rate
    for start in random.uniform(0, duration_s, random.poisson(timing.gap_rate_hz * duration_s)):
        kept &= (capture < start) | (capture >= start + timing.gap_s)
    kept[:NEVER_DROPPED] = True
    return Schedule(
        capture_ns=absolute_ns(capture[kept], 0),
        arrival_ns=absolute_ns((capture + np.maximum(latency, 0.0))[kept], 0),
    )
