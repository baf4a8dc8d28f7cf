"""Checks of motion: idle ranges, frozen streams, stuck joints, and impossible steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog.quality.finding import Finding, Severity, ranged, spans
from counterpoint.catalog.quality.thresholds import Frozen, Idle, Jump
from counterpoint.core.embodiment import Channel, Quantity
from counterpoint.core.stream import Stream

ACTION = "action"
LEAST_SAMPLES = 10
LEAST_REPEATS = 4
"""Samples that must repeat, however slow the stream is."""
MAX_SPANS = 50
"""Ranges of one kind reported one by one for a stream, the longest first."""
NEAR_S = 0.13
"""Steps so near belong to the same motion: a jump stands out among them, a fast start does not."""
ALONE = 4.0
"""Times the greatest step near it, in the same direction, that a jump has at least."""
MOVING: tuple[Quantity, ...] = ("joint_position", "gripper_opening")
PLACES: tuple[Quantity, ...] = ("joint_position", "position")
"""Quantities in which a sudden step is a fault; a gripper's command may well step."""

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]


def columns(stream: Stream, quantities: Sequence[Quantity]) -> list[int]:
    """Return the columns of a vector stream with one of these quantities, objects in the world left out."""
    if stream.spec.kind != "vector":
        return []
    return [i for i, c in enumerate(stream.spec.channels) if c.quantity in quantities and c.part != "object"]


def joint_streams(streams: Mapping[str, Stream]) -> list[Stream]:
    """Return the streams that report joints; commands are none."""
    return [s for name, s in streams.items() if name != ACTION and columns(s, MOVING) and len(s) >= LEAST_SAMPLES]


def check_idle(streams: Mapping[str, Stream], limits: Idle) -> list[Finding]:
    """Find ranges in which no joint of any stream moves; each is a note."""
    found = []
    for stream in joint_streams(streams):
        times = stream.capture_ns
        speed, window = joint_speed(stream, limits.window_s)
        for first, last in spans(speed < limits.speed):
            start, end = int(times[first]), int(times[min(last - 1 + window, len(times) - 1)])
            if end - start >= limits.least_s * 1e9:
                value = float(speed[first:last].max())
                found.append(ranged("idle", stream.spec.name, "note", (start, end), value, limits.speed))
    return _longest(found)


def joint_speed(stream: Stream, window_s: float) -> tuple[Float, int]:
    """Return the fastest joint's speed over a window from each sample on, [samples - window], and the window.

    The speed that sensor noise alone would show over the window is subtracted.
    """
    times = stream.capture_ns
    values = stream.values[:, columns(stream, MOVING)].astype(np.float64) * radians(stream)
    usual = max(float(np.median(np.diff(times))), 1.0)
    window = min(max(1, round(window_s * 1e9 / usual)), len(times) - 1)
    half = max(1, window // 2)  # the mean of some samples against the mean of the next ones: less noise
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    mean = (total[half:] - total[:-half]) / half
    apart = window + 1 - half
    seconds = (times[window:] - times[:-window])[:, None] * (apart / window) / 1e9
    speed = np.abs(mean[apart:] - mean[:-apart]) / np.maximum(seconds, 1e-6)
    noise = 3.0 * sensor_noise(values) * np.sqrt(2.0 / half) / (apart * usual / 1e9)
    return np.asarray(np.maximum(speed - noise, 0.0).max(axis=1)), window


def sensor_noise(values: Float) -> Float:
    """Estimate the standard deviation of each channel's noise, [channels], from the calmest second differences."""
    if len(values) < LEAST_SAMPLES:
        return np.zeros(values.shape[1])
    bend = np.abs(np.diff(values, n=2, axis=0))
    calm = np.partition(bend, len(bend) // 5, axis=0)[len(bend) // 5]
    return np.asarray(np.minimum(calm / 0.2533 / np.sqrt(6.0), 0.002))  # 20% of a normal variable lie within 0.2533


def check_frozen(streams: Mapping[str, Stream], limits: Frozen) -> list[Finding]:
    """Find vector streams whose numbers all repeat: a note at rest, worse while the robot moves elsewhere."""
    found: list[Finding] = []
    moving = [s for s in streams.values() if columns(s, MOVING) and len(s)]
    for stream in streams.values():
        if stream.spec.kind != "vector" or len(stream) < LEAST_SAMPLES:
            continue
        if all(channel.part == "object" for channel in stream.spec.channels):
            continue
        others = [s for s in moving if s is not stream and (s.spec.name == ACTION) != (stream.spec.name == ACTION)]
        same = (stream.values[1:] == stream.values[:-1]).all(axis=1)
        for start, end in _repeats(stream.capture_ns, same, limits.least_s):
            away = limits.settle_s * 1e9
            first, last = (start + away, end) if stream.spec.name == ACTION else (start - away / 5, end - away / 2.5)
            moved = max((excursion(other, int(first), int(last)) for other in others), default=0.0)
            seconds = (end - start) / 1e9
            severity = _severity(moved > limits.moved, seconds >= limits.fail_s)
            found.append(ranged("frozen", stream.spec.name, severity, (start, end), seconds, limits.least_s))
    return _longest(found)


def check_stuck(streams: Mapping[str, Stream], limits: Frozen) -> list[Finding]:
    """Find single joints whose number repeats while their own command moves."""
    if ACTION not in streams:
        return []
    action = streams[ACTION]
    commands = {channel.name: i for i, channel in enumerate(action.spec.channels)}
    found = []
    for stream in joint_streams(streams):
        frozen = np.concatenate([[0], np.cumsum((stream.values[1:] == stream.values[:-1]).all(axis=1))])
        for column in columns(stream, ("joint_position",)):
            channel = stream.spec.channels[column]
            if channel.name not in commands or channel.part not in ("arm", "torso", "head", "leg", "unknown"):
                continue  # a hand that holds something stands still, whatever its command
            values = stream.values[:, column]
            for start, end in _repeats(stream.capture_ns, values[1:] == values[:-1], 2 * limits.least_s):
                first, last = np.searchsorted(stream.capture_ns, [start, end])
                if frozen[last] - frozen[first] > (last - first) // 2:
                    continue  # all of them repeat: `frozen` reports that
                late = int(end - limits.settle_s * 0.4e9)
                if excursion(action, start, late, [commands[channel.name]]) > 2 * limits.moved:
                    seconds = (end - start) / 1e9
                    severity: Severity = "fail" if seconds >= limits.fail_s else "warn"
                    span, name = (start, end), stream.spec.name
                    found.append(ranged("stuck", name, severity, span, seconds, 2 * limits.least_s, channel.name))
    return _longest(found)


def check_jumps(stream: Stream, limits: Jump) -> list[Finding]:
    """Find single steps of positions that are many times the usual surprise of the channel, and stand alone.

    The surprise of a step is how far it is from the median of the four steps around it: fast motion is none.
    """
    chosen = columns(stream, PLACES)
    if not chosen or len(stream) < LEAST_SAMPLES:
        return []
    periods = np.diff(stream.capture_ns)
    usual = max(float(np.median(periods)), 1.0)
    steps = np.diff(stream.values[:, chosen], axis=0) / np.maximum(periods / usual, 1.0)[:, None]
    surprise = np.abs(steps - _median_around(steps))
    channels = [stream.spec.channels[i] for i in chosen]
    may_step = np.asarray([stream.spec.name == ACTION or each.part in ("hand", "gripper") for each in channels])
    allowed = np.where(may_step, limits.command_steps, limits.steps)
    size = usual_step(surprise, channels)
    reach = max(2, round(NEAR_S * 1e9 / usual))
    worst: dict[int, tuple[float, float, str]] = {}
    for row, column in np.argwhere(surprise > allowed * size):
        near = steps[max(0, row - reach) : row + reach + 1, column] * np.sign(steps[row, column])
        near[row - max(0, row - reach)] = 0.0
        if abs(steps[row, column]) > ALONE * near.max():
            ratio = float(surprise[row, column] / size[column])
            one = ratio, float(allowed[column]), channels[column].name
            worst[int(row)] = max(worst.get(int(row), one), one)
    severity: Severity = "fail" if len(worst) >= limits.fail_count else "warn"
    greatest = sorted(worst, key=lambda row: -worst[row][0])[:MAX_SPANS]
    times = stream.capture_ns
    return [ranged("jump", stream.spec.name, severity, (times[row], times[row + 1]), *worst[row]) for row in greatest]


def _median_around(steps: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the median of the two steps before and the two after each, [samples, channels]."""
    padded = np.concatenate([steps[:1], steps[:1], steps, steps[-1:], steps[-1:]])
    one, two, three, four = padded[:-4], padded[1:-3], padded[3:-1], padded[4:]
    low, high = np.minimum(one, two), np.maximum(one, two)
    left, right = np.minimum(three, four), np.maximum(three, four)
    return np.asarray((np.maximum(low, left) + np.minimum(high, right)) / 2)  # the middle two of four


def usual_step(steps: Float, channels: Sequence[Channel]) -> Float:
    """Return the usual surprise of each channel while it moves, [channels], from absolute surprises.

    That is the 75th percentile of those that are not zero: a channel may rest, or repeat its last value
    between updates. No channel is held to less than the median channel of its kind, or a thousandth of a radian.
    """
    ordered = np.sort(steps[:: max(1, len(steps) // 2000)], axis=0)
    moves = (ordered > 0).sum(axis=0)
    place = len(ordered) - 1 - moves // 4
    own = np.where(moves >= LEAST_SAMPLES, ordered[place, np.arange(len(channels))], 0.0)
    least = np.full(len(channels), 1e-3)
    for quantity in {channel.quantity for channel in channels}:
        kind = np.asarray([channel.quantity == quantity for channel in channels])
        least[kind] = np.maximum(least[kind], np.median(own[kind]))
    return np.asarray(np.maximum(own, least))


def excursion(stream: Stream, start_ns: int, end_ns: int, chosen: Sequence[int] | None = None) -> float:
    """Return the greatest range that a moving channel of `stream` covers within [start_ns, end_ns]."""
    first, last = np.searchsorted(stream.capture_ns, [start_ns, end_ns])
    picked = columns(stream, MOVING) if chosen is None else chosen
    values = stream.values[first : last + 1][:, picked]
    return radians(stream) * float((values.max(axis=0) - values.min(axis=0)).max()) if len(values) > 1 else 0.0


def radians(stream: Stream) -> float:
    """Return what to multiply angles with to have radians: logs without a robot mapping may hold degrees.

    No joint turns twice about itself, so greater numbers are no radians; `ingest` notes them as `not_in_rad`.
    """
    angles = [i for i in columns(stream, ("joint_position",)) if stream.spec.channels[i].unit == "rad"]
    far = np.abs(stream.values[:, angles]).max(initial=0.0) if angles else 0.0
    return math.pi / 180 if far > 4 * math.pi else 1.0


def _repeats(times: NDArray[np.int64], same: Mask, least_s: float) -> list[tuple[int, int]]:
    runs = spans(same)
    runs = runs[runs[:, 1] - runs[:, 0] + 1 >= LEAST_REPEATS]
    ranges = [(int(times[first]), int(times[last])) for first, last in runs]
    return [(start, end) for start, end in ranges if end - start >= least_s * 1e9]


def _severity(is_fault: bool, is_long: bool) -> Severity:
    return "note" if not is_fault else "fail" if is_long else "warn"


def _longest(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda each: each.start_ns - each.end_ns)[:MAX_SPANS]
