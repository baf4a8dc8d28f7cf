"""Bringing the index up to date: added and removed episodes are found by listing only folders that changed.

A commit renames a folder into one of 256 parents and so changes the modification time of that parent. Opening a
store compares 256 times, lists the parents that changed, and reads only new manifests. They become a small segment;
small segments are merged as they pile up, so a new episode never rewrites a large index (a log-structured merge tree).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError
from counterpoint.store.files.layout import MANIFEST, episode_parent, name_of, next_step, safe_name
from counterpoint.store.files.manifest import EpisodeInfo, manifest_from_bytes
from counterpoint.store.files.mapped import locked
from counterpoint.store.index.episode_index import EpisodeIndex
from counterpoint.store.index.rows import BATCH_ROWS, gather, infos_to_batches
from counterpoint.store.index.segments import (
    DEAD_SHARE,
    INDEX,
    MERGE_RATIO,
    Segment,
    State,
    latest_state,
    remove_old,
    save_state,
    write_segment,
)

logger = logging.getLogger(__name__)

SETTLE_NS = 2_000_000_000
"""A parent changed this shortly before it was listed is listed again: file systems round times."""
UNSETTLED = -1
"""Time of a parent that must be listed again."""
WAIT_S = 30.0
"""How long to wait for another process that is updating the index, before updating it in memory."""
INSERTED_ONE_BY_ONE = 1_000
LOGGED_PROBLEMS = 20
BULK_ROWS = 10_000
BULK_SHARE = 16
"""All segments are merged after a bulk: at least BULK_ROWS new rows, and one row in this many."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with a store."""

    reason: str
    """Stable code: `damaged_manifest`, `missing_file`, `checksum`, ..."""
    path: str
    """File, relative to the store."""
    message: str
    episode_id: str = ""


def load_index(root: Path) -> tuple[EpisodeIndex, list[Problem]]:
    """Return the index of all committed episodes and the manifests that cannot be read.

    Brings the saved index up to date and saves it where the store can be written.
    """
    again = partial(reload_index, root)
    state = latest_state(root / INDEX)
    if state is not None and state.parents == parent_times(root):
        return EpisodeIndex(state, again), []
    with locked(root / INDEX, WAIT_S) as is_writer:
        state = latest_state(root / INDEX) or State()
        changed, problems = _brought_up_to_date(root, state, is_writer)
        return EpisodeIndex(changed, again), problems


def reload_index(root: Path) -> EpisodeIndex:
    """Return only the index of `load_index`."""
    return load_index(root)[0]


def read_manifest(root: Path, folder: Path) -> EpisodeInfo:
    """Read the manifest of a committed episode; raises StoreError naming the file."""
    path = folder / MANIFEST
    try:
        info = manifest_from_bytes(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(f"{path}: missing; {next_step(root)}") from error
    except (StoreError, OSError) as error:
        raise StoreError(f"{path}: damaged: {error}; {next_step(root)}") from error
    return info


def parent_times(root: Path) -> dict[str, int]:
    """Return the modification time (ns) of each of the 256 folders of `episodes/` that is there."""
    folder = root / "episodes"
    return {
        path.name: path.stat().st_mtime_ns
        for path in folder.iterdir()
        if re.fullmatch("[0-9a-f]{2}", path.name) and path.is_dir()
    }


def add_rows(folder: Path, state: State, infos: Iterable[EpisodeInfo], *, is_writer: bool = True) -> State:
    """Return a state with more episodes; bounded memory where segments can be written.

    Args:
        folder: of the index.
        state: what is known; none of `infos` may be in it.
        infos: new episodes, in any order.
        is_writer: write segments to `folder`; else rows stay in memory.
    """
    before = {path.name for path in folder.glob("segment-*.arrow")} if is_writer else set()
    num_before = len(state.order)
    rest = iter(infos)
    while part := sorted(islice(rest, BATCH_ROWS), key=lambda info: info.episode_id.encode()):
        batches = infos_to_batches(part)
        segment = write_segment(folder, batches) if is_writer else Segment(name="", batches=batches)
        first = sum(each.rows for each in state.segments)
        state = State(
            segments=(*state.segments, segment),
            order=_inserted(state, [info.episode_id for info in part], segment, first),
            parents=state.parents,
        )
        if is_writer:
            merged = _compacted(folder, state)
            kept = before | {each.name for each in merged.segments}
            for each in state.segments:
                if each.name not in kept:  # written here and merged at once: nobody else can know it
                    (folder / each.name).unlink(missing_ok=True)
            state = merged
    return _merged_after_bulk(folder, state, num_before) if is_writer else state


def _brought_up_to_date(root: Path, state: State, is_writer: bool) -> tuple[State, list[Problem]]:
    started_ns = time.time_ns()
    now = parent_times(root)
    problems: list[Problem] = []
    new: list[tuple[str, str]] = []
    gone: list[NDArray[np.int64]] = []
    owners, places = _owners(state)
    for number in range(256):
        name = f"{number:02x}"
        if name in now and state.parents.get(name) == now[name]:
            continue
        listed = {path.name for path in (root / "episodes" / name).iterdir()} if name in now else set()
        mine = places[owners == number]
        ids: list[str] = EpisodeIndex(state, partial(reload_index, root)).column("episode_id", mine).to_pylist()
        there = np.asarray([safe_name(each) in listed for each in ids], dtype=np.bool_)
        gone.append(mine[~there] if len(mine) else mine)
        new.extend((name, folder) for folder in sorted(listed - set(map(safe_name, ids))))
    removed = np.concatenate([*gone, np.empty(0, np.int64)])
    settled = {name: changed if changed < started_ns - SETTLE_NS else UNSETTLED for name, changed in now.items()}
    if not new and not len(removed):
        return (_saved(root / INDEX, state, settled) if is_writer and settled != state.parents else state), problems
    kept = State(segments=state.segments, order=np.delete(state.order, removed), parents=state.parents)
    try:
        changed = add_rows(root / INDEX, kept, _read(root, new, problems), is_writer=is_writer)
    except (OSError, StoreError) as error:
        logger.info("index not saved: %s", error)
        is_writer, problems = False, []
        changed = add_rows(root / INDEX, kept, _read(root, new, problems), is_writer=False)
    for problem in problems:  # look at damaged episodes again next time
        settled[Path(problem.path).parts[1]] = UNSETTLED
    return (_saved(root / INDEX, changed, settled) if is_writer else changed), problems


def _read(root: Path, folders: Sequence[tuple[str, str]], problems: list[Problem]) -> Iterator[EpisodeInfo]:
    """Yield the episodes of new folders; those that cannot be read go to `problems`, and the first few to the log."""
    for parent, name in folders:
        folder = root / "episodes" / parent / name
        try:
            info = read_manifest(root, folder)
            if info.episode_id == name_of(name) and parent == episode_parent(info.episode_id):
                yield info
                continue
            reason = "misplaced"
            message = f"{folder}: holds episode {info.episode_id!r}, which belongs elsewhere; was the folder renamed?"
        except StoreError as error:
            reason, message = "damaged_manifest", str(error)
        if len(problems) < LOGGED_PROBLEMS:
            logger.warning("%s", message)
        path = f"episodes/{parent}/{name}/{MANIFEST}"
        problems.append(Problem(reason=reason, path=path, message=message, episode_id=name))
    if len(problems) > LOGGED_PROBLEMS:
        logger.warning("%s: %d episodes cannot be read; %s", root, len(problems), next_step(root))


def _saved(folder: Path, state: State, parents: dict[str, int]) -> State:
    changed = State(segments=state.segments, order=state.order, parents=parents)
    try:
        changed = save_state(folder, changed)
        remove_old(folder, changed)
    except (OSError, StoreError) as error:
        logger.info("index not saved: %s", error)
    return changed


def _inserted(state: State, ids: list[str], segment: Segment, first: int) -> NDArray[np.uint32]:
    """Return the order of rows with a new segment, sorted itself, whose first row has the number `first`."""
    numbers = np.arange(first, first + segment.rows, dtype=np.uint32)
    if not len(state.order):
        return numbers
    if len(ids) <= INSERTED_ONE_BY_ONE:
        index = EpisodeIndex(state, None)
        return np.insert(state.order, [index.lower_bound(each) for each in ids], numbers)
    batches = [batch.column("episode_id") for each in (*state.segments, segment) for batch in each.batches]
    rows = np.concatenate([state.order, numbers])
    everything = pa.chunked_array(batches).take(pa.array(rows))
    order: NDArray[np.uint32] = rows[pc.sort_indices(everything).to_numpy()]
    return order


def _compacted(folder: Path, state: State) -> State:
    """Merge the newest segments while they are large beside the one before them."""
    sizes = [segment.rows for segment in state.segments]
    first = len(sizes) - 1
    while first > 0 and sizes[first - 1] < MERGE_RATIO * sum(sizes[first:]):
        first -= 1
    if (sum(sizes) - len(state.order)) * DEAD_SHARE > sum(sizes):
        first = 0
    return state if first == len(sizes) - 1 else _merged(folder, state, first)


def _merged_after_bulk(folder: Path, state: State, num_before: int) -> State:
    """Merge all segments where so much was added that reading the manifests took longer than that will."""
    added = len(state.order) - num_before
    if len(state.segments) == 1 or added < BULK_ROWS or added * BULK_SHARE < len(state.order):
        return state
    return _merged(folder, state, 0)


def _merged(folder: Path, state: State, first: int) -> State:
    """Write the valid rows of all segments from number `first` on as one; a batch at a time."""
    kept = state.segments[:first]
    base = sum(segment.rows for segment in kept)
    moved = state.order >= base
    rows = state.order[moved]
    if not len(rows):
        return State(segments=kept, order=state.order, parents=state.parents)
    batches = state.batches
    starts = np.cumsum([0, *(batch.num_rows for batch in batches)]).tolist()
    pieces = (
        gather(batches, starts, pa.array(rows[at : at + BATCH_ROWS].astype(np.int64)))
        for at in range(0, len(rows), BATCH_ROWS)
    )
    order = state.order.copy()
    order[moved] = np.arange(base, base + len(rows), dtype=np.uint32)
    return State(segments=(*kept, write_segment(folder, pieces)), order=order, parents=state.parents)


def _owners(state: State) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the parent's number of each place, and the places."""
    parts = [batch.column("parent").to_numpy() for batch in state.batches]
    owners = np.concatenate([*parts, np.empty(0, np.uint8)])[state.order]
    return owners, np.arange(len(owners))
