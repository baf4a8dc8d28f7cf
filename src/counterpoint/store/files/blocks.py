"""`streams.parquet`: all samples of an episode but the pixels, one file.

A row is a block of at most BLOCK_SAMPLES samples of one stream, so streams of any rate and width
share one schema and one file (one file instead of one a stream: three times faster to commit).

    stream  capture_ns   arrival_ns   values             texts          pts
    str     list<int64>  list<int64>  list<float32>      list<str>      list<int64>
            [samples]    [samples]    [samples*channels] [samples]      [samples], images only
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.stream import Stream, TimeSource

BLOCK_SAMPLES = 65_536
DAMAGED = (pa.ArrowException, OSError, ValueError, MemoryError)
"""What reading spoilt bytes raises; ValueError where text is not UTF-8."""

Number = TypeVar("Number", np.int64, np.float32)

SCHEMA = pa.schema(
    [
        ("stream", pa.string()),
        ("capture_ns", pa.large_list(pa.int64())),
        ("arrival_ns", pa.large_list(pa.int64())),
        ("values", pa.large_list(pa.float32())),
        ("texts", pa.large_list(pa.large_string())),
        ("pts", pa.large_list(pa.int64())),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """Samples of one stream without their description."""

    capture_ns: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    values: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """Flat [samples * channels], row-major; empty for text and images."""
    texts: Sequence[str] = ()
    pts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Presentation times in the video's time base; images only."""

    @property
    def num_bytes(self) -> int:
        """Size in memory, about."""
        arrays = (self.capture_ns, self.arrival_ns, self.values, self.pts)
        return sum(array.nbytes for array in arrays) + sum(map(len, self.texts))

    def between(self, start_ns: int | None, end_ns: int | None) -> Columns:
        """Return the samples captured in [start_ns, end_ns); None for no bound."""
        if start_ns is None and end_ns is None:
            return self
        count = len(self.capture_ns)
        first = 0 if start_ns is None else int(np.searchsorted(self.capture_ns, start_ns))
        last = count if end_ns is None else int(np.searchsorted(self.capture_ns, end_ns))
        width = self.values.size // count if count else 0
        return Columns(
            capture_ns=self.capture_ns[first:last],
            arrival_ns=self.arrival_ns[first:last],
            values=self.values[first * width : last * width],
            texts=self.texts[first:last],
            pts=self.pts[first:last],
        )


def stream_to_columns(stream: Stream) -> Columns:
    """Return the samples of a vector or text stream."""
    if stream.spec.kind == "text":
        texts = [str(text) for text in stream.values]
        return Columns(capture_ns=stream.capture_ns, arrival_ns=stream.arrival_ns, texts=texts)
    values = np.ascontiguousarray(stream.values, dtype=np.float32).ravel()
    return Columns(capture_ns=stream.capture_ns, arrival_ns=stream.arrival_ns, values=values)


def columns_to_stream(columns: Columns, spec: StreamSpec, time_source: TimeSource) -> Stream:
    """Return a vector or text stream; vector values stay where they are.

    Raises:
        ValueError: the samples do not fit the description.
    """
    count = len(columns.capture_ns)
    values: NDArray[np.float32] | NDArray[np.object_]
    if spec.kind == "text":
        values = np.asarray(columns.texts, dtype=np.object_).reshape(count)
    else:
        values = columns.values.reshape(count, len(spec.channels))
    return Stream(
        spec=spec,
        capture_ns=columns.capture_ns,
        arrival_ns=columns.arrival_ns,
        values=values,
        time_source=time_source,
    )


def columns_to_table(streams: Iterable[tuple[str, Columns]], block_samples: int = BLOCK_SAMPLES) -> pa.Table:
    """Return named streams as rows of SCHEMA, cut into blocks; values are laid end to end."""
    rows: list[tuple[str, Columns]] = []
    for name, columns in streams:
        rows.extend((name, block) for block in _blocks(columns, block_samples))
    blocks = [block for _, block in rows]
    return pa.Table.from_arrays(
        [
            pa.array([name for name, _ in rows], pa.string()),
            _lists([block.capture_ns for block in blocks], pa.int64()),
            _lists([block.arrival_ns for block in blocks], pa.int64()),
            _lists([block.values for block in blocks], pa.float32()),
            pa.array([list(block.texts) for block in blocks], SCHEMA.field("texts").type),
            _lists([block.pts for block in blocks], pa.int64()),
        ],
        schema=SCHEMA,
    )


def table_to_columns(table: pa.Table) -> dict[str, Columns]:
    """Join the blocks of each stream again; zero-copy where a stream is one block."""
    parts: dict[str, list[Columns]] = {}
    for batch in table.to_batches():
        names = batch.column(0).to_pylist()
        capture, arrival, pts = (_split(batch.column(i), np.int64) for i in (1, 2, 5))
        values = _split(batch.column(3), np.float32)
        texts = batch.column(4)
        for row, name in enumerate(names):
            words = texts[row].as_py() if len(texts[row].values) else ()
            parts.setdefault(name, []).append(
                Columns(capture_ns=capture[row], arrival_ns=arrival[row], values=values[row], texts=words, pts=pts[row])
            )
    return {name: blocks[0] if len(blocks) == 1 else _join(blocks) for name, blocks in parts.items()}


def encode_streams(streams: Mapping[str, Columns]) -> bytes:
    """Return the bytes of `streams.parquet`: zstd, floats byte-stream-split, times as differences."""
    sink = io.BytesIO()
    pq.write_table(
        columns_to_table(streams.items()),
        sink,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        column_encoding={
            "values.list.element": "BYTE_STREAM_SPLIT",
            "capture_ns.list.element": "DELTA_BINARY_PACKED",
            "arrival_ns.list.element": "DELTA_BINARY_PACKED",
            "pts.list.element": "DELTA_BINARY_PACKED",
        },
    )
    return sink.getvalue()


def decode_streams(data: bytes) -> dict[str, Columns]:
    """Read the bytes of `streams.parquet`; raises one of DAMAGED."""
    table = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
    if table.schema.remove_metadata() != SCHEMA:
        raise pa.ArrowInvalid(f"expected columns {', '.join(SCHEMA.names)}, got {', '.join(table.schema.names)}")
    return table_to_columns(table)


def _blocks(columns: Columns, block_samples: int) -> list[Columns]:
    count = len(columns.capture_ns)
    if count <= block_samples:
        return [columns]
    width = columns.values.size // count
    return [
        Columns(
            capture_ns=columns.capture_ns[first : first + block_samples],
            arrival_ns=columns.arrival_ns[first : first + block_samples],
            values=columns.values[first * width : (first + block_samples) * width],
            texts=columns.texts[first : first + block_samples],
            pts=columns.pts[first : first + block_samples],
        )
        for first in range(0, count, block_samples)
    ]


def _join(blocks: list[Columns]) -> Columns:
    return Columns(
        capture_ns=np.concatenate([block.capture_ns for block in blocks]),
        arrival_ns=np.concatenate([block.arrival_ns for block in blocks]),
        values=np.concatenate([block.values for block in blocks]),
        texts=[text for block in blocks for text in block.texts],
        pts=np.concatenate([block.pts for block in blocks]),
    )


def _lists(arrays: Sequence[NDArray[np.generic]], kind: pa.DataType) -> pa.LargeListArray:
    offsets = np.cumsum([0, *(array.size for array in arrays)], dtype=np.int64)
    flat = np.concatenate(arrays) if arrays else np.empty(0)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat, kind))


def _split(lists: pa.LargeListArray, kind: type[Number]) -> list[NDArray[Number]]:
    offsets = lists.offsets.to_numpy()
    flat: NDArray[Number] = lists.values.to_numpy(zero_copy_only=True)
    assert flat.dtype == kind  # the schema says so
    return [flat[first:last] for first, last in pairwise(offsets)]
