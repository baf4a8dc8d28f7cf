"""A store's training views read from object storage, through a local cache of bounded size.

    store = RemoteStore.open("s3://fleet/views", cache=Path("cache"), options={"endpoint": ...})
    windows = WindowReader([store], transform)

Episodes come in blocks (see `publish`). Reading the first sample of a block fetches the whole block; windows are drawn
in an order that uses up a few blocks at a time, so that each block is fetched about once per epoch.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.embodiment import Embodiment, StreamSpec, embodiment_from_dict, spec_from_dict
from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError, unknown_name
from counterpoint.core.stream import Stream
from counterpoint.store.cloud.objects import FileCache, ObjectFolder
from counterpoint.store.cloud.publish import CURRENT, FORMAT, MARKS, VERSION
from counterpoint.store.files.blocks import columns_to_stream, table_to_columns
from counterpoint.store.files.commit import write_durably
from counterpoint.store.files.layout import sha256_hex
from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.files.mapped import map_batches, map_with_metadata
from counterpoint.store.index.episode_index import EpisodeIndex
from counterpoint.store.index.episode_list import EpisodeList
from counterpoint.store.index.rows import FLAT, FLAT_SOURCE, SCHEMA
from counterpoint.store.index.segments import Segment, State
from counterpoint.store.sequence import EpisodeSequence
from counterpoint.store.views.gops import CodedStream, Shard
from counterpoint.store.views.low import SCHEMA as LOW_SCHEMA
from counterpoint.store.views.low_places import key_of, keys_of
from counterpoint.store.views.pictures import CameraPictures, pictures_of_view

CACHE_BYTES = 8 * 2**30
CACHED_INFOS = 1024
CACHED_ROWS = 65_536
"""Contents whose row is remembered."""
OFFERED_NAMES = 1_000


class RemoteStore(EpisodeSequence):
    """The episodes of a publication, as they were when it was opened; a sequence of `Episode` without pictures."""

    def __init__(self, folder: ObjectFolder, cache: Path, cache_bytes: int, index: str, index_bytes: int) -> None:
        """Use `RemoteStore.open`."""
        self.folder = folder
        self.root = cache / Path(index).stem
        """Local folder of the marks of this publication."""
        self._arguments = folder, cache, cache_bytes, index, index_bytes
        self.cache = FileCache(folder, cache / "blocks", cache_bytes)
        small = FileCache(folder, cache / "indexes", 1 << 62)
        path = small.path(index, index_bytes)
        batches, metadata = map_with_metadata(path, SCHEMA)
        order = np.arange(sum(batch.num_rows for batch in batches), dtype=np.uint32)
        self._index = EpisodeIndex(State(segments=(Segment(name="", batches=batches),), order=order), None)
        self._info = lru_cache(CACHED_INFOS)(self._read_info)
        self._row_of = lru_cache(CACHED_ROWS)(self._search_content)
        self._state = json.loads(metadata[b"counterpoint"])
        name, size = self._state["marks"]
        if name:
            (self.root / MARKS).parent.mkdir(parents=True, exist_ok=True)
            write_durably(self.root / MARKS, small.path(name, size).read_bytes())
        counts = [int(block[0]) for block in self._state["blocks"]]
        self._edges = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).tolist()
        self._blocks: OrderedDict[int, _Block] = OrderedDict()
        self._contents: tuple[NDArray[np.uint64], NDArray[np.int64]] | None = None
        self._specs: dict[str, StreamSpec] = {}

    def __reduce__(self) -> tuple[object, ...]:
        """Open the same index again in another process."""
        return RemoteStore, self._arguments

    @classmethod
    def open(
        cls,
        url: str,
        *,
        cache: Path,
        options: Mapping[str, str] | None = None,
        cache_bytes: int = CACHE_BYTES,
        retries: int = 5,
    ) -> RemoteStore:
        """Open what `publish_views` wrote.

        Args:
            url: the folder in object storage.
            cache: local folder for blocks; kept from run to run.
            options: settings of obstore's store; see `ObjectFolder`.
            cache_bytes: most bytes of blocks to keep; at least one block is kept.
            retries: how often a request that failed for a passing reason is sent again.

        Raises:
            StoreError: nothing is published there, it is damaged or of another version, access is refused, or the
                service cannot be reached.
        """
        folder = ObjectFolder(url, options, retries=retries)
        try:
            current = json.loads(folder.get(CURRENT))
            if current["format"] != FORMAT or current["version"] != VERSION:
                raise ValueError(f"version {current['version']}, this program reads version {VERSION}")
            index, size = str(current["index"]), int(current["bytes"])
            if index != f"{Path(index).stem}.arrow" or not Path(index).stem.isalnum():
                raise ValueError("its index has an invalid name")
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{folder.url}/{CURRENT}: damaged ({error}); publish the views again") from error
        local = cache / sha256_hex(folder.url.encode())[:16]
        return cls(folder, local, cache_bytes, index, size)

    @property
    def place(self) -> str:
        """The URL, for people."""
        return self.folder.url

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self._index)

    def flat(self) -> pa.Table:
        """Return the plain facts of all episodes, one row each; columns as of `Store.flat`."""
        return self._index.table(list(FLAT_SOURCE)).rename_columns(list(FLAT))

    @property
    def block_rows(self) -> Sequence[int]:
        """Rows at which blocks begin, from 0 to the number of episodes."""
        return list(self._edges)

    @property
    def episodes(self) -> EpisodeList:
        """All episodes in the order of `flat`, each read when asked for."""
        return EpisodeList(self._index, range(len(self)))

    def info(self, episode_id: str) -> EpisodeInfo:
        """Return what is known of an episode; raises UnknownNameError."""
        return self._info(self._row(episode_id))

    @cached_property
    def embodiments(self) -> dict[str, Embodiment]:
        """The robots of all episodes, by name."""
        return {name: embodiment_from_dict(raw) for name, raw in self._state["embodiments"].items()}

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name; raises UnknownNameError."""
        if name not in self.embodiments:
            raise unknown_name("robot", name, self.embodiments, hint=f"(robots of {self.folder.url})")
        return self.embodiments[name]

    def episode(self, episode_id: str) -> Episode:
        """Return an episode without its pictures; these are read through `video_view`.

        Raises:
            StoreError: the block cannot be fetched. UnknownNameError: no such episode.
        """
        info = self.info(episode_id)
        return Episode(
            episode_id=episode_id,
            embodiment=self.embodiment(info.embodiment),
            provenance=info.provenance,
            streams=dict(self.low(episode_id)),
        )

    def low(self, episode_id: str) -> dict[str, Stream]:
        """Return the vector and text streams of an episode, mapped from the local copy of its block.

        Raises:
            StoreError: the block cannot be fetched. UnknownNameError: no such episode.
        """
        row = self._row(episode_id)
        block = self._block(row)
        if row not in block.opened:
            block.opened[row] = block.streams(self._info(row), self._spec)
        return block.opened[row]

    def video_view(self, preset: str = "5hz") -> RemoteVideoView:
        """Return the published video view; raises UnknownNameError for another preset."""
        if preset != self._state["preset"]:
            raise unknown_name(
                "video preset", preset, [self._state["preset"]], hint=f"(published at {self.folder.url})"
            )
        return RemoteVideoView(self)

    def coded(self, content_sha256: str, stream: str) -> CodedStream:
        """Return the coded pictures of a stream of that content; raises StoreError, UnknownNameError."""
        return self._block(self._row_of(content_sha256)).coded(content_sha256, stream)

    def cameras(self, episode_id: str) -> tuple[str, ...]:
        """Return the names of the cameras of which an episode has pictures, sorted; raises UnknownNameError."""
        info = self.info(episode_id)
        return tuple(sorted(each.name for each in info.streams if each.kind == "image" and each.samples))

    def pictures(self, episode_id: str, stream: str, view: str = "5hz") -> CameraPictures | None:
        """Return the pictures of a camera, decoded on demand; None where the episode has no such camera.

        Raises:
            StoreError: masters (an empty `view`) are not published, or the block cannot be fetched.
            UnknownNameError: no such episode, or another preset is published.
        """
        if not view:
            raise StoreError(
                f"{self.folder.url}: episode {episode_id!r}, stream {stream!r}: only training views are published; use "
                f"view={self._state['preset']!r}, or open the store itself for the masters"
            )
        views, info = self.video_view(view), self.info(episode_id)
        if not views.has(info.content_sha256, stream):
            return None
        return pictures_of_view(views.stream(info.content_sha256, stream))

    def info_of(self, content_sha256: str) -> EpisodeInfo:
        """Return what is known of the episode with that content; raises UnknownNameError."""
        return self._info(self._row_of(content_sha256))

    def _read_info(self, row: int) -> EpisodeInfo:
        return self._index.infos(np.asarray([row], np.int64))[0]

    def _row(self, episode_id: str) -> int:
        row = self._index.find(episode_id)
        if row is None:
            raise unknown_name("episode", episode_id, self._index.column("episode_id", self._first_rows()).to_pylist())
        return row

    def _search_content(self, content_sha256: str) -> int:
        """Contents lie in any order; a sorted copy of their keys, 16 bytes an episode, is made for the first search."""
        if self._contents is None:
            parts = [keys_of(each) for each in self._index.table(["content_sha256"])[0].chunks if len(each)]
            keys = np.concatenate(parts) if parts else np.empty(0, np.uint64)
            order = np.argsort(keys, kind="stable")
            self._contents = keys[order], order
        keys, order = self._contents
        wanted = np.uint64(key_of(content_sha256))
        for row in order[keys.searchsorted(wanted, "left") : keys.searchsorted(wanted, "right")].tolist():
            if self._info(row).content_sha256 == content_sha256:
                return int(row)
        raise unknown_name(
            "episode", content_sha256, self._index.column("content_sha256", self._first_rows()).to_pylist()
        )

    def _first_rows(self) -> NDArray[np.int64]:
        return np.arange(min(len(self), OFFERED_NAMES))

    def _block(self, row: int) -> _Block:
        number = bisect_right(self._edges, row) - 1
        found = self._blocks.get(number)
        if found is None:
            found = self._fetched(number)
            gone = [other for other, each in self._blocks.items() if not all(path.exists() for path in each.files)]
            for other in gone:
                del self._blocks[other]  # their files gave way; their bytes go when nobody maps them
            self._blocks[number] = found
        return found

    def _fetched(self, number: int) -> _Block:
        _, low, low_bytes, film, film_bytes = self._state["blocks"][number]
        for attempt in range(2):
            low_path = self.cache.path(low, low_bytes)
            film_path = self.cache.path(film, film_bytes, keep=(low,)) if film else None
            try:
                return _Block(low_path, film_path)
            except StoreError:
                if attempt:
                    raise
                low_path.unlink(missing_ok=True)  # damaged on this disk, or another process made room just now
        raise AssertionError("two attempts")

    def _spec(self, digest: str) -> StreamSpec:
        if digest not in self._specs:
            self._specs[digest] = spec_from_dict(self._state["specs"][digest])
        return self._specs[digest]


class RemoteVideoView:
    """The pictures of a publication; blocks are fetched when a stream of theirs is asked for."""

    def __init__(self, store: RemoteStore) -> None:
        """Read through `store`."""
        self._store = store

    def has(self, content_sha256: str, stream: str) -> bool:
        """Whether the stream of that episode is there."""
        found = self._store.info_of(content_sha256).stream(stream)
        return found is not None and found.kind == "image" and found.samples > 0

    def stream(self, content_sha256: str, stream: str) -> CodedStream:
        """Return the coded pictures of a stream; raises StoreError, UnknownNameError."""
        return self._store.coded(content_sha256, stream)


class _Block:
    """A block whose files are mapped; a file that leaves the cache stays mapped until the block is dropped."""

    def __init__(self, low: Path, film: Path | None) -> None:
        self.files = [path for path in (low, film) if path is not None]
        self.opened: dict[int, dict[str, Stream]] = {}
        try:
            self._low = map_batches(low, LOW_SCHEMA)[0]
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{low}: the local copy of a block is damaged ({error}); delete the cache") from error
        contents = self._low.column("content_sha256").to_pylist()
        self._rows: dict[str, list[int]] = {}
        for row, content in enumerate(contents):
            self._rows.setdefault(content, []).append(row)
        self._film = Shard(film) if film is not None else None
        self._runs = {(run.content_sha256, run.stream): run for run in self._film.runs} if self._film else {}

    def streams(self, info: EpisodeInfo, spec: Callable[[str], StreamSpec]) -> dict[str, Stream]:
        rows = self._rows[info.content_sha256]
        columns = table_to_columns(pa.Table.from_batches([self._low.slice(rows[0], len(rows))]))
        found: dict[str, Stream] = {}
        for each in info.streams:
            if each.kind != "image":
                found[each.name] = columns_to_stream(columns[each.name], spec(each.spec_sha256), each.time_source)
        return found

    def coded(self, content_sha256: str, stream: str) -> CodedStream:
        run = self._runs.get((content_sha256, stream))
        if self._film is None or run is None:
            raise unknown_name(
                "image stream", stream, [name for content, name in self._runs if content == content_sha256]
            )
        return self._film.stream(run)
