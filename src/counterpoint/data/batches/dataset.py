"""Windows of recorded experience by number, and in an order that is a pure function of (seed, position).

    from counterpoint.data.batches.dataset import WindowDataset, WindowOptions
    from counterpoint.store import Store

    dataset = WindowDataset([Store.open("fleet")], WindowOptions(seconds=2.0, image_rate_hz=5.0))
    window = dataset[dataset.order(seed=7)[0]]
    for window in dataset.stream(seed=7, rank=0, world=8): ...

Without a mixture every epoch visits each window once, in an order of its own. With one, a window is drawn for
each position: a part by weight, then a window of it, with replacement. Nothing is shuffled in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from counterpoint.catalog.marks import dropped_ranges
from counterpoint.catalog.mixtures.mixture import Mixture, check_mixture
from counterpoint.core.clock import NS_PER_SECOND, seconds_to_ns
from counterpoint.core.errors import ConfigError, StoreError
from counterpoint.core.stream import Stream
from counterpoint.data.batches.stream_window import ImageSlice, StreamWindow, cut_stream, grid_ns
from counterpoint.data.batches.window_order import BlockOrder, EpochOrder, MixtureOrder, WindowOrder
from counterpoint.data.batches.window_stream import Shard, WindowStream
from counterpoint.data.batches.window_table import WindowTable, window_table
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.data.episodes.window_source import WindowSource
from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.views.codec import Pixels
from counterpoint.store.views.gops import CodedStream
from counterpoint.store.views.video_view import decode_pictures, nearest

CACHED_EPISODES = 8192


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """What a window holds.

    Raises:
        ConfigError: a value is out of range.
    """

    seconds: float = 2.0
    """Length, seconds."""
    stride_s: float | None = None
    """From one window of an episode to the next, seconds; None for half a window."""
    shortest_s: float | None = None
    """An episode, or what dropped ranges leave of it, that is shorter than a window gives one short window if it
    lasts at least this long, seconds; None for half a window."""
    image_rate_hz: float = 5.0
    """Pictures a second of each camera."""
    image_s: float | None = None
    """Pictures of the first so many seconds of a window alone, 0 for one picture at its start; None for all."""
    cameras: tuple[str, ...] | None = None
    """Image streams; None for all, () for none."""
    streams: tuple[str, ...] | None = None
    """Vector and text streams; None for all."""
    pixels: Pixels = "yuv420"
    """Layout of pictures; `yuv420` is what the decoder gives, half the bytes of `rgb`."""
    view: str | None = "5hz"
    """Preset of the video view that pictures come from; None decodes the masters, slowly, at their own size."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("seconds", "image_rate_hz", "stride_s", "shortest_s"):
            value = getattr(self, name)
            if value is not None and not 1e-3 <= value <= 1e6:
                raise ConfigError(f"dataset.{name}: expected a number from 0.001 to 1e6, got {value}")
        if self.image_s is not None and not 0 <= self.image_s <= self.seconds:
            raise ConfigError(f"dataset.image_s: expected 0 to {self.seconds} (seconds), got {self.image_s}")
        if self.view is None and self.pixels != "rgb":
            raise ConfigError(f"dataset.pixels: masters (view=None) are decoded to 'rgb', got {self.pixels!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """The windows of one part in one store, numbered from `first`."""

    store: int
    part: str
    first: int
    table: WindowTable
    rows: NDArray[np.int64]
    """Row in the store's table of each row in `table`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Opened:
    """An episode ready for cutting."""

    episode_id: str
    robot: str
    streams: tuple[tuple[str, Stream], ...]
    cameras: tuple[tuple[str, CodedStream], ...]
    filmed: tuple[str, ...] = field(default=())
    """Cameras to be decoded from the masters."""


class WindowDataset:
    """Windows of the episodes of one or several stores; see the module."""

    def __init__(
        self,
        stores: Sequence[WindowSource],
        options: WindowOptions | None = None,
        *,
        mixture: Mixture | None = None,
        selection: Selection | None = None,
    ) -> None:
        """Number the windows; reads the stores' indexes alone.

        Args:
            stores: stores, local or remote; in the mixture's order where there is one.
            options: what a window holds.
            mixture: training episodes and weights by part.
            selection: a choice of episodes instead of a mixture; everything where both are None.

        Raises:
            ConfigError: both a mixture and a selection, or no windows.
            StoreError: the stores are not those of the mixture, or lack episodes of it.
        """
        if mixture is not None and selection is not None:
            raise ConfigError("dataset: give a mixture or a selection, not both: a mixture has its own splits")
        self.stores = tuple(stores)
        self.options = options or WindowOptions()
        self._groups = tuple(self._grouped(mixture, selection))
        self._weights = {part.name: part.weight for part in mixture.parts} if mixture is not None else {}
        self._firsts = [group.first for group in self._groups]
        self._opened: OrderedDict[tuple[int, int], _Opened] = OrderedDict()
        self._length = sum(len(group.table) for group in self._groups)
        if not self._length:
            raise ConfigError(
                f"dataset: no window of {self.options.seconds} s in {len(self.stores)} store(s); choose other episodes "
                "or shorter windows"
            )

    def __getstate__(self) -> dict[str, object]:
        """Pickle without opened episodes: another process maps the files itself."""
        return {**self.__dict__, "_opened": OrderedDict()}

    def __len__(self) -> int:
        """Return the number of windows."""
        return self._length

    @property
    def left_out_s(self) -> float:
        """Robot time of the chosen episodes that no window holds (dropped ranges, short stretches), seconds."""
        return sum(group.table.left_out_ns for group in self._groups) / NS_PER_SECOND

    def __getitem__(self, index: int) -> StreamWindow:
        """Return window number `index`, 0 .. len - 1.

        Raises:
            IndexError: there is no such window. StoreError: its episode is damaged, or not in the video view.
        """
        return self.window(index)

    def order(self, seed: int) -> WindowOrder:
        """Return which window stands at each position for this seed; by blocks where a store is remote."""
        if self._weights:
            return MixtureOrder([self._extent(name, weight) for name, weight in self._weights.items()], seed)
        blocks = self._blocks()
        return BlockOrder(blocks, seed) if blocks else EpochOrder(self._length, seed)

    def stream(
        self, seed: int, *, start: int = 0, rank: int = 0, world: int = 1, worker: int = 0, workers: int = 1
    ) -> WindowStream:
        """Return windows in the order of `seed` from position `start` on, without end, for one reader of many.

        Raises:
            ConfigError: rank, worker or start is out of range.
        """
        return WindowStream(self, seed, start, Shard(rank=rank, world=world, worker=worker, workers=workers))

    def window(self, index: int, *, position: int = -1) -> StreamWindow:
        """Return window number `index`, and note the position it was drawn for; raises as indexing."""
        if not 0 <= index < self._length:
            raise IndexError(f"window {index} of {self._length}")
        group = self._groups[bisect_right(self._firsts, index) - 1]
        row, start_ns, end_ns = group.table.place(index - group.first)
        episode = self._episode(group.store, int(group.rows[row]))
        window = StreamWindow(
            store=group.store,
            episode_id=episode.episode_id,
            robot=episode.robot,
            part=group.part,
            index=index,
            position=position,
            start_ns=start_ns,
            end_ns=end_ns,
            streams={name: cut_stream(name, stream, start_ns, end_ns) for name, stream in episode.streams},
            images={},
        )
        if episode.cameras or episode.filmed:
            self._add_images(window, episode)
        return window

    def _add_images(self, window: StreamWindow, episode: _Opened) -> None:
        end_ns, image_s = window.end_ns, self.options.image_s
        if image_s is not None:
            end_ns = min(end_ns, window.start_ns + seconds_to_ns(image_s))
        points = grid_ns(window.start_ns, end_ns, self.options.image_rate_hz)
        pixels = self.options.pixels
        for name, coded in episode.cameras:
            chosen = nearest(coded.capture_ns, points)
            values = decode_pictures(coded, chosen, pixels)
            window.images[name] = ImageSlice(name, coded.capture_ns[chosen], coded.arrival_ns[chosen], pixels, values)
        for name in episode.filmed:
            store = self.stores[window.store]
            capture_ns, arrival_ns = store.frame_times(episode.episode_id, name)
            chosen = nearest(capture_ns, points)
            samples, places = np.unique(chosen, return_inverse=True)
            values = store.frames(episode.episode_id, name, samples)[places]
            window.images[name] = ImageSlice(name, capture_ns[chosen], arrival_ns[chosen], pixels, values)

    def _episode(self, number: int, row: int) -> _Opened:
        if self.stores[number].block_rows:  # it keeps what it has opened, and drops it with the block
            return self._open(number, row)
        key = number, row
        found = self._opened.get(key)
        if found is not None:
            self._opened.move_to_end(key)
            return found
        found = self._opened[key] = self._open(number, row)
        if len(self._opened) > CACHED_EPISODES:
            self._opened.popitem(last=False)
        return found

    def _open(self, number: int, row: int) -> _Opened:
        store, options = self.stores[number], self.options
        info = store.episodes[row]
        episode_id, content = info.episode_id, info.content_sha256
        low = store.low(episode_id)
        names = sorted(low) if options.streams is None else [name for name in options.streams if name in low]
        filmed = () if options.cameras == () else _filmed(info, options.cameras)
        cameras: list[tuple[str, CodedStream]] = []
        if options.view is not None:
            view = store.video_view(options.view)
            for name in filmed:
                if not view.has(content, name):
                    raise StoreError(
                        f"episode {episode_id!r}, stream {name!r}: not in the video view {options.view!r}; build it "
                        "with 'counterpoint prepare', or decode the masters with view=None"
                    )
                cameras.append((name, view.stream(content, name)))
        return _Opened(
            episode_id=episode_id,
            robot=info.embodiment,
            streams=tuple((name, low[name]) for name in names),
            cameras=tuple(cameras),
            filmed=filmed if options.view is None else (),
        )

    def _grouped(self, mixture: Mixture | None, selection: Selection | None) -> list[_Group]:
        indexes = [store.flat().select(["episode_id", "start_ns", "end_ns"]) for store in self.stores]
        drops = [dropped_ranges(store.root, store.flat()) for store in self.stores]
        groups: list[_Group] = []
        first = 0
        for part, chosen in _chosen(self.stores, mixture, selection):
            for number, index in enumerate(indexes):
                rows = np.arange(index.num_rows) if chosen is None else _rows(index, chosen[number])
                table = self._windows(index, rows, drops[number])
                groups.append(_Group(store=number, part=part, first=first, table=table, rows=rows))
                first += len(table)
        return [group for group in groups if len(group.table) or group.table.left_out_ns]

    def _windows(self, index: pa.Table, rows: NDArray[np.int64], drops: dict[str, NDArray[np.int64]]) -> WindowTable:
        options = self.options
        start_ns, end_ns = (index[name].to_numpy()[rows] for name in ("start_ns", "end_ns"))
        window_ns = seconds_to_ns(options.seconds)
        return window_table(
            start_ns,
            end_ns,
            _dropped(index, rows, drops) if drops else {},
            window_ns=window_ns,
            stride_ns=seconds_to_ns(options.stride_s) if options.stride_s is not None else max(1, window_ns // 2),
            shortest_ns=seconds_to_ns(options.shortest_s) if options.shortest_s is not None else window_ns // 2,
        )

    def _extent(self, part: str, weight: float) -> tuple[float, int, int]:
        groups = [group for group in self._groups if group.part == part]
        return weight, groups[0].first if groups else 0, sum(len(group.table) for group in groups)

    def _blocks(self) -> list[tuple[int, int]]:
        """Return ranges of windows that lie in the same shards of a remote store; none where all are local."""
        if not any(store.block_rows for store in self.stores):
            return []
        found: list[tuple[int, int]] = []
        for group in self._groups:
            edges = self.stores[group.store].block_rows or (0, int(group.rows[-1]) + 1)
            places = np.searchsorted(group.rows, edges)
            for low, high in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
                first, last = group.table.within(low, high)
                found.append((group.first + first, group.first + last))
        return found


def _chosen(
    stores: Sequence[WindowSource], mixture: Mixture | None, selection: Selection | None
) -> Iterator[tuple[str, list[pa.Array] | None]]:
    """Yield each part's name and its episode ids by store; None for all episodes."""
    if mixture is not None:
        check_mixture(mixture, stores)
        for part in mixture.parts:
            rows = mixture.rows("train", part.name)
            ids = [rows.filter(pc.equal(rows["store"], number))["episode_id"] for number in range(len(stores))]
            yield part.name, [each.combine_chunks() for each in ids]
    elif selection is not None:
        found = [reference for each in select_episodes(stores, selection).values() for reference in each]
        ids = [[each.episode_id for each in found if each.source == number] for number in range(len(stores))]
        yield "", [pa.array(each, pa.string()) for each in ids]
    else:
        yield "", None


def _rows(index: pa.Table, episode_ids: pa.Array) -> NDArray[np.int64]:
    """Return the rows of the named episodes, int64, increasing."""
    return np.flatnonzero(pc.is_in(index["episode_id"], value_set=episode_ids).to_numpy())


def _dropped(
    index: pa.Table, rows: NDArray[np.int64], drops: dict[str, NDArray[np.int64]]
) -> dict[int, NDArray[np.int64]]:
    """Return the ranges to avoid by place in `rows`."""
    ids = index["episode_id"].take(pa.array(rows)).combine_chunks()
    places = pc.index_in(pa.array(list(drops), pa.string()), value_set=ids).to_pylist()
    return {place: ranges for place, ranges in zip(places, drops.values(), strict=True) if place is not None}


def _filmed(info: EpisodeInfo, cameras: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the cameras that an episode has pictures of, of the wanted ones."""
    names = [each.name for each in info.streams if each.kind == "image" and each.samples]
    return tuple(name for name in (sorted(names) if cameras is None else cameras) if name in names)
