"""Checks of streams against each other: the lag of the state behind its command, and skew between sensors.

Velocities are compared, because they are independent of offsets. They are smoothed first, because differences of
noisy samples are mostly noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog.quality.finding import Finding, Severity, whole
from counterpoint.catalog.quality.motion import ACTION, LEAST_SAMPLES, columns, joint_streams
from counterpoint.catalog.quality.thresholds import Clock, Lag
from counterpoint.core.embodiment import Part
from counterpoint.core.stream import Stream

GRID_NS = 10_000_000
"""Streams on clocks of their own are compared on this grid."""
LEAST_S = 1.5
"""Shorter overlaps are too short to measure a lag."""
EARLIEST, LATEST = -30, 100
"""Lags of the state that are tried, in steps of the grid."""
REACH = 15
"""Skews that are tried either way, in steps of the grid."""
STRETCH = 300
"""Skew is measured on stretches of this many grid steps ..."""
STRETCHES = 6
"""... of which at most this many are used, those with the most motion."""
LEAST_FIT = 0.95
"""Share of the tool's motion that the joints must explain before skew is measured."""
ENOUGH = 0.999
"""Share of the joint motion that the principal components must keep."""
MOMENTS_HZ = 4.0
"""Independent moments a second of smoothed motion, at most."""
SHARPER = 1.5
"""A shift must reduce the unexplained motion by this factor to count."""
HANDS: tuple[Part, ...] = ("hand", "gripper")

Float = NDArray[np.float64]


def check_lag(streams: Mapping[str, Stream], limits: Lag) -> list[Finding]:
    """Find a state that follows its command too late or too early.

    Hands and grippers are checked separately and reported as notes: many are slow, and a held object stops them.
    """
    if ACTION not in streams:
        return []
    found = []
    for stream in joint_streams(streams):
        for is_hand in (False, True):
            measured = state_lag(streams[ACTION], stream, limits.smooth_s, is_hand=is_hand)
            if measured is None or measured[1] < limits.least_likeness:
                continue
            lag_ms = measured[0] / 1e6
            nearest = min(max(lag_ms, limits.earliest_ms), limits.latest_ms)
            if lag_ms != nearest:
                severity: Severity = "note" if is_hand else "warn"
                found.append(whole("lag", stream, severity, lag_ms, nearest, "hands" if is_hand else ""))
    return found


def state_lag(action: Stream, state: Stream, smooth_s: float, *, is_hand: bool = False) -> tuple[float, float] | None:
    """Return the nanoseconds by which the state follows the command, and how alike they are, 0 to 1.

    Joints of the same name are compared, hands or the others. None where nothing moves or little is shared.
    """
    commanded = {c.name: i for i, c in enumerate(action.spec.channels) if (c.part in HANDS) == is_hand}
    seen = {state.spec.channels[i].name: i for i in columns(state, ("joint_position",))}
    names = [name for name in commanded if name in seen]
    if not names or min(len(action), len(state)) < LEAST_SAMPLES:
        return None
    grid = _shared_grid(action, state)
    if len(grid) < LEAST_S * 1e9 / GRID_NS:
        return None
    commands = _velocities(action, [commanded[name] for name in names], grid, smooth_s)
    joints = _velocities(state, [seen[name] for name in names], grid, smooth_s)
    return _best_lag(commands, joints)


def _best_lag(before: Float, after: Float) -> tuple[float, float] | None:
    """Return the lag of `after` with the greatest correlation, summed over columns, and that correlation."""
    before, after = before - before.mean(axis=0), after - after.mean(axis=0)
    count = len(before)
    size = 1 << (2 * count - 1).bit_length()
    spectrum = (np.conj(np.fft.rfft(before, size, axis=0)) * np.fft.rfft(after, size, axis=0)).sum(axis=1)
    lags = np.arange(EARLIEST, LATEST + 1)
    together = np.fft.irfft(spectrum, size)[lags]  # negative lags lie at the end
    energy = [np.concatenate([[0.0], np.cumsum((part * part).sum(axis=1))]) for part in (before, after)]
    # Of `count` samples those overlap that have a partner `lag` later.
    first = energy[0][np.minimum(count - lags, count)] - energy[0][np.maximum(-lags, 0)]
    second = energy[1][np.minimum(count + lags, count)] - energy[1][np.maximum(lags, 0)]
    scale = np.sqrt(np.maximum(first * second, 0.0))
    if scale.min() <= 1e-9:
        return None
    likeness = together / scale
    best = int(likeness.argmax())
    return float(lags[best] + _between(likeness, best)) * GRID_NS, float(likeness[best])


def check_skew(streams: Mapping[str, Stream], limits: Clock) -> list[Finding]:
    """Find tool poses that show the motion of the joints earlier or later than the joints themselves."""
    able = [s for name, s in streams.items() if name != ACTION and s.spec.kind == "vector" and len(s) >= LEAST_SAMPLES]
    found = []
    for joints, tool in permutations((s for s in able if s.time_source == "measured"), 2):
        skew_ms = (stream_skew(joints, tool) or 0.0) / 1e6
        if abs(skew_ms) > limits.warn_ms:
            severity: Severity = "fail" if abs(skew_ms) > limits.fail_ms else "warn"
            found.append(whole("clock_skew", tool, severity, skew_ms, limits.warn_ms, joints.spec.name))
    return found


def stream_skew(joints: Stream, tool: Stream) -> float | None:
    """Return the nanoseconds by which the tool's motion comes after that of the joints; None if it cannot be measured.

    The tool's velocity is linear in those of the joints, with factors that change slowly (the Jacobian):
    the shift is sought at which such factors explain it best, in some short stretches; their median counts.
    """
    moving = columns(joints, ("joint_position",))
    places = [i for i in columns(tool, ("position",)) if tool.spec.channels[i].part not in ("object", "base")]
    if not moving or not places:
        return None
    grid = _shared_grid(joints, tool)
    length = min(STRETCH, len(grid))
    if length < LEAST_S * 1e9 / GRID_NS:
        return None
    causes = _velocities(joints, moving, grid, 0.1)
    effects = _velocities(tool, places, grid, 0.1)
    starts = np.arange(0, len(grid) - length + 1, length)
    energy = np.add.reduceat((effects * effects).sum(axis=1), starts)
    skews = [
        _stretch_skew(causes[start : start + length], effects[start : start + length])
        for start in starts[np.argsort(-energy)[:STRETCHES]]
    ]
    known = [skew for skew in skews if skew is not None]
    return float(np.median(known)) * GRID_NS if known else None


def _stretch_skew(causes: Float, effects: Float) -> float | None:
    inner = causes[REACH:-REACH]
    # Joints that move together are one cause; more causes than the stretch has independent moments fit anything.
    together, strength, _ = np.linalg.svd(inner, full_matrices=False)
    count = int(np.searchsorted(np.cumsum(strength**2), ENOUGH * float((strength**2).sum()))) + 1
    terms = min(3, int(MOMENTS_HZ * len(inner) * GRID_NS / 1e9) // count)
    if terms == 0 or strength[0] <= 1e-6 or not effects.any():
        return None
    inner, time = together[:, :count], np.linspace(-1.0, 1.0, len(inner))[:, None]
    basis, _ = np.linalg.qr(np.concatenate([inner * time**power for power in range(terms)], axis=1))
    shifted = np.lib.stride_tricks.sliding_window_view(effects, len(inner), axis=0)  # [shifts, columns, time]
    explained = ((shifted @ basis) ** 2).sum(axis=(1, 2))
    left = 1.0 - explained / np.maximum((shifted**2).sum(axis=(1, 2)), 1e-12)
    best = int(left.argmin())
    if left[best] > 1.0 - LEAST_FIT or left[REACH] < SHARPER * left[best]:
        return 0.0 if left[REACH] < 1.0 - LEAST_FIT else None
    return float(best - REACH + _between(-left, best))


def _shared_grid(one: Stream, other: Stream) -> NDArray[np.int64]:
    first = max(int(one.capture_ns[0]), int(other.capture_ns[0]))
    return np.arange(first, min(int(one.capture_ns[-1]), int(other.capture_ns[-1])), GRID_NS, dtype=np.int64)


def _velocities(stream: Stream, chosen: Sequence[int], grid: NDArray[np.int64], smooth_s: float) -> Float:
    """Return velocities of the chosen channels on the grid, smoothed by a raised cosine, [grid, channels]."""
    origin = int(grid[0])
    times, wanted = (stream.capture_ns - origin).astype(np.float64), (grid - origin).astype(np.float64)
    values = stream.values.astype(np.float64)
    values = np.stack([np.interp(wanted, times, values[:, i]) for i in chosen], axis=1)
    # One gradient of the smoothed values is the smoothed gradient; the window is a sum of two means.
    half = max(1, round(smooth_s * 1e9 / GRID_NS / 2))
    for _ in range(2):
        padded = np.concatenate([values[:1].repeat(half, axis=0), values, values[-1:].repeat(half, axis=0)])
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(padded, axis=0)])
        values = (total[2 * half + 1 :] - total[: -2 * half - 1]) / (2 * half + 1)
    return np.gradient(values, GRID_NS / 1e9, axis=0)


def _between(curve: Float, best: int) -> float:
    """Return where between samples the top of a curve lies, -0.5 to 0.5, by a parabola through three points."""
    if not 0 < best < len(curve) - 1:
        return 0.0
    left, top, right = curve[best - 1 : best + 2]
    bend = left - 2 * top + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
