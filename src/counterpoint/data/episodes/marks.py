"""Ranges of episodes that `counterpoint check` marked to be left out of training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog.marks import dropped_ranges
from counterpoint.core.stream import Stream
from counterpoint.data.episodes.source import EpisodeSource

Ranges = NDArray[np.int64]
"""[n, 2], start and end, both included, sorted, not overlapping."""


def ranges_of(source: EpisodeSource) -> dict[str, Ranges]:
    """Return the dropped ranges of a source by episode; raises StoreError where the marks are damaged."""
    return {} if source.root is None else dropped_ranges(source.root, source.flat())


def outside(streams: Mapping[str, Stream], ranges: Ranges) -> dict[str, Stream]:
    """Return vector streams without the samples captured in the ranges; others as they are."""
    found = dict(streams)
    for name, stream in streams.items():
        if stream.spec.kind == "vector":
            number = np.searchsorted(ranges[:, 0], stream.capture_ns, side="right") - 1
            inside = (number >= 0) & (stream.capture_ns <= ranges[np.maximum(number, 0), 1])
            found[name] = stream.select(~inside)
    return found
