"""Shards of the video training view: groups of pictures in uncompressed, memory-mapped Arrow.

    views/video-2/<preset>/<2 hex>/<sha256 of the file>.arrow

A row is a group of pictures (GOP): a key picture and the pictures predicted from it. The rows of one image stream of
one episode follow each other and form a *run*, whose first row has 0 in `first`; `video_places` knows where runs lie.
A shard is one record batch: times and bytes of a run are one slice each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError
from counterpoint.store.files.commit import write_durably
from counterpoint.store.files.layout import sha256_hex
from counterpoint.store.files.mapped import SUFFIX, map_with_metadata

VIEW = "views/video-2"
FORMAT = "counterpoint-video-view"
VERSION = 2

SCHEMA = pa.schema(
    [
        ("content_sha256", pa.string()),
        ("stream", pa.string()),
        ("codec", pa.string()),
        ("extradata", pa.binary()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("first", pa.int64()),
        ("samples", pa.large_list(pa.int64())),
        ("capture_ns", pa.large_list(pa.int64())),
        ("arrival_ns", pa.large_list(pa.int64())),
        ("sizes", pa.large_list(pa.int32())),
        ("data", pa.large_binary()),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedStream:
    """An image stream of an episode in the view, as coded pictures."""

    content_sha256: str
    stream: str
    codec: str
    extradata: bytes
    height: int
    width: int
    samples: NDArray[np.int64]
    """[pictures], which sample of the master each picture is, increasing."""
    capture_ns: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    keys: NDArray[np.int64]
    """[groups], number of the picture with which each group starts, increasing from 0."""
    ends: NDArray[np.int64]
    """[pictures], where the packet of each picture ends in `data`; it starts where the one before ends."""
    data: NDArray[np.uint8]

    @property
    def num_bytes(self) -> int:
        """Size of pictures and times, bytes."""
        return int(self.data.nbytes + 4 * self.samples.nbytes)

    def packet(self, picture: int) -> memoryview:
        """Return the coded bytes of a picture."""
        start = int(self.ends[picture - 1]) if picture else 0
        return self.data.data[start : int(self.ends[picture])]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a stream lies in a shard."""

    content_sha256: str
    stream: str
    row: int
    rows: int


def shard_bytes(streams: Sequence[CodedStream], preset: str) -> bytes:
    """Return the file that holds these streams."""
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for coded in streams:
        bounds = [*coded.keys.tolist(), len(coded.samples)]
        starts = np.concatenate([[0], coded.ends])
        for first, last in pairwise(bounds):
            columns["content_sha256"].append(coded.content_sha256)
            columns["stream"].append(coded.stream)
            columns["codec"].append(coded.codec)
            columns["extradata"].append(coded.extradata)
            columns["height"].append(coded.height)
            columns["width"].append(coded.width)
            columns["first"].append(first)
            columns["samples"].append(coded.samples[first:last])
            columns["capture_ns"].append(coded.capture_ns[first:last])
            columns["arrival_ns"].append(coded.arrival_ns[first:last])
            columns["sizes"].append(np.diff(starts[first : last + 1]).astype(np.int32))
            columns["data"].append(coded.data.data[int(starts[first]) : int(starts[last])])
    state = json.dumps({"format": FORMAT, "version": VERSION, "preset": preset}).encode()
    schema = SCHEMA.with_metadata({b"counterpoint": state})
    batch = pa.record_batch([pa.array(columns[field.name], field.type) for field in SCHEMA], schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def shard_path(folder: Path, name: str) -> Path:
    """Return where the shard of that SHA-256 lies in a preset's folder: in one of 256 folders."""
    return folder / name[:2] / f"{name}{SUFFIX}"


def write_shard(folder: Path, streams: Sequence[CodedStream], preset: str) -> str:
    """Write a shard durably under the name of its content; return the name, without suffix.

    Raises:
        StoreError: the disk is full or refuses.
    """
    data = shard_bytes(streams, preset)
    path = shard_path(folder, sha256_hex(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, data)
    return path.stem


class Shard:
    """A mapped shard."""

    def __init__(self, path: Path) -> None:
        """Map it; nothing is read but the schema.

        Raises:
            StoreError: not a whole shard of this version.
        """
        self.path = path
        try:
            batches, metadata = map_with_metadata(path, SCHEMA)
            state = json.loads(metadata.get(b"counterpoint", b"{}"))
            if state.get("format") != FORMAT or state.get("version") != VERSION or len(batches) != 1:
                raise ValueError("not a shard of this version")
            self._batch = batches[0]
        except (OSError, pa.ArrowException, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                f"{path}: not a complete video shard ({error}); delete it and run 'counterpoint prepare'"
            ) from error

    @property
    def runs(self) -> list[Run]:
        """The streams of the shard."""
        starts = np.flatnonzero(self._batch.column("first").to_numpy() == 0).tolist()
        return [
            self.run(first, last - first) for first, last in pairwise([*starts, self._batch.num_rows]) if last > first
        ]

    def run(self, row: int, rows: int) -> Run:
        """Return which stream lies in these rows.

        Raises:
            StoreError: there are no such rows.
        """
        if row < 0 or rows < 1 or row + rows > self._batch.num_rows:
            raise StoreError(
                f"{self.path}: has no rows {row} to {row + rows}; delete it and run 'counterpoint prepare'"
            )
        content, stream = (str(self._batch.column(name)[row]) for name in ("content_sha256", "stream"))
        return Run(content_sha256=content, stream=stream, row=row, rows=rows)

    def stream(self, run: Run) -> CodedStream:
        """Return the pictures of a run; arrays point into the mapping.

        Raises:
            StoreError: its columns contradict each other.
        """
        batch, first, last = self._batch, run.row, run.row + run.rows
        bounds = _offsets(batch.column("samples"), first, last)
        sizes = _values(batch.column("sizes"), first, last)
        places = _offsets(batch.column("data"), first, last)
        ends = np.cumsum(sizes, dtype=np.int64)
        if len(ends) != bounds[-1] - bounds[0] or not len(ends) or ends[-1] != places[-1] - places[0]:
            raise StoreError(
                f"{self.path}: {run.stream!r}: packet sizes do not add up; delete it and run 'counterpoint prepare'"
            )
        data = np.frombuffer(batch.column("data").buffers()[2], np.uint8)[int(places[0]) : int(places[-1])]
        return CodedStream(
            content_sha256=run.content_sha256,
            stream=run.stream,
            codec=batch.column("codec")[first].as_py(),
            extradata=batch.column("extradata")[first].as_py(),
            height=batch.column("height")[first].as_py(),
            width=batch.column("width")[first].as_py(),
            samples=_values(batch.column("samples"), first, last),
            capture_ns=_values(batch.column("capture_ns"), first, last),
            arrival_ns=_values(batch.column("arrival_ns"), first, last),
            keys=np.asarray(bounds[:-1] - bounds[0], dtype=np.int64),
            ends=ends,
            data=data,
        )


def _offsets(column: pa.Array, first: int, last: int) -> NDArray[np.int64]:
    return np.frombuffer(column.buffers()[1], np.int64)[first : last + 1]


def _values(column: pa.LargeListArray, first: int, last: int) -> NDArray[np.int64]:
    bounds = _offsets(column, first, last)
    found: NDArray[np.int64] = column.values.slice(int(bounds[0]), int(bounds[-1] - bounds[0])).to_numpy()
    return found
