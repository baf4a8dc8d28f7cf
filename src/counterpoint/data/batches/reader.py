"""The road from stores to samples: which window stands at each position, read and made into a sample.

    reader = WindowReader(sources, transform, episodes)
    sample = reader.sample(seed, position)            # a pure function of its arguments and the data

    position --order--> window --source--> Recording --transform.prepare--> kept --transform.sample--> sample

There is one such road. Training's transform gives encoded windows (`training`), another one plain arrays (`arrays`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.errors import ConfigError, StreamError, UnknownNameError, unknown_name
from counterpoint.core.seeding import generator
from counterpoint.data.batches.order import BlockOrder, EpochOrder, MixtureOrder, WindowOrder
from counterpoint.data.batches.table import Cut, WindowTable, window_table
from counterpoint.data.episodes.marks import Ranges, ranges_of
from counterpoint.data.episodes.selection import ChosenEpisodes, EpisodeReference
from counterpoint.data.episodes.source import EpisodeSource, Recording, open_recording

CACHED_EPISODES = 8192
CACHED_OF_BLOCKS = 256
"""Episodes kept of sources that are fetched in blocks: each keeps its whole block mapped."""
DRAWS = 100
"""Windows drawn for a position until one can be used; one is nearly always enough."""

Prepared = TypeVar("Prepared")
Sample = TypeVar("Sample", covariant=True)
Same = TypeVar("Same")
Integers = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Window:
    """A stretch of one episode that gives one sample.

    Not frozen, because making a frozen object costs three times as much.
    """

    index: int
    """Number among all windows."""
    source: int
    """Number of the source."""
    row: int
    """Row of the episode in `flat` of the source."""
    start_ns: int
    end_ns: int
    """Not included."""
    first_ns: int
    """Start of what the window was cut from: the episode, or what marks leave of it."""
    last_ns: int
    """End of it, not included."""
    seed: int = 0
    position: int = 0

    def draws(self) -> np.random.Generator:
        """Return the generator of everything random in the window's sample; a function of seed and position."""
        return generator(self.seed, "window", self.position)


class Transform(Protocol[Same, Sample]):
    """What becomes of a window; it must survive pickling."""

    @property
    def cut(self) -> Cut:
        """How episodes are cut into windows."""
        ...

    def prepare(self, recording: Recording) -> Same:
        """Make an opened episode ready for many windows; kept for a while."""
        ...

    def sample(self, prepared: Same, window: Window) -> Sample | None:
        """Return the sample of a window of that episode; None where nothing in it can be used."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class SamplesInOrder(Generic[Same, Sample]):
    """The samples of one reader of `world` by number, for `loader.Loader`: positions rank, rank + world, ...

    All ranks together take every position once.
    """

    reader: WindowReader[Same, Sample]
    seed: int
    rank: int = 0
    world: int = 1

    def __getitem__(self, number: int) -> Sample:
        """Return the sample at this rank's position `number`; raises as `WindowReader.sample`."""
        return self.reader.sample(self.seed, number * self.world + self.rank)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """The windows of one part in one source, numbered from `first`."""

    source: int
    part: int
    first: int
    table: WindowTable
    rows: Integers
    """Row in the source of each row in `table`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Parts:
    """Episodes that are drawn together."""

    weights: tuple[float, ...]
    rows: tuple[Mapping[int, Integers], ...]
    """For each part: rows by number of the source."""
    is_weighted: bool


class WindowReader(Generic[Prepared, Sample]):
    """Samples of the windows of some episodes, by number or in an order; see the module.

    Without weights every epoch visits each window once, by blocks where a source is fetched in blocks. With weights
    of robots, or of the parts of a mixture, a part is drawn by weight for each position, then a window of it.
    """

    def __init__(
        self,
        sources: Sequence[EpisodeSource],
        transform: Transform[Prepared, Sample],
        episodes: ChosenEpisodes | None = None,
        *,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Number the windows; reads the sources' indexes and marks alone.

        Args:
            sources: where the episodes are.
            transform: what becomes of a window.
            episodes: from `select_episodes`; None for all episodes of the sources.
            weights: share of samples by robot, every robot named; need not sum to one.

        Raises:
            ConfigError: there is no window, or a weight is missing or out of range.
            UnknownNameError: a weight for a robot that has no episodes.
        """
        self.sources = tuple(sources)
        self.transform = transform
        self._parts = _parts(self.sources, episodes, weights)
        marks = [ranges_of(source) for source in self.sources]
        self._groups = tuple(self._grouped(marks))
        self.has_marks = any(marks)
        """Whether any range of the sources is marked to be left out."""
        self._firsts = [group.first for group in self._groups]
        self._length = sum(len(group.table) for group in self._groups)
        self._orders: dict[int, WindowOrder] = {}
        self._prepared: OrderedDict[tuple[int, int], Prepared] = OrderedDict()
        if not self._length:
            raise ConfigError(
                f"no window of {transform.cut.length_ns / NS_PER_SECOND:g} s in {len(self.sources)} source(s): "
                f"{self.left_out_s:.1f} s of the chosen episodes are too short or marked to be left out. Choose other "
                "episodes or shorter windows, see 'counterpoint check STORE', or take marks back with --unmark"
            )

    def __getstate__(self) -> dict[str, object]:
        """Pickle without opened episodes: another process maps the files itself."""
        return {**self.__dict__, "_prepared": OrderedDict(), "_orders": {}}

    def __len__(self) -> int:
        """Return the number of windows."""
        return self._length

    @property
    def left_out_s(self) -> float:
        """Robot time of the chosen episodes that no window covers (marked ranges, short stretches), seconds."""
        return sum(group.table.left_out_ns for group in self._groups) / NS_PER_SECOND

    @property
    def left_out_episodes(self) -> int:
        """Chosen episodes of which no window is left."""
        return sum(len(group.rows) - group.table.num_episodes for group in self._groups)

    def order(self, seed: int) -> WindowOrder:
        """Return which window stands at each position for this seed."""
        if seed not in self._orders:
            self._orders[seed] = self._ordered(seed)
        return self._orders[seed]

    def window(self, index: int, *, seed: int = 0, position: int = 0) -> Window:
        """Return window number `index`, drawn for a position; raises IndexError where there is none."""
        if not 0 <= index < self._length:
            raise IndexError(f"window {index} of {self._length}")
        group = self._groups[bisect_right(self._firsts, index) - 1]
        row, start_ns, end_ns, first_ns, last_ns = group.table.place(index - group.first)
        return Window(index, group.source, int(group.rows[row]), start_ns, end_ns, first_ns, last_ns, seed, position)

    def read(self, window: Window) -> Prepared:
        """Open the window's episode and prepare it, unless it is still there.

        Raises:
            StoreError: the episode is damaged, or a view of it is not built.
        """
        key = window.source, window.row
        found = self._prepared.get(key)
        if found is not None:
            self._prepared.move_to_end(key)
            return found
        recording = open_recording(self.sources[window.source], *self._name(window))
        found = self._prepared[key] = self.transform.prepare(recording)
        is_fetched = bool(self.sources[window.source].block_rows)
        if len(self._prepared) > (CACHED_OF_BLOCKS if is_fetched else CACHED_EPISODES):
            self._prepared.popitem(last=False)
        return found

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of window number `index`, 0 .. len - 1, as at position `index` with seed 0.

        Raises:
            IndexError: there is no such window. StoreError: its episode is damaged.
            ConfigError: nothing in the window can be used.
        """
        found = self._sampled(self.window(index, position=index))
        if found is None:
            raise ConfigError(f"window {index}: nothing in it can be used; its episode has no commands there")
        return found

    def sample(self, seed: int, position: int) -> Sample:
        """Return the sample at a position of the order of `seed`.

        Raises:
            StoreError: an episode is damaged. ConfigError: nothing can be used in a hundred windows one after another.
        """
        index = self.order(seed)[position]
        for attempt in range(DRAWS):
            found = self._sampled(self.window(index, seed=seed, position=position))
            if found is not None:
                return found
            index = self._another(index, generator(seed, "another", position, attempt))
        raise ConfigError(
            f"{DRAWS} windows one after another cannot be used: marked ranges spoil what their commands cover; see "
            "'counterpoint check STORE', or take marks back with --unmark"
        )

    def _sampled(self, window: Window) -> Sample | None:
        try:
            return self.transform.sample(self.read(window), window)
        except (StreamError, UnknownNameError) as error:
            raise type(error)(f"episode {self._name(window)[0]}: {error}") from error

    def _name(self, window: Window) -> tuple[str, str]:
        """Return id and robot of the window's episode."""
        table = self.sources[window.source].flat()
        return table["episode_id"][window.row].as_py(), table["robot"][window.row].as_py()

    def _another(self, index: int, rng: np.random.Generator) -> int:
        """Return another window of the same part."""
        part = self._groups[bisect_right(self._firsts, index) - 1].part
        first, count = self._extent(part)
        return first + int(rng.integers(count))

    def _extent(self, part: int) -> tuple[int, int]:
        """Return the first window of a part and how many it has."""
        groups = [group for group in self._groups if group.part == part]
        return (groups[0].first, sum(len(group.table) for group in groups)) if groups else (0, 0)

    def _ordered(self, seed: int) -> WindowOrder:
        if self._parts.is_weighted:
            extents = [(weight, *self._extent(part)) for part, weight in enumerate(self._parts.weights)]
            return MixtureOrder([extent for extent in extents if extent[2]], seed)
        blocks = self._blocks()
        return BlockOrder(blocks, seed) if blocks else EpochOrder(self._length, seed)

    def _grouped(self, marks: Sequence[Mapping[str, Ranges]]) -> Iterator[_Group]:
        first = 0
        indexes = [source.flat().select(["episode_id", "start_ns", "end_ns"]) for source in self.sources]
        for part, rows_of in enumerate(self._parts.rows):
            for number, rows in rows_of.items():
                index = indexes[number]
                start_ns, end_ns = (index[name].to_numpy()[rows] for name in ("start_ns", "end_ns"))
                dropped = _dropped(index, rows, marks[number]) if marks[number] else {}
                table = window_table(start_ns, end_ns, dropped, self.transform.cut)
                yield _Group(source=number, part=part, first=first, table=table, rows=rows)
                first += len(table)

    def _blocks(self) -> list[tuple[int, int]]:
        """Return ranges of windows that lie in the same blocks of a source; none where no source has blocks."""
        if not any(source.block_rows for source in self.sources):
            return []
        found: list[tuple[int, int]] = []
        for group in self._groups:
            edges = self.sources[group.source].block_rows or (0, int(group.rows[-1]) + 1)
            places = np.searchsorted(group.rows, edges)
            for low, high in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
                first, last = group.table.within(low, high)
                found.append((group.first + first, group.first + last))
        return found


def _parts(
    sources: Sequence[EpisodeSource], episodes: ChosenEpisodes | None, weights: Mapping[str, float] | None
) -> _Parts:
    """Return what is drawn together: all episodes, or those of a robot (and of a part of the mixture) by weight."""
    if episodes is None:
        rows = {number: np.arange(source.flat().num_rows) for number, source in enumerate(sources)}
        return _Parts(weights=(1.0,), rows=(rows,), is_weighted=False)
    chosen = [reference for references in episodes.values() for reference in references]
    if not weights and all(reference.drawn_s is None for reference in chosen):
        return _Parts(weights=(1.0,), rows=(_rows(chosen),), is_weighted=False)
    _check_weights(episodes, weights or {})
    found: list[tuple[float, dict[int, Integers]]] = []
    for robot, references in episodes.items():
        total_s = sum(_drawn_s(reference) for reference in references)
        factor = weights[robot] / total_s if weights else 1.0
        for name in sorted({reference.part for reference in references}):
            own = [reference for reference in references if reference.part == name]
            found.append((factor * sum(_drawn_s(reference) for reference in own), _rows(own)))
    return _Parts(weights=tuple(weight for weight, _ in found), rows=tuple(rows for _, rows in found), is_weighted=True)


def _check_weights(episodes: ChosenEpisodes, weights: Mapping[str, float]) -> None:
    for name in weights:
        if name not in episodes:
            raise unknown_name("robot", name, episodes, hint="(data.weights; it has no selected episodes)")
    missing = [name for name in episodes if name not in weights]
    if weights and missing:
        raise ConfigError(
            f"data.weights: no weight for {', '.join(missing)}, got {dict(weights)}; name every robot, with 0 for "
            "those that no window shall come from, or give no weights at all"
        )
    if weights and (min(weights.values()) < 0 or not 0 < sum(weights.values()) < float("inf")):
        raise ConfigError(f"data.weights: expected a share from 0 up for each robot, got {dict(weights)}")


def _drawn_s(reference: EpisodeReference) -> float:
    """An episode of a single sample still counts a little."""
    return max(1e-3, reference.duration_s if reference.drawn_s is None else reference.drawn_s)


def _rows(references: Sequence[EpisodeReference]) -> dict[int, Integers]:
    """Return the rows of these episodes by source, int64, increasing."""
    numbers = np.asarray([reference.source for reference in references])
    rows = np.asarray([reference.row for reference in references])
    return {int(number): np.sort(rows[numbers == number]) for number in np.unique(numbers)}


def _dropped(index: pa.Table, rows: Integers, drops: Mapping[str, Ranges]) -> dict[int, Ranges]:
    """Return the ranges to avoid by place in `rows`."""
    ids = index["episode_id"].take(pa.array(rows)).combine_chunks()
    places = pc.index_in(pa.array(list(drops), pa.string()), value_set=ids).to_pylist()
    return {place: ranges for place, ranges in zip(places, drops.values(), strict=True) if place is not None}
