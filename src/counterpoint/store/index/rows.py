"""Rows of the index: the manifest of an episode as typed columns; the plain columns can be queried directly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from counterpoint.core.episode import Provenance
from counterpoint.store.files.layout import episode_parent
from counterpoint.store.files.manifest import EpisodeInfo, info_from_dict

BATCH_ROWS = 65_536
"""Rows of a record batch: small enough that no column of strings outgrows 32-bit offsets."""

_STREAM = pa.struct(
    [
        ("name", pa.string()),
        ("kind", pa.string()),
        ("spec_sha256", pa.string()),
        ("samples", pa.int64()),
        ("time_source", pa.string()),
        ("video", pa.string()),
        ("encoding", pa.string()),
    ]
)
_FILE = pa.struct([("path", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string())])
WORDS = ("task", "instruction", "site", "environment", "source", "operator", "licence", "origin", "content_hash")
NUMBERS = ("success", "start_ns", "end_ns", "duration_s", "num_bytes")
FLAT = ("episode_id", "robot", *WORDS, "content_sha256", *NUMBERS)
"""Columns of `Store.flat()`."""
FLAT_SOURCE = ("episode_id", "embodiment", *WORDS, "content_sha256", *NUMBERS)
"""Where they come from: the robot is the one whose description the episode has."""
SCHEMA = pa.schema(
    [
        ("parent", pa.uint8()),
        *((name, pa.string()) for name in ("episode_id", "robot", *WORDS, "content_sha256")),
        ("success", pa.bool_()),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("duration_s", pa.float64()),
        ("num_bytes", pa.int64()),
        ("embodiment", pa.string()),
        ("embodiment_sha256", pa.string()),
        ("notes", pa.list_(pa.string())),
        ("streams", pa.list_(_STREAM)),
        ("files", pa.list_(_FILE)),
    ]
)
"""A row of a segment. `parent` is the number of the folder among the 256 in `episodes/`."""

_PROVENANCE = tuple(field.name for field in fields(Provenance))
_NESTED = ("episode_id", "embodiment", "embodiment_sha256", "provenance", "start_ns", "end_ns", "streams", "files")
TABLE = (*_NESTED, "content_sha256")
"""Columns of `Store.table`."""


def infos_to_batches(infos: Iterable[EpisodeInfo]) -> list[pa.RecordBatch]:
    """Return episodes as record batches of SCHEMA, at most BATCH_ROWS rows each, in the order given."""
    batches: list[pa.RecordBatch] = []
    rows: list[dict[str, object]] = []
    for info in infos:
        rows.append(_row(info))
        if len(rows) == BATCH_ROWS:
            batches.append(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
            rows = []
    return [*batches, pa.RecordBatch.from_pylist(rows, schema=SCHEMA)] if rows else batches


def rows_to_infos(batch: pa.RecordBatch) -> list[EpisodeInfo]:
    """Return the episodes of a batch of SCHEMA."""
    return [_info(row) for row in batch.to_pylist()]


def row_to_info(columns: Sequence[pa.Array], row: int) -> EpisodeInfo:
    """Return one episode from the columns of a batch; quicker than `rows_to_infos` of one."""
    return _info({name: column[row].as_py() for name, column in zip(SCHEMA.names, columns, strict=True)})


def nested_table(table: pa.Table) -> pa.Table:
    """Return a table of SCHEMA in the shape of manifests, provenance as one struct; without a copy."""
    batches = []
    for batch in table.to_batches():
        parts = [batch.column(name) for name in _PROVENANCE]
        provenance = pa.StructArray.from_arrays(parts, names=list(_PROVENANCE))
        columns = [provenance if name == "provenance" else batch.column(name) for name in TABLE]
        batches.append(pa.RecordBatch.from_arrays(columns, names=list(TABLE)))
    empty = [pa.struct([(n, SCHEMA.field(n).type) for n in _PROVENANCE]), *(SCHEMA.field(n).type for n in TABLE[4:])]
    kinds = [pa.string()] * 3 + empty
    return pa.Table.from_batches(batches, schema=pa.schema(list(zip(TABLE, kinds, strict=True))))


def gather(batches: Sequence[pa.RecordBatch], starts: Sequence[int], rows: pa.Array) -> pa.RecordBatch:
    """Return the rows with these numbers, counted through all batches, in the order given; copies them.

    Args:
        batches: batches of one schema.
        starts: number of the first row of each batch.
        rows: int64 [n].
    """
    order = pc.sort_indices(rows)
    ascending = rows.take(order)
    pieces = []
    first = 0
    for number, batch in enumerate(batches):
        end = starts[number] + batch.num_rows
        last = first + _below(ascending, first, end)
        if last > first:
            pieces.append(batch.take(pc.subtract(ascending.slice(first, last - first), starts[number])))
        first = last
    together = pa.Table.from_batches(pieces, schema=batches[0].schema).combine_chunks()
    return cast(list[pa.RecordBatch], together.take(pc.sort_indices(order)).combine_chunks().to_batches())[0]


def _below(ascending: pa.Array, first: int, end: int) -> int:
    return int(ascending.to_numpy()[first:].searchsorted(end))


def _row(info: EpisodeInfo) -> dict[str, object]:
    return {
        **vars(info.provenance),  # vars, as asdict is ten times slower
        **vars(info),
        "streams": [vars(stream) for stream in info.streams],
        "files": [vars(file) for file in info.files],
        "parent": int(episode_parent(info.episode_id), 16),
        "duration_s": info.duration_s,
        "num_bytes": info.num_bytes,
    }


def _info(row: Mapping[str, object]) -> EpisodeInfo:
    values = {name: row[name] for name in TABLE if name != "provenance"}
    return info_from_dict({**values, "provenance": {name: row[name] for name in _PROVENANCE}})
