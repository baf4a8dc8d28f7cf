"""The low-dimensional training view: uncompressed Arrow files, memory-mapped, derived from the masters.

    views/low-1/<sha256 of the file>.arrow     many episodes a file, so that thousands of episodes
                                               need a few mappings, not thousands of open files

A row is one stream of one episode: the columns of `streams.parquet` plus episode and content hash.
Numpy arrays point into the mapping; nothing is copied. The folder may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from counterpoint.core.errors import StoreError
from counterpoint.store.blocks import SCHEMA as STREAM_SCHEMA
from counterpoint.store.blocks import Columns, columns_to_table, table_to_columns
from counterpoint.store.commit import write_durably
from counterpoint.store.layout import sha256_hex
from counterpoint.store.manifest import EpisodeInfo

logger = logging.getLogger(__name__)

VIEW = "views/low-1"
SHARD_BYTES = 64 * 2**20
WHOLE = 2**62

ReadMaster = Callable[[EpisodeInfo], dict[str, Columns]]


class LowView:
    """Mapped samples of the episodes of one store; builds what is missing."""

    def __init__(self, root: Path) -> None:
        """Look at nothing yet."""
        self._folder = root / VIEW
        self._places: dict[str, tuple[pa.Table, int, int]] = {}
        self._mapped: set[str] = set()

    def has(self, info: EpisodeInfo) -> bool:
        """Whether the view of the episode is built."""
        if info.content_sha256 not in self._places:
            self._map_shards()
        return info.content_sha256 in self._places

    def columns(self, info: EpisodeInfo) -> dict[str, Columns]:
        """Return the mapped samples of an episode that `has` said is there."""
        table, first, count = self._places[info.content_sha256]
        return table_to_columns(table.slice(first, count))

    def build(self, episodes: Mapping[str, EpisodeInfo], read: ReadMaster) -> None:
        """Build shards for the episodes that have none, one process at a time.

        Damaged episodes are left out; they raise when they are read themselves.

        Raises:
            OSError, StoreError: the store cannot be written.
        """
        with _locked(self._folder):
            self._map_shards()
            pending: list[tuple[EpisodeInfo, dict[str, Columns]]] = []
            size = 0
            for info in episodes.values():
                if info.content_sha256 in self._places:
                    continue
                try:
                    columns = read(info)
                except StoreError as error:
                    logger.warning("%s", error)
                    continue
                pending.append((info, columns))
                size += sum(each.num_bytes for each in columns.values())
                if size >= SHARD_BYTES:
                    self._write_shard(pending)
                    pending, size = [], 0
            if pending:
                self._write_shard(pending)
            self._map_shards()

    def _write_shard(self, episodes: list[tuple[EpisodeInfo, dict[str, Columns]]]) -> None:
        streams = [stream for _, columns in episodes for stream in columns.items()]
        contents = [info.content_sha256 for info, columns in episodes for _ in columns]
        table = columns_to_table(streams, block_samples=WHOLE)
        table = table.append_column("content_sha256", pa.array(contents, pa.string()))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        write_durably(self._folder / f"{sha256_hex(data)}.arrow", data)

    def _map_shards(self) -> None:
        for path in sorted(self._folder.glob("*.arrow")) if self._folder.is_dir() else ():
            if path.name in self._mapped:
                continue
            try:
                table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
                if table.schema.remove_metadata() != STREAM_SCHEMA.append(pa.field("content_sha256", pa.string())):
                    raise pa.ArrowInvalid("columns of another release")
            except (OSError, pa.ArrowException) as error:
                logger.warning("%s: unreadable view, built again (%s)", path, error)
                path.unlink(missing_ok=True)
                continue
            self._mapped.add(path.name)
            self._remember(table)

    def _remember(self, table: pa.Table) -> None:
        first = 0
        for content, rows in groupby(table["content_sha256"].to_pylist()):
            count = len(list(rows))
            self._places[content] = (table, first, count)
            first += count


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
