"""Marks: what the checks found in a store, range by range, and which ranges are left out of training.

    catalogue/marks.parquet    one row a finding
    catalogue/checked.parquet  one row an episode that was checked: with what, and the verdict

Nothing is ever deleted from an episode: windows are simply not drawn from ranges with `drop`.
Both files are derived and replaced atomically; `counterpoint check` recreates them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError
from counterpoint.store.files.commit import write_durably

MARKS = "catalogue/marks.parquet"
CHECKED = "catalogue/checked.parquet"
VERSION = b"1"
MARKS_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("content_sha256", pa.string()),
        ("stream", pa.string()),
        ("check", pa.string()),
        ("severity", pa.string()),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("drop", pa.bool_()),
        ("channel", pa.string()),
    ]
)
"""`value` and `threshold` share a unit, which the check names; [start_ns, end_ns] are capture times, both included."""
CHECKED_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("content_sha256", pa.string()),
        ("key", pa.string()),
        ("verdict", pa.string()),
        ("pictures", pa.string()),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
    ]
)
"""`key` names thresholds, version and checks; `pictures` is `seen`, `unseen` (not in the video view then) or `none`."""


@dataclass(frozen=True, kw_only=True)
class MarkFiles:
    """What a store's two files of marks hold."""

    marks: pa.Table
    checked: pa.Table
    metadata: Mapping[bytes, bytes]
    """Of the last check: thresholds, their hash, version of the checks."""


def load_marks(root: Path) -> pa.Table:
    """Return all marks of the store at `root`, none where it was never checked.

    Raises:
        StoreError: the file is damaged or of another version.
    """
    return _load(root / MARKS, MARKS_SCHEMA)


def load_mark_files(root: Path) -> MarkFiles:
    """Return marks, checked episodes and what they were checked with; raises StoreError as `load_marks`."""
    marks = load_marks(root)
    return MarkFiles(
        marks=marks.replace_schema_metadata(None),
        checked=_load(root / CHECKED, CHECKED_SCHEMA).replace_schema_metadata(None),
        metadata=marks.schema.metadata or {},
    )


def save_marks(root: Path, marks: pa.Table, checked: pa.Table, metadata: Mapping[bytes, bytes]) -> None:
    """Write both files durably, `checked` last: an episode counts as checked only once its marks are there.

    Raises:
        StoreError: the store cannot be written.
    """
    try:
        (root / MARKS).parent.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{root}: cannot save marks ({error}); copy the store to a writable folder") from error
    for path, table, schema in ((MARKS, marks, MARKS_SCHEMA), (CHECKED, checked, CHECKED_SCHEMA)):
        said = {**metadata, b"counterpoint_marks": VERSION}
        sink = pa.BufferOutputStream()
        pq.write_table(table.cast(schema).replace_schema_metadata(said), sink, compression="zstd")
        write_durably(root / path, sink.getvalue().to_pybytes())


def dropped_ranges(root: Path, index: pa.Table | None = None) -> dict[str, NDArray[np.int64]]:
    """Return the excluded ranges by episode: [start_ns, end_ns], int64 [n, 2], sorted, never overlapping.

    With `index` (columns episode_id and content_sha256, as of `Store.flat`), marks of another content under the same
    episode id are ignored.

    Raises:
        StoreError: the marks are damaged or of another version.
    """
    marks = load_marks(root)
    marks = marks.filter(marks["drop"]).sort_by([("episode_id", "ascending"), ("start_ns", "ascending")])
    if index is not None and marks.num_rows:
        marks = _fitting(marks, index)
    if not marks.num_rows:
        return {}
    names = marks["episode_id"].to_pylist()
    ranges = np.stack([marks["start_ns"].to_numpy(), marks["end_ns"].to_numpy()], axis=1)
    edges = [0, *(i for i in range(1, len(names)) if names[i] != names[i - 1]), len(names)]
    return {names[first]: joined(ranges[first:last]) for first, last in pairwise(edges)}


def joined(ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Merge overlapping and touching ranges, int64 [n, 2], sorted by start."""
    if not len(ranges):
        return ranges.reshape(0, 2)
    ends = np.maximum.accumulate(ranges[:, 1])
    first = np.concatenate([[True], ranges[1:, 0] > ends[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.stack([ranges[first, 0], ends[last]], axis=1)


def dropped_seconds(marks: pa.Table) -> float:
    """Return the excluded robot time in seconds; overlapping ranges count once."""
    table = marks.filter(marks["drop"]).sort_by([("episode_id", "ascending"), ("start_ns", "ascending")])
    if not table.num_rows:
        return 0.0
    codes = table["episode_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    total = 0
    starts, ends = table["start_ns"].to_numpy(), table["end_ns"].to_numpy()
    for rows in np.split(np.arange(len(codes)), np.flatnonzero(np.diff(codes)) + 1):
        ranges = joined(np.stack([starts[rows], ends[rows]], axis=1))
        total += int((ranges[:, 1] - ranges[:, 0]).sum())
    return total / 1e9


def without(table: pa.Table, episode_ids: pa.Array) -> pa.Table:
    """Return the rows of other episodes."""
    return table.filter(pc.invert(pc.is_in(table["episode_id"], episode_ids)))


def _fitting(marks: pa.Table, index: pa.Table) -> pa.Table:
    """Return the marks whose episode still has the content they were made of."""
    known = index.select(["episode_id", "content_sha256"])
    known = known.filter(pc.is_in(known["episode_id"], value_set=marks["episode_id"].combine_chunks().unique()))
    content = dict(zip(*(column.to_pylist() for column in known.columns), strict=True))
    made_of = zip(marks["episode_id"].to_pylist(), marks["content_sha256"].to_pylist(), strict=True)
    return marks.filter(pa.array([content.get(episode_id) == each for episode_id, each in made_of], pa.bool_()))


def _load(path: Path, schema: pa.Schema) -> pa.Table:
    if not path.is_file():
        return schema.empty_table()
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: damaged ({error}); delete it and run 'counterpoint check' again") from error
    if not table.schema.equals(schema) or (table.schema.metadata or {}).get(b"counterpoint_marks") != VERSION:
        raise StoreError(f"{path}: written by another release; delete it and run 'counterpoint check' again")
    return table
