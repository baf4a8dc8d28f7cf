"""The low-dimensional training view: uncompressed Arrow files, memory-mapped, derived from the masters.

    views/low-2/shard-<sha256>.arrow     many episodes a file, so that a million episodes need a few
                                         thousand mappings, not a million open files
    views/low-2/places-<sha256>.arrow    where the episodes of most shards lie, sorted (see `places`)

A row is one stream of one episode: the columns of `streams.parquet` plus its content hash. Numpy arrays
point into the mapping; nothing is copied. The folder may be deleted at any time.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError
from counterpoint.store.files.blocks import SCHEMA as STREAM_SCHEMA
from counterpoint.store.files.blocks import Columns, columns_to_table, table_to_columns
from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.files.mapped import map_batches, write_mapped
from counterpoint.store.views.low_places import PLACE, Places, key_of, open_places, pack_places, read_places

logger = logging.getLogger(__name__)

VIEW = "views/low-2"
SHARD_BYTES = 64 * 2**20
MERGED_BYTES = 512 * 2**20
SMALL_SHARDS = 32
"""Shards of less than half of SHARD_BYTES are merged when there are more than so many."""
WHOLE = 2**62
SETTLE_NS = 2_000_000_000
"""A folder changed this shortly before it was listed is listed again: file systems round times."""
SCHEMA = STREAM_SCHEMA.append(pa.field("content_sha256", pa.string()))

ReadMaster = Callable[[EpisodeInfo], dict[str, Columns]]
Shard = tuple[list[pa.RecordBatch], list[int]]


class LowView:
    """Mapped samples of the episodes of one store."""

    def __init__(self, root: Path) -> None:
        """Look at nothing yet."""
        self.folder = root / VIEW
        self._places = Places.none()
        self._listed_ns = -1
        self._shards: dict[str, Shard] = {}
        self._damaged: set[str] = set()

    def columns(self, info: EpisodeInfo) -> dict[str, Columns] | None:
        """Return the mapped samples of an episode, or None where its view is not built."""
        found = self._find(info)
        if found is None and self._is_new():
            found = self._find(info)
        return found

    def missing(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which episodes (their `places.keys_of`) have no view, bool [n]."""
        self._is_new()
        return ~np.isin(keys, self._places.keys)

    def _find(self, info: EpisodeInfo) -> dict[str, Columns] | None:
        for name, first, count in self._places.find(key_of(info.content_sha256)):
            if name in self._damaged:
                continue
            try:
                batches, starts = self._shard(name)
            except FileNotFoundError:
                self._listed_ns = -1  # merged by another process: look again
                continue
            except (OSError, pa.ArrowException) as error:
                logger.warning(
                    "%s: unreadable (%s); reading the masters instead, slowly. Build the view again: counterpoint "
                    "prepare %s",
                    self.folder / name,
                    error,
                    self.folder.parents[1],
                )
                self._damaged.add(name)
                continue
            number = bisect_right(starts, first) - 1
            rows = batches[number].slice(first - starts[number], count)
            if rows.column("content_sha256")[0].as_py() == info.content_sha256:
                return table_to_columns(pa.Table.from_batches([rows]))
        return None

    def _shard(self, name: str) -> Shard:
        if name not in self._shards:
            batches = map_batches(self.folder / name, SCHEMA)
            self._shards[name] = batches, [0, *accumulate(batch.num_rows for batch in batches)][:-1]
        return self._shards[name]

    def _is_new(self) -> bool:
        """List the shards again if there may be others; whether that was so."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            changed_ns = 0
        if changed_ns == self._listed_ns:
            return False
        self._places = open_places(self.folder, SCHEMA)
        self._damaged.clear()  # they may have been built again
        self._listed_ns = changed_ns if changed_ns < time.time_ns() - SETTLE_NS else -1
        return True


def write_shards(folder: Path, episodes: Iterable[EpisodeInfo], read: ReadMaster) -> list[str]:
    """Write the view of `episodes` in shards of about SHARD_BYTES; return ids of damaged episodes, left out.

    Raises:
        StoreError: the folder cannot be written.
    """
    damaged: list[str] = []
    pending: list[tuple[EpisodeInfo, dict[str, Columns]]] = []
    size = 0
    for info in episodes:
        try:
            columns = read(info)
        except StoreError as error:
            logger.warning("%s", error)
            damaged.append(info.episode_id)
            continue
        pending.append((info, columns))
        size += sum(each.num_bytes for each in columns.values())
        if size >= SHARD_BYTES:
            _write_shard(folder, pending)
            pending, size = [], 0
    if pending:
        _write_shard(folder, pending)
    return damaged


def remove_damaged(folder: Path) -> None:
    """Remove shards that cannot be mapped, so that their episodes are built again; the caller holds the lock."""
    for path in sorted(folder.glob("shard-*.arrow")):
        try:
            map_batches(path, SCHEMA)
        except (OSError, pa.ArrowException) as error:
            logger.warning("%s: unreadable (%s); building it again", path, error)
            path.unlink(missing_ok=True)


def merge_shards(folder: Path) -> int:
    """Merge small shards into larger ones when they have piled up; return how many files went.

    The caller holds the folder's lock. Who has mapped the old files keeps them; others look again.
    """
    small = [path for path in sorted(folder.glob("shard-*.arrow")) if path.stat().st_size < SHARD_BYTES / 2]
    if len(small) <= SMALL_SHARDS:
        return 0
    group: list[Path] = []
    size = 0
    for path in small:
        group.append(path)
        size += path.stat().st_size
        if size >= MERGED_BYTES:
            _merge(folder, group)
            group, size = [], 0
    if group:
        _merge(folder, group)
    return len(small)


def _write_shard(folder: Path, episodes: list[tuple[EpisodeInfo, dict[str, Columns]]]) -> None:
    streams = [stream for _, columns in episodes for stream in columns.items()]
    contents = [info.content_sha256 for info, columns in episodes for _ in columns]
    table = columns_to_table(streams, block_samples=WHOLE)
    table = table.append_column("content_sha256", pa.array(contents, pa.string()))
    rows = np.empty(len(episodes), PLACE)
    rows["key"] = [key_of(info.content_sha256) for info, _ in episodes]
    rows["count"] = [len(columns) for _, columns in episodes]
    rows["first"] = np.cumsum(rows["count"]) - rows["count"]
    kept = rows[rows["count"] > 0]
    if len(kept):
        write_mapped(folder, "shard-", SCHEMA, table.to_batches(), pack_places(kept))


def _merge(folder: Path, group: list[Path]) -> None:
    parts: list[tuple[Path, list[pa.RecordBatch]]] = []
    places = []
    first = 0
    for path in group:
        try:
            batches, rows = map_batches(path, SCHEMA), read_places(path, SCHEMA)
        except (OSError, pa.ArrowException, ValueError) as error:
            logger.warning("%s: unreadable view, built again (%s)", path, error)
            path.unlink(missing_ok=True)
            continue
        rows["first"] += first
        first += sum(batch.num_rows for batch in batches)
        places.append(rows)
        parts.append((path, batches))
    if not parts:
        return
    merged = write_mapped(
        folder,
        "shard-",
        SCHEMA,
        (batch for _, batches in parts for batch in batches),
        pack_places(np.concatenate(places)),
    )
    for path, _ in parts:
        if path != merged:
            path.unlink(missing_ok=True)
