"""Building the low-dimensional view of many episodes at once, in parallel and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError
from counterpoint.engine import Engine, LocalEngine
from counterpoint.store.files.mapped import locked, remove_left_overs
from counterpoint.store.reader import Store
from counterpoint.store.views.low import LowView, merge_shards, remove_damaged, write_shards
from counterpoint.store.views.low_places import keys_of

TASK_EPISODES = 512
WAIT_S = 600.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardTask:
    """Episodes of a store that one process turns into shards."""

    store: Store
    places: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LowViewReport:
    """What `build_low_view` did."""

    built: int
    """Episodes that were added to the view."""
    there: int
    """Episodes that were already in it."""
    damaged: tuple[str, ...]
    """Ids of episodes whose master cannot be read."""


def build_low_view(
    store: Store,
    episode_ids: Iterable[str] | None = None,
    engine: Engine | None = None,
    progress: bool = False,
) -> LowViewReport:
    """Build the memory-mapped view of the episodes that have none; an interrupted build continues where it stopped.

    A process holds one shard, about 64 MB, in memory at a time. Small shards of earlier builds are merged.

    Args:
        store: whose episodes.
        episode_ids: some of them; None for all.
        engine: where the work is done; None for this process alone.
        progress: show a bar on stderr.

    Raises:
        StoreError: the store cannot be written, or another process has been building for ten minutes.
        UnknownNameError: no such episode.
    """
    view = LowView(store.root)
    with locked(view.folder, WAIT_S) as is_builder:
        if not is_builder:
            raise StoreError(f"{view.folder}: cannot be written; is the store read-only, or another process building?")
        remove_left_overs(view.folder)
        remove_damaged(view.folder)
        places = np.arange(len(store)) if episode_ids is None else store.places(episode_ids)
        pending = places[_missing(store, view, places)]
        tasks = [
            ShardTask(store=store, places=pending[first : first + TASK_EPISODES])
            for first in range(0, len(pending), TASK_EPISODES)
        ]
        damaged: list[str] = []
        for done in (engine or LocalEngine(workers=1)).run(
            build_shards, tasks, label="training view", unit="shard", progress=progress
        ):
            if done.result is None:
                raise StoreError(f"{view.folder}: building the view failed: {done.message}")
            damaged += done.result
        merge_shards(view.folder)
    built = len(pending) - len(damaged)
    return LowViewReport(built=built, there=len(places) - len(pending), damaged=tuple(sorted(damaged)))


def build_shards(task: ShardTask) -> list[str]:
    """Write the shards of one task, in a worker process; return the ids of damaged episodes."""
    store = task.store
    infos = store.at(task.places)
    return write_shards(LowView(store.root).folder, infos, store.read_master)


def _missing(store: Store, view: LowView, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    contents = store.flat()["content_sha256"]
    parts = [keys_of(chunk) for chunk in contents.chunks]
    keys = np.concatenate([*parts, np.empty(0, np.uint64)])
    return view.missing(keys[places])
