"""Ranges that `counterpoint check --mark` marked: no training window touches them.

    episode    |-----------xxxxx------------------|
    decisions  |------|  horizon  | age |---------|     none whose events or knots would lie in the range

What is marked is data, not state: with the same marks, the order of windows is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from counterpoint.catalog.marks import dropped_ranges
from counterpoint.core.clock import NS_PER_SECOND, seconds_to_ns
from counterpoint.core.errors import ConfigError
from counterpoint.core.stream import Stream
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.selection import EpisodeReference
from counterpoint.data.episodes.source import EpisodeSource

Ranges = NDArray[np.int64]
"""[n, 2], start and end, both included, sorted, not overlapping."""


@runtime_checkable
class MarkedSource(Protocol):
    """A source that may have marks, as a store does."""

    @property
    def root(self) -> Path:
        """Folder with `catalogue/marks.parquet`, if there is one."""
        ...

    def flat(self) -> pa.Table:
        """Return at least episode_id, content_sha256, start_ns and end_ns, one row an episode."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Usable:
    """Episodes of which something is left."""

    episodes: dict[str, tuple[EpisodeReference, ...]]
    """By robot; an episode with dropped ranges is drawn for what is left of it."""
    ranges: Mapping[tuple[int, str], Ranges]
    """Dropped ranges by source and episode; none for most."""
    left_out_s: float
    """Robot time in which no decision is drawn, seconds: dropped ranges and what would see or reach into them."""
    left_out_episodes: int
    """Episodes of which nothing is left."""


def usable_episodes(
    sources: Sequence[EpisodeSource], episodes: Mapping[str, tuple[EpisodeReference, ...]], config: WindowConfig
) -> Usable:
    """Take what is marked out of the chosen episodes.

    Raises:
        ConfigError: nothing is left. StoreError: marks are damaged.
    """
    ranges, bounds = _marked(sources)
    if not ranges:
        return Usable(episodes=dict(episodes), ranges={}, left_out_s=0.0, left_out_episodes=0)
    kept: dict[str, tuple[EpisodeReference, ...]] = {}
    left_out_s, left_out_episodes = 0.0, 0
    for robot, references in episodes.items():
        usable: list[EpisodeReference] = []
        for reference in references:
            key = reference.source, reference.episode_id
            if key not in ranges:
                usable.append(reference)
                continue
            parts = stretches(*bounds[key], ranges[key], config)
            seconds = sum(last - first for first, last in parts) / NS_PER_SECOND
            left_out_s += max(0.0, reference.duration_s - seconds)
            if not parts:
                left_out_episodes += 1
                continue
            drawn_s = reference.duration_s if reference.drawn_s is None else reference.drawn_s
            usable.append(replace(reference, drawn_s=drawn_s * min(1.0, seconds / max(reference.duration_s, 1e-9))))
        if usable:
            kept[robot] = tuple(usable)
    if not kept:
        raise ConfigError(
            f"every window of the {left_out_episodes} chosen episode(s) touches a range that is marked to be left out; "
            "see 'counterpoint check STORE', and take marks back with --unmark"
        )
    return Usable(episodes=kept, ranges=ranges, left_out_s=left_out_s, left_out_episodes=left_out_episodes)


def stretches(low_ns: int, high_ns: int, ranges: Ranges, config: WindowConfig) -> list[tuple[int, int]]:
    """Return [first, last] times between which the decisions of a window may lie, in order.

    A decision sees events up to `max_age_s` old and has knots up to `horizon_s` ahead; none lies in a range.
    Stretches shorter than the shortest window (all gaps `min_gap_s`) are left out.
    """
    before_ns, after_ns = seconds_to_ns(config.horizon_s), seconds_to_ns(config.max_age_s)
    shortest_ns = min((config.branches - 1) * seconds_to_ns(config.min_gap_s), high_ns - low_ns)
    firsts = [low_ns, *(int(end) + after_ns + 1 for end in ranges[:, 1])]
    lasts = [*(int(start) - before_ns - 1 for start in ranges[:, 0]), high_ns]
    found = []
    for first, last in zip(firsts, lasts, strict=True):
        first, last = max(first, low_ns), min(last, high_ns)
        if first <= last and last - first >= shortest_ns:
            found.append((first, last))
    return found


def pick_stretch(parts: Sequence[tuple[int, int]], rng: np.random.Generator) -> tuple[int, int]:
    """Return one of several stretches, in proportion to their lengths; takes a number from `rng`."""
    ends = np.cumsum([max(1, last - first) for first, last in parts])
    return parts[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]


def outside(streams: Mapping[str, Stream], ranges: Ranges) -> dict[str, Stream]:
    """Return vector streams without the samples captured in the ranges; others as they are."""
    found = dict(streams)
    for name, stream in streams.items():
        if stream.spec.kind == "vector":
            number = np.searchsorted(ranges[:, 0], stream.capture_ns, side="right") - 1
            inside = (number >= 0) & (stream.capture_ns <= ranges[np.maximum(number, 0), 1])
            found[name] = stream.select(~inside)
    return found


def ranges_of(source: EpisodeSource) -> dict[str, Ranges]:
    """Return the dropped ranges of a source by episode; none for sources without marks."""
    return dropped_ranges(source.root, source.flat()) if isinstance(source, MarkedSource) else {}


def _marked(
    sources: Sequence[EpisodeSource],
) -> tuple[dict[tuple[int, str], Ranges], dict[tuple[int, str], tuple[int, int]]]:
    """Return ranges, and first and last capture time of the same episodes."""
    ranges: dict[tuple[int, str], Ranges] = {}
    bounds: dict[tuple[int, str], tuple[int, int]] = {}
    for number, source in enumerate(sources):
        found = ranges_of(source)
        if not found or not isinstance(source, MarkedSource):
            continue
        ranges |= {(number, episode_id): each for episode_id, each in found.items()}
        table = source.flat().select(["episode_id", "start_ns", "end_ns"])
        rows = table.filter(pc.is_in(table["episode_id"], value_set=pa.array(list(found), pa.string())))
        for row in rows.to_pylist():
            bounds[number, row["episode_id"]] = row["start_ns"], row["end_ns"]
    return ranges, bounds
