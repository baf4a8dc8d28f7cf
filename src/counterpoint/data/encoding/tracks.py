"""Tracks: the streams of one episode made ready for asking "what was the newest event known at time s?".

capture  0    1    2    3        an event is known from its arrival on; arrivals may overtake
arrival     0    2 1       3     known at s: the event with the newest capture among the arrived
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.descriptor import describe
from counterpoint.core.embodiment import Channel

Float = NDArray[np.float32]
Int = NDArray[np.int64]

CLIP = 10.0
"""Normalised values stay within +-CLIP."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """What the tokens of one group carry; groups of equal layout are packed together."""

    channels: tuple[Channel, ...]
    descriptors: Float
    """[channels, DESCRIPTOR_DIM]."""
    key: bytes
    """Equal keys mean equal descriptors."""


@lru_cache(maxsize=4096)
def layout_of(channels: tuple[Channel, ...]) -> Layout:
    """Return the layout of these channels; computed once for equal channels."""
    descriptors = describe(channels)
    return Layout(channels=channels, descriptors=descriptors, key=descriptors.tobytes())


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrivals:
    """When the events of a stream were captured and known."""

    capture_ns: Int
    """[samples], non-decreasing."""
    arrival_ns: Int
    """[samples]."""
    sorted_arrival_ns: Int
    """[samples], `arrival_ns` in order."""
    newest: Int
    """[samples + 1]: after n arrivals, the arrived event with the newest capture; -1 for none."""

    def newest_at(self, time_ns: Int) -> Int:
        """Return the newest event arrived at or before each time, int64 [n], -1 for none."""
        return self.newest[self.sorted_arrival_ns.searchsorted(time_ns, side="right")]

    def newest_before(self, time_ns: Int) -> Int:
        """Return the newest event arrived strictly before each time, int64 [n], -1 for none."""
        return self.newest[self.sorted_arrival_ns.searchsorted(time_ns, side="left")]


def arrivals_of(capture_ns: Int, arrival_ns: Int) -> Arrivals:
    """Prepare times int64 [samples], captures in order; copies nothing where arrivals are in order too."""
    count = len(capture_ns)
    if count < 2 or bool((arrival_ns[1:] >= arrival_ns[:-1]).all()):
        return Arrivals(
            capture_ns=capture_ns,
            arrival_ns=arrival_ns,
            sorted_arrival_ns=arrival_ns,
            newest=np.arange(-1, count, dtype=np.int64),
        )
    order = np.argsort(arrival_ns, kind="stable")
    return Arrivals(
        capture_ns=capture_ns,
        arrival_ns=arrival_ns,
        sorted_arrival_ns=arrival_ns[order],
        newest=np.concatenate(([-1], np.maximum.accumulate(order))).astype(np.int64),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """A vector stream with its arrivals, layout and normalisation."""

    name: str
    layout: Layout
    arrivals: Arrivals
    values: Float
    """[samples, channels], physical units."""
    mean: Float
    """[channels]."""
    inverse_std: Float
    """[channels]."""

    def normalised(self, rows: Int) -> Float:
        """Return the chosen samples normalised and clipped, float32 [n, channels]."""
        values: Float = self.values[rows]
        values -= self.mean
        values *= self.inverse_std
        return values.clip(-CLIP, CLIP, out=values)


def is_known(rows: Int, capture_ns: Int, time_ns: Int, max_age_ns: int) -> NDArray[np.bool_]:
    """Mark selections (-1 for none) made at `time_ns` that exist and are not too old, bool [n]."""
    if not len(capture_ns):
        return np.zeros(len(rows), dtype=np.bool_)
    known: NDArray[np.bool_] = (rows >= 0) & (capture_ns[rows] >= time_ns - max_age_ns)
    return known


def is_changed(rows: Int) -> NDArray[np.bool_]:
    """Mark selections that differ from the one before, bool [n]; the first always does."""
    changed = np.empty(len(rows), dtype=np.bool_)
    changed[:1] = True
    np.not_equal(rows[1:], rows[:-1], out=changed[1:])
    return changed
