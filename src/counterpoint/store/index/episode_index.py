"""The index of a store in use: mapped rows of all episodes, found by id or by place, read without a copy."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.index.rows import BATCH_ROWS, SCHEMA, gather, row_to_info, rows_to_infos
from counterpoint.store.index.segments import State, load_state

FEW_RUNS = 2_048
"""Rows that lie in so few stretches are shown as slices of the segments; more are copied into order."""


class EpisodeIndex:
    """Episodes in order of id; a place is a number from 0 in that order.

    Pickling stores the path of the state, not the rows; another process maps the same files.
    """

    def __init__(self, state: State, again: Callable[[], EpisodeIndex] | None) -> None:
        """Use the rows of `state`; `again` rebuilds the index if the file of a pickled state has been removed."""
        self.state = state
        self._batches = state.batches
        self._starts = [0, *accumulate(batch.num_rows for batch in self._batches)]
        self._again = again

    def __reduce__(self) -> tuple[Callable[..., EpisodeIndex], tuple[object, ...]]:
        """Pickle by path; an index that could not be saved is rebuilt by the receiving process."""
        assert self._again is not None  # only an index in the midst of its making has none
        if self.state.path is None:
            return self._again, ()
        return _reopened, (self.state.path, self._again)

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.state.order)

    def find(self, episode_id: str) -> int | None:
        """Return the place of an episode, or None; a binary search in the mapped ids."""
        place = self.lower_bound(episode_id)
        if place < len(self) and self._id(place) == episode_id.encode():
            return place
        return None

    def lower_bound(self, episode_id: str) -> int:
        """Return the first place whose id is not below `episode_id`."""
        wanted = episode_id.encode()
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._id(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    def infos(self, places: NDArray[np.int64]) -> list[EpisodeInfo]:
        """Return the episodes at these places, int64 [n]."""
        if not len(places):
            return []
        if len(places) == 1:
            number, row = self._locate(int(places[0]))
            return [row_to_info(self._columns[number], row)]
        return rows_to_infos(gather(self._batches, self._starts, _as_rows(self.state.order[places])))

    def column(self, name: str, places: NDArray[np.int64]) -> pa.Array:
        """Return one column at these places, int64 [n]; at most BATCH_ROWS of them."""
        if not len(places):
            return pa.array([], SCHEMA.field(name).type)
        batches = [batch.select([name]) for batch in self._batches]
        return gather(batches, self._starts, _as_rows(self.state.order[places])).column(0)

    def table(self, columns: list[str]) -> pa.Table:
        """Return columns of SCHEMA, one row an episode, in order of id.

        Zero-copy where the order needs few slices of the mapped segments, as after a merge; else a copy.
        """
        schema = pa.schema([SCHEMA.field(name) for name in columns])
        batches = [batch.select(columns) for batch in self._batches]
        order = self.state.order
        breaks = [0, *(np.flatnonzero(np.diff(order.astype(np.int64)) != 1) + 1).tolist(), len(order)]
        if len(breaks) <= FEW_RUNS:
            return pa.Table.from_batches(list(self._slices(batches, breaks)), schema=schema)
        pieces = range(0, len(order), BATCH_ROWS)
        return pa.Table.from_batches(
            [gather(batches, self._starts, _as_rows(order[first : first + BATCH_ROWS])) for first in pieces],
            schema=schema,
        )

    def _slices(self, batches: list[pa.RecordBatch], breaks: list[int]) -> Iterator[pa.RecordBatch]:
        for first, last in pairwise(breaks):
            if first == last:
                continue
            row, end = int(self.state.order[first]), int(self.state.order[last - 1]) + 1
            while row < end:
                number = bisect_right(self._starts, row) - 1
                taken = min(end, self._starts[number + 1]) - row
                yield batches[number].slice(row - self._starts[number], taken)
                row += taken

    @cached_property
    def _order(self) -> memoryview:
        return self.state.order.data  # its items are plain integers, made faster than numpy's

    @cached_property
    def _ids(self) -> list[tuple[int, memoryview, memoryview]]:
        return [_strings(batch.column("episode_id")) for batch in self._batches]

    @cached_property
    def _columns(self) -> list[list[pa.Array]]:
        return [batch.columns for batch in self._batches]  # made anew at each asking

    def _locate(self, place: int) -> tuple[int, int]:
        row = self._order[place]
        number = bisect_right(self._starts, row) - 1
        return number, row - self._starts[number]

    def _id(self, place: int) -> bytes:
        number, row = self._locate(place)
        first, offsets, data = self._ids[number]
        return data[offsets[first + row] : offsets[first + row + 1]].tobytes()


def _reopened(path: Path, again: Callable[[], EpisodeIndex]) -> EpisodeIndex:
    state = load_state(path)
    return EpisodeIndex(state, again) if state is not None else again()


def _as_rows(order: NDArray[np.uint32]) -> pa.Array:
    return pa.array(order.astype(np.int64))


def _strings(column: pa.StringArray) -> tuple[int, memoryview, memoryview]:
    """Return first row, offsets and bytes of a column of strings, without a copy."""
    _, offsets, data = column.buffers()
    return column.offset, memoryview(offsets).cast("i"), memoryview(data) if data is not None else memoryview(b"")
