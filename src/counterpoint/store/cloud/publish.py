"""Putting the training views of a store into object storage, in blocks of episodes.

    FOLDER/current.json            names the current index; written last, so that a reader sees all or nothing
    FOLDER/<sha256>.arrow          the index: one row an episode, robots and stream descriptions in its metadata
    FOLDER/<sha256>.arrow ...      two a block: low-dimensional streams, and pictures; one more for marks

A block is some tens of megabytes of whole episodes. A reader fetches a block, draws windows from it, and moves on.
Files are named by their content, so publishing again uploads only what is new.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from counterpoint.core.embodiment import embodiment_to_dict, spec_to_dict
from counterpoint.core.errors import StoreError
from counterpoint.store.cloud.objects import ObjectFolder
from counterpoint.store.files.blocks import Columns, columns_to_table, stream_to_columns
from counterpoint.store.files.layout import canonical_json, sha256_hex
from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.index.rows import SCHEMA, infos_to_batches
from counterpoint.store.reader import Store
from counterpoint.store.views.gops import CodedStream, shard_bytes
from counterpoint.store.views.low import SCHEMA as LOW_SCHEMA
from counterpoint.store.views.low import WHOLE

FORMAT = "counterpoint-published"
VERSION = 2
CURRENT = "current.json"
MARKS = "catalogue/marks.parquet"
"""What `counterpoint check` marked, so that readers leave out the same ranges."""
BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Published:
    """What `publish_views` did."""

    episodes: int
    blocks: int
    uploaded: int
    """Files that were not there before."""
    num_bytes: int
    """Bytes uploaded."""


def publish_views(
    store: Store,
    url: str,
    *,
    preset: str = "5hz",
    options: Mapping[str, str] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Published:
    """Upload the low-dimensional streams and the video view of every episode, then the index.

    `RemoteStore.open(url)` reads them, and `counterpoint prepare STORE --publish URL` calls this function.

    Args:
        store: the store, with its views built.
        url: folder in object storage, for example `s3://bucket/folder`.
        preset: which video view.
        options: settings of the storage service; see `ObjectFolder`.
        block_bytes: about how large a block becomes.

    Raises:
        StoreError: an episode is not in the video view (build it first), or storage refuses.
    """
    folder = ObjectFolder(url, options)
    uploader = _Uploader(folder)
    batches: list[pa.RecordBatch] = []
    blocks: list[list[object]] = []
    specs: dict[str, object] = {}
    for infos, low, film in _blocks(store, preset, block_bytes, specs):
        names: list[object] = [len(infos)]
        for data in (_low_bytes(low), shard_bytes(film, preset) if film else b""):
            names += [uploader.put(data) if data else "", len(data)]
        blocks.append(names)
        batches += infos_to_batches(infos)
    names_of = {str(name) for batch in batches for name in batch.column("embodiment").unique().to_pylist()}
    robots = {name: embodiment_to_dict(store.embodiment(name)) for name in sorted(names_of)}
    marks = (store.root / MARKS).read_bytes() if (store.root / MARKS).is_file() else b""
    state: dict[str, object] = {"marks": [uploader.put(marks) if marks else "", len(marks)]}
    state |= {"preset": preset, "blocks": blocks, "embodiments": robots, "specs": specs}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA.with_metadata({b"counterpoint": json.dumps(state).encode()})) as writer:
        for batch in batches:
            writer.write_batch(batch)
    data = bytes(sink.getvalue())
    current = {"format": FORMAT, "version": VERSION, "index": uploader.put(data), "bytes": len(data)}
    folder.put(CURRENT, canonical_json(current))
    return Published(
        episodes=sum(batch.num_rows for batch in batches),
        blocks=len(blocks),
        uploaded=uploader.uploaded,
        num_bytes=uploader.num_bytes,
    )


class _Uploader:
    """Puts files under the name of their content, once."""

    def __init__(self, folder: ObjectFolder) -> None:
        self._folder = folder
        self.uploaded = 0
        self.num_bytes = 0

    def put(self, data: bytes) -> str:
        name = f"{sha256_hex(data)}.arrow"
        if not self._folder.has(name, len(data)):
            self._folder.put(name, data)
            self.uploaded += 1
            self.num_bytes += len(data)
        return name


def _blocks(
    store: Store, preset: str, block_bytes: int, specs: dict[str, object]
) -> Iterator[tuple[list[EpisodeInfo], list[tuple[str, str, Columns]], list[CodedStream]]]:
    """Yield episodes, their streams (content, name, samples) and their pictures, about `block_bytes` at a time."""
    view = store.video_view(preset)
    infos: list[EpisodeInfo] = []
    low: list[tuple[str, str, Columns]] = []
    film: list[CodedStream] = []
    size = 0
    for info in store.episodes:
        infos.append(info)
        for name, stream in store.low(info.episode_id).items():
            columns = stream_to_columns(stream)
            low.append((info.content_sha256, name, columns))
            size += columns.num_bytes
            described = info.stream(name)
            assert described is not None  # low has the streams of its manifest
            specs.setdefault(described.spec_sha256, spec_to_dict(stream.spec))
        for each in info.streams:
            if each.kind != "image" or not each.samples:
                continue
            if not view.has(info.content_sha256, each.name):
                raise StoreError(
                    f"episode {info.episode_id!r}, stream {each.name!r}: not in the video view {preset!r}; build it "
                    "first with 'counterpoint prepare'"
                )
            film.append(view.stream(info.content_sha256, each.name))
            size += film[-1].num_bytes
        if size >= block_bytes:
            yield infos, low, film
            infos, low, film, size = [], [], [], 0
    if infos:
        yield infos, low, film


def _low_bytes(low: list[tuple[str, str, Columns]]) -> bytes:
    table = columns_to_table([(name, columns) for _, name, columns in low], block_samples=WHOLE)
    table = table.append_column("content_sha256", pa.array([content for content, _, _ in low], pa.string()))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, LOW_SCHEMA) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())
