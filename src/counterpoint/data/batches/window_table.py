"""Which windows there are: stretches of episodes, and how many windows each holds.

    stretch   |---------------------|          an episode, or what is left of it between dropped ranges
    windows   |=====|                          one every stride from the start,
                 |=====|                       the last moved in so that it ends with the stretch
                    |=====|
                             ...|=====|

The only thing that grows with the data is a few integers a stretch, in files that processes map together.
"""

from __future__ import annotations

import tempfile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
MAPPED_ABOVE = 1_000_000
"""Tables of more stretches than this are put into a file and mapped."""


class Place(NamedTuple):
    """Where a window lies."""

    row: int
    """Row of the episode in the table that the stretches were made of."""
    start_ns: int
    end_ns: int


class WindowTable:
    """The windows of one table of episodes, numbered from 0."""

    def __init__(self, stretches: Integers, window_ns: int, stride_ns: int, left_out_ns: int) -> None:
        """Use `window_table`; `stretches` are cumulated windows, row, start and end, int64 [4, stretches]."""
        self._cumulated, self._rows, self._starts, self._ends = stretches
        self._window_ns = window_ns
        self._stride_ns = stride_ns
        self.left_out_ns = left_out_ns
        """Robot time in no window: dropped ranges and stretches too short to use."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._cumulated[-1]) if len(self._cumulated) else 0

    def place(self, window: int) -> Place:
        """Return where window number `window` (0 .. len - 1) lies."""
        at = int(self._cumulated.searchsorted(window, side="right"))
        before = int(self._cumulated[at - 1]) if at else 0
        first, end = int(self._starts[at]), int(self._ends[at])
        start = max(first, min(first + (window - before) * self._stride_ns, end - self._window_ns))
        return Place(int(self._rows[at]), start, min(start + self._window_ns, end))

    def within(self, first_row: int, last_row: int) -> tuple[int, int]:
        """Return the numbers of the first window of rows [first, last), and of the first one after them."""
        first, last = np.searchsorted(self._rows, [first_row, last_row])
        edges = [int(self._cumulated[at - 1]) if at else 0 for at in (first, last)]
        return edges[0], edges[1]


def window_table(
    start_ns: Integers,
    end_ns: Integers,
    dropped: dict[int, Integers],
    *,
    window_ns: int,
    stride_ns: int,
    shortest_ns: int,
) -> WindowTable:
    """Return the windows of episodes.

    Args:
        start_ns: [episodes], first capture time.
        end_ns: [episodes], last capture time; it lies in the last window.
        dropped: ranges to avoid by episode row, [start, end] both included, int64 [n, 2], sorted, not overlapping.
        window_ns: length of a window.
        stride_ns: time from one window to the next.
        shortest_ns: stretches shorter than a window hold one, cut short, if they last at least this long.
    """
    rows, starts, ends = _stretches(start_ns, end_ns + 1, dropped)
    length = ends - starts
    kept = (length >= min(shortest_ns, window_ns)) & (length > 0)
    counts = np.maximum(0, -((window_ns - length[kept]) // stride_ns)) + 1
    table = np.stack([np.cumsum(counts), rows[kept], starts[kept], ends[kept]])
    left_out = int((end_ns + 1 - start_ns).sum() - length[kept].sum())
    if table.shape[1] > MAPPED_ABOVE:
        table = _mapped(table)
    return WindowTable(table, window_ns, stride_ns, left_out)


def _stretches(
    start_ns: Integers, end_ns: Integers, dropped: dict[int, Integers]
) -> tuple[Integers, Integers, Integers]:
    """Return row, start and end of what is left of each episode, in order."""
    whole = np.ones(len(start_ns), dtype=bool)
    whole[list(dropped)] = False
    rows, starts, ends = [np.flatnonzero(whole)], [start_ns[whole]], [end_ns[whole]]
    for row, ranges in dropped.items():
        first = np.concatenate([[start_ns[row]], ranges[:, 1] + 1])
        last = np.concatenate([ranges[:, 0], [end_ns[row]]])
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
