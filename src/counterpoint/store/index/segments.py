"""Segments of the index: mapped files of rows, and the state that says which rows of which segments count.

    catalogue/index-2/segment-<sha256>.arrow    rows, sorted by episode id
    catalogue/index-2/state-<sha256>.arrow      numbers of the valid rows in order of episode id, and the
                                                modification times of `episodes/*` at which that was true

Both are replaced, never changed. An open store holds a shared lock on its state, so that files stay in place until
its worker processes have mapped them.
"""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.store.files.layout import sha256_file
from counterpoint.store.files.mapped import age_seconds, map_batches, map_with_metadata, remove_left_overs, write_mapped
from counterpoint.store.index.rows import SCHEMA

INDEX = "catalogue/index-2"
GRACE_SECONDS = 600
"""Files that no state mentions are kept this long, because a reader may be about to map them."""
MERGE_RATIO = 4
"""A segment is merged with all newer ones when it is less than this many times as large as they are together."""
DEAD_SHARE = 4
"""All segments are merged when more than one row in this many belongs to a removed episode."""
_ORDER = pa.schema([("row", pa.uint32())])


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """One mapped file of rows; `name` is empty for rows that lie in memory alone."""

    name: str
    batches: list[pa.RecordBatch]

    @property
    def rows(self) -> int:
        """How many rows, valid or not."""
        return sum(batch.num_rows for batch in self.batches)


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """A snapshot of the index."""

    segments: tuple[Segment, ...] = ()
    order: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    """Numbers of valid rows, counted through all segments, in order of episode id."""
    parents: Mapping[str, int] = field(default_factory=dict)
    """Modification time (ns) of each folder in `episodes/` when it was listed."""
    path: Path | None = None
    """Its file; None for a state in memory alone."""

    @property
    def batches(self) -> list[pa.RecordBatch]:
        """The batches of all segments."""
        return [batch for segment in self.segments for batch in segment.batches]


def latest_state(folder: Path) -> State | None:
    """Return the newest state that is whole, or None."""
    found = sorted(folder.glob("state-*.arrow"), key=age_seconds)
    for path in found:
        state = load_state(path)
        if state is not None:
            return state
    return None


def load_state(path: Path) -> State | None:
    """Map a state and its segments; None where one of them is absent, torn or of another release."""
    lease: int | None = None
    state: State | None = None
    try:
        lease = _hold(path)
        if sha256_file(path) != path.stem.partition("-")[2]:
            return None
        batches, metadata = map_with_metadata(path, _ORDER)
        raw = json.loads(metadata[b"counterpoint"])
        segments = tuple(
            Segment(name=name, batches=map_batches(path.parent / name, SCHEMA)) for name in raw["segments"]
        )
        order = batches[0].column(0).to_numpy()
        state = State(segments=segments, order=order, parents=raw["parents"], path=path)
        if len(order) and int(order.max()) >= sum(segment.rows for segment in segments):
            state = None
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, IndexError):
        state = None  # it is derived, so it is built again
    finally:
        if lease is not None:
            _release_with(state, lease)
    return state


def _release_with(state: State | None, lease: int) -> None:
    if state is None:
        os.close(lease)
    else:
        weakref.finalize(state, os.close, lease)


def save_state(folder: Path, state: State) -> State:
    """Write a state whose segments are all files; return it as mapped."""
    raw = {"segments": [segment.name for segment in state.segments], "parents": dict(state.parents)}
    batch = pa.RecordBatch.from_arrays([pa.array(state.order, pa.uint32())], schema=_ORDER)
    path = write_mapped(folder, "state-", _ORDER, [batch], {b"counterpoint": json.dumps(raw, sort_keys=True).encode()})
    os.utime(path)  # the same state may have been written before; now it is the newest
    return load_state(path) or state


def write_segment(folder: Path, batches: Iterable[pa.RecordBatch]) -> Segment:
    """Write rows and map them."""
    path = write_mapped(folder, "segment-", SCHEMA, batches)
    return Segment(name=path.name, batches=map_batches(path, SCHEMA))


def remove_old(folder: Path, keep: State) -> None:
    """Unlink states that no open store holds, and segments that no remaining state mentions."""
    wanted = {segment.name for segment in keep.segments}
    for path in folder.glob("state-*.arrow"):
        if path == keep.path:
            continue
        if age_seconds(path) > GRACE_SECONDS and not _is_held(path):
            path.unlink(missing_ok=True)
            continue
        try:
            wanted |= set(json.loads(map_with_metadata(path, _ORDER)[1][b"counterpoint"])["segments"])
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
            path.unlink(missing_ok=True)
    for path in folder.glob("segment-*.arrow"):
        if path.name not in wanted and age_seconds(path) > GRACE_SECONDS:
            path.unlink(missing_ok=True)
    remove_left_overs(folder)


def _hold(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return descriptor
    except OSError:
        os.close(descriptor)
        return None


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
