"""Where each episode lies in the video view: sorted keys in mapped files, searched without loading them.

    views/video-2/<preset>/places-<sha256>.arrow    a row a run: the pictures of one camera of one episode

A run is found by bisection in each of a few files. New shards are recorded in a small file of their own; files are
merged as they pile up, a range of keys at a time, so that memory does not grow with the view.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.store.files.mapped import map_batches, write_mapped

logger = logging.getLogger(__name__)

PREFIX = "places-"
SCHEMA = pa.schema([("key", pa.uint64()), ("shard", pa.binary(32)), ("row", pa.int32()), ("rows", pa.int32())])
"""First 8 bytes of the content hash; SHA-256 of the shard; first row and number of rows in it."""
BATCH_ROWS = 1 << 20
MOST_FILES = 16
SETTLE_NS = 2_000_000_000
"""A folder changed this shortly ago is listed again: file systems round times."""


class Place(NamedTuple):
    """Where a run lies."""

    shard: str
    """Name of the shard without suffix: its SHA-256."""
    row: int
    rows: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sorted:
    """A record batch: keys never decrease."""

    batch: pa.RecordBatch
    keys: NDArray[np.uint64]
    _shards: pa.Buffer
    _rows: NDArray[np.int32]
    _counts: NDArray[np.int32]

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> _Sorted:
        """Point into the mapped columns; Arrow's own conversions import pandas first, a third of a second."""
        keys, shards, rows, counts = (column.buffers()[1] for column in batch.columns)
        return cls(
            batch=batch,
            keys=np.frombuffer(keys, np.uint64, batch.num_rows),
            _shards=shards,
            _rows=np.frombuffer(rows, np.int32, batch.num_rows),
            _counts=np.frombuffer(counts, np.int32, batch.num_rows),
        )

    def place(self, at: int) -> Place:
        """Return the place in that row."""
        shard = self._shards[32 * at : 32 * at + 32].to_pybytes()
        return Place(shard.hex(), int(self._rows[at]), int(self._counts[at]))


class VideoPlaces:
    """The places of one preset of one store's video view."""

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet."""
        self.folder = folder
        self._files: dict[str, list[_Sorted]] = {}
        self._listed_ns = -1

    def __len__(self) -> int:
        """Return the number of runs."""
        return sum(len(part.keys) for parts in self._files.values() for part in parts)

    def find(self, key: int) -> Iterator[Place]:
        """Yield the runs of the episodes with this key; mostly one episode, a run a camera."""
        wanted = np.uint64(key)
        for parts in self._files.values():
            for part in parts:
                keys = part.keys
                if keys[0] <= wanted <= keys[-1]:
                    first, last = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
                    for at in range(int(first), int(last)):
                        yield part.place(at)

    def shards(self) -> set[str]:
        """Return the names of all shards; reads everything, for builders."""
        found: set[str] = set()
        for parts in self._files.values():
            for part in parts:
                found.update(value.hex() for value in part.batch.column("shard").unique().to_pylist())
        return found

    def refresh(self) -> bool:
        """List the files again if the folder may have changed; return whether it was listed."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            changed_ns = 0
        if changed_ns == self._listed_ns:
            return False
        for _ in range(8):  # until no file is merged away between listing and mapping
            found = _mapped(self.folder, self._files)
            if found is not None:
                self._files = found
                break
        self._listed_ns = changed_ns if changed_ns < time.time_ns() - SETTLE_NS else -1
        return True


def add_places(folder: Path, places: Iterable[tuple[int, Place]]) -> None:
    """Record (key, place) of new runs; the caller holds the folder's lock.

    Raises:
        StoreError: the folder cannot be written.
    """
    rows = sorted(places)
    if not rows:
        return
    columns = [
        pa.array([key for key, _ in rows], pa.uint64()),
        pa.array([bytes.fromhex(place.shard) for _, place in rows], pa.binary(32)),
        pa.array([place.row for _, place in rows], pa.int32()),
        pa.array([place.rows for _, place in rows], pa.int32()),
    ]
    write_mapped(folder, PREFIX, SCHEMA, [pa.record_batch(columns, schema=SCHEMA)])
    if len(list(folder.glob(f"{PREFIX}*.arrow"))) > MOST_FILES:
        merge_places(folder)


def merge_places(folder: Path) -> None:
    """Merge small files into one, geometrically; the caller holds the folder's lock."""
    files = _mapped(folder, {}) or {}
    sizes = {name: sum(len(part.keys) for part in parts) for name, parts in files.items()}
    names = sorted(sizes, key=lambda name: -sizes[name])
    merged = [name for at, name in enumerate(names) if sizes[name] <= 4 * sum(sizes[each] for each in names[at + 1 :])]
    chosen = names[names.index(merged[0]) :] if merged else []
    if not chosen:
        return
    parts = [part for name in chosen for part in files[name]]
    path = write_mapped(folder, PREFIX, SCHEMA, _merged(parts))
    for name in chosen:
        if name != path.name:
            (folder / name).unlink(missing_ok=True)


def _merged(parts: list[_Sorted]) -> Iterator[pa.RecordBatch]:
    """Yield all rows in order of key, about BATCH_ROWS at a time: keys are hashes, so ranges of them are alike."""
    count = -(-sum(len(part.keys) for part in parts) // BATCH_ROWS)
    edges = [number * (2**64 // count) for number in range(count)]
    cuts = [[bisect_left(part.keys, np.uint64(edge)) for edge in edges] + [len(part.keys)] for part in parts]
    for number in range(count):
        table = pa.Table.from_batches(
            [
                part.batch.slice(cut[number], cut[number + 1] - cut[number])
                for part, cut in zip(parts, cuts, strict=True)
            ]
        )
        yield from table.sort_by("key").combine_chunks().to_batches()


def _mapped(folder: Path, known: dict[str, list[_Sorted]]) -> dict[str, list[_Sorted]] | None:
    """Map the files of a folder that are not known; None where one has gone since it was listed."""
    found: dict[str, list[_Sorted]] = {}
    for path in sorted(folder.glob(f"{PREFIX}*.arrow")):
        if path.name in known:
            found[path.name] = known[path.name]
            continue
        try:
            batches = map_batches(path, SCHEMA)
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException) as error:
            logger.warning(
                "%s: unreadable; the next build of the video view records its shards again (%s)", path, error
            )
            batches = []
        found[path.name] = [_Sorted.of(each) for each in batches if each.num_rows]
    return found
