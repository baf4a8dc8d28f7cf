"""Which windows there are: stretches of episodes, and how many windows each holds. The only cutter of windows.

    episode   |-------------xxxxx------------------|    xxxxx is marked to be left out
    stretch   |----------|         |---------------|    what is left of it, clear of the marks by a margin
    windows   |=====|                                   one every stride from the start of a stretch,
                |=====|                                 the last moved in so that it ends with the stretch;
                    |====|                              or side by side, sharing the stretch

The only thing that grows with the data is a few integers a stretch, in files that processes map together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
MAPPED_ABOVE = 1_000_000
"""Tables of more stretches than this are put into a file and mapped."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How episodes are cut into windows, nanoseconds."""

    length_ns: int
    """Length of a window; about it where windows share a stretch."""
    stride_ns: int | None
    """From one window of a stretch to the next; None for windows side by side that share the stretch equally."""
    shortest_ns: int = 1
    """What marks leave of an episode is used only if it lasts at least this long."""
    shortest_episode_ns: int = 1
    """An episode is used only if it lasts at least this long."""
    before_ns: int = 0
    """How far windows stay clear of the start of a marked range."""
    after_ns: int = 0
    """How far windows stay clear of the end of a marked range."""


class Place(NamedTuple):
    """Where a window lies."""

    row: int
    """Row of the episode in the table that the stretches were made of."""
    start_ns: int
    end_ns: int
    """Not included."""
    first_ns: int
    """Start of the stretch."""
    last_ns: int
    """End of the stretch, not included."""


class WindowTable:
    """The windows of one table of episodes, numbered from 0."""

    def __init__(self, stretches: Integers, cut: Cut, left_out_ns: int) -> None:
        """Use `window_table`; `stretches` are cumulated windows, row, start and end, int64 [4, stretches]."""
        self._cumulated, self._rows, self._starts, self._ends = stretches
        self._cut = cut
        self.left_out_ns = left_out_ns
        """Robot time in no stretch: marked ranges with their margins, and what is too short to use."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._cumulated[-1]) if len(self._cumulated) else 0

    @property
    def num_episodes(self) -> int:
        """Episodes that have a window."""
        return len(np.unique(self._rows))

    def place(self, window: int) -> Place:
        """Return where window number `window` (0 .. len - 1) lies."""
        at = int(self._cumulated.searchsorted(window, side="right"))
        before = int(self._cumulated[at - 1]) if at else 0
        first, last = int(self._starts[at]), int(self._ends[at])
        number, length = window - before, self._cut.length_ns
        if self._cut.stride_ns is None:
            count = int(self._cumulated[at]) - before
            start, end = (first + (last - first) * each // count for each in (number, number + 1))
        else:
            start = max(first, min(first + number * self._cut.stride_ns, last - length))
            end = min(start + length, last)
        return Place(int(self._rows[at]), start, end, first, last)

    def within(self, first_row: int, last_row: int) -> tuple[int, int]:
        """Return the numbers of the first window of rows [first, last), and of the first one after them."""
        first, last = np.searchsorted(self._rows, [first_row, last_row])
        edges = [int(self._cumulated[at - 1]) if at else 0 for at in (first, last)]
        return edges[0], edges[1]


def window_table(start_ns: Integers, end_ns: Integers, dropped: Mapping[int, Integers], cut: Cut) -> WindowTable:
    """Return the windows of episodes.

    Args:
        start_ns: [episodes], first capture time.
        end_ns: [episodes], last capture time; it lies in the last window.
        dropped: ranges to avoid by episode row, [start, end] both included, int64 [n, 2], sorted, not overlapping.
        cut: how episodes are cut.
    """
    rows, starts, ends = _stretches(start_ns, end_ns + 1, dropped, cut)
    length, whole = ends - starts, (end_ns + 1 - start_ns)[rows]
    kept = (length > 0) & (whole >= cut.shortest_episode_ns) & (length >= np.minimum(cut.shortest_ns, whole))
    if cut.stride_ns is None:
        counts = np.maximum(1, (length[kept] + cut.length_ns // 2) // cut.length_ns)
    else:
        counts = np.maximum(0, -((cut.length_ns - length[kept]) // cut.stride_ns)) + 1
    table = np.stack([np.cumsum(counts), rows[kept], starts[kept], ends[kept]])
    left_out = int((end_ns + 1 - start_ns).sum() - length[kept].sum())
    if table.shape[1] > MAPPED_ABOVE:
        table = _mapped(table)
    return WindowTable(table, cut, left_out)


def _stretches(
    start_ns: Integers, end_ns: Integers, dropped: Mapping[int, Integers], cut: Cut
) -> tuple[Integers, Integers, Integers]:
    """Return row, start and end of what is left of each episode, in order."""
    whole = np.ones(len(start_ns), dtype=bool)
    whole[list(dropped)] = False
    rows, starts, ends = [np.flatnonzero(whole)], [start_ns[whole]], [end_ns[whole]]
    for row, ranges in dropped.items():
        first = np.concatenate([[start_ns[row]], ranges[:, 1] + 1 + cut.after_ns])
        last = np.concatenate([ranges[:, 0] - cut.before_ns, [end_ns[row]]])
        first, last = np.maximum(first, start_ns[row]), np.minimum(last, end_ns[row])
        left = first < last
        rows.append(np.full(int(left.sum()), row))
        starts.append(first[left])
        ends.append(last[left])
    joined_rows, joined_starts, joined_ends = (np.concatenate(parts).astype(np.int64) for parts in (rows, starts, ends))
    order = np.lexsort((joined_starts, joined_rows))
    return joined_rows[order], joined_starts[order], joined_ends[order]


def _mapped(table: Integers) -> Integers:
    """Put a table into a file that goes when it is closed, and map it: it costs memory only while there is some."""
    with tempfile.TemporaryFile() as file:
        table.tofile(file)
        file.flush()
        return np.memmap(file, dtype=np.int64, mode="r", shape=table.shape)
