"""Puts an episode's streams on one clock, as rows at a fixed rate, for formats that have only one clock.

action  [t0, t0 + 1/fps, ...]        rows: one per command, bit for bit, where commands come at
state   every 10 ms             ->         the export's rate; otherwise a grid that holds each stream's last
camera  every 33 ms                        sample (what was known at that moment, never a later sample)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.errors import ExportError
from counterpoint.core.stream import Stream

ACTION = "action"
STATE_STREAM = "proprioception"
STATE = "observation.state"
MAX_ROWS = 50_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One numeric feature, one row per frame."""

    names: tuple[str, ...]
    """Channel of each number."""
    values: NDArray[np.float32]
    """[rows, numbers]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """An episode at one rate."""

    capture_ns: NDArray[np.int64]
    """[rows], times on the episode's own clock."""
    columns: dict[str, Column]
    """By feature: `observation.state`, `action`, and every other vector stream as `observation.<stream>`."""
    tasks: tuple[str, ...]
    """One instruction per row; empty where there is none."""
    cameras: dict[str, NDArray[np.int64]]
    """By image stream: the sample shown in each row, int64 [rows]."""
    resampled: tuple[str, ...]
    """Streams whose samples are not exactly one per row."""


def feature_name(stream: str) -> str:
    """Return the feature name of a stream."""
    if stream in (ACTION, STATE_STREAM):
        return ACTION if stream == ACTION else STATE
    if stream.startswith("camera/"):
        return f"observation.images.{stream.removeprefix('camera/').replace('/', '_')}"
    return stream if stream.startswith("observation.") else f"observation.{stream.replace('/', '.')}"


def align(
    streams: dict[str, Stream], cameras: dict[str, NDArray[np.int64]], fps: int, where: str, instruction: str = ""
) -> Rows:
    """Put an episode on one clock.

    Args:
        streams: vector and text streams by name; must hold `action`.
        cameras: capture times of each image stream, int64 [samples].
        fps: rows per second.
        where: the episode, for messages.
        instruction: used where the episode has no `instruction` stream.

    Raises:
        ExportError: no commands, or an impossible length.
    """
    if ACTION not in streams or not len(streams[ACTION]):
        raise ExportError(f"{where}: no stream {ACTION!r}; row-based formats need one command per row")
    times = _row_times(streams[ACTION].capture_ns, fps, where)
    columns: dict[str, Column] = {}
    resampled = []
    for name, stream in streams.items():
        if stream.spec.kind != "vector" or not len(stream):
            continue
        places, exact = _last_before(stream.capture_ns, times)
        values = np.asarray(stream.values, dtype=np.float32)[places]
        columns[feature_name(name)] = Column(names=stream.spec.channel_names, values=values)
        resampled += [] if exact else [name]
    shown: dict[str, NDArray[np.int64]] = {}
    for name, capture_ns in cameras.items():
        if not len(capture_ns):
            continue
        shown[name], exact = _last_before(capture_ns, times)
        resampled += [] if exact else [name]
    texts = _texts(streams.get("instruction"), times, instruction)
    return Rows(capture_ns=times, columns=columns, tasks=texts, cameras=shown, resampled=tuple(resampled))


def _row_times(commands_ns: NDArray[np.int64], fps: int, where: str) -> NDArray[np.int64]:
    """Return the commands' own times where they are within half a period of `fps`, otherwise a grid."""
    start, period = int(commands_ns[0]), 1e9 / fps
    regular = periodic_ns(start, fps, len(commands_ns))
    if np.abs(commands_ns - regular).max() < period / 2 and (np.diff(commands_ns) > 0).all():
        return commands_ns
    count = int((int(commands_ns[-1]) - start) / period) + 1
    if count > MAX_ROWS:
        raise ExportError(f"{where}: {count} rows at {fps} Hz, at most {MAX_ROWS}; the times of 'action' span too much")
    return periodic_ns(start, fps, count)


def _last_before(capture_ns: NDArray[np.int64], times: NDArray[np.int64]) -> tuple[NDArray[np.int64], bool]:
    """Return the last sample at or before each time (else the first), and whether samples and times are equal."""
    if len(capture_ns) == len(times) and np.array_equal(capture_ns, times):
        return np.arange(len(times)), True
    return np.maximum(np.searchsorted(capture_ns, times, side="right") - 1, 0).astype(np.int64), False


def _texts(stream: Stream | None, times: NDArray[np.int64], instruction: str) -> tuple[str, ...]:
    if stream is None or not len(stream):
        return (instruction,) * len(times)
    places, _ = _last_before(stream.capture_ns, times)
    words = [str(text) for text in stream.values]
    return tuple(words[place] for place in places)
