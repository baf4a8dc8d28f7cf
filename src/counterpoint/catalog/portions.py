"""Episodes of a store in portions: what one task of an engine reads, with the store opened once a process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from counterpoint.store import Store


@dataclass(frozen=True, kw_only=True)
class Portion:
    """Some episodes of a store."""

    root: Path
    run: int
    """Differs between calls: a process that outlives one must not read from the store as it was then."""
    episode_ids: tuple[str, ...]

    def store(self) -> Store:
        """Return the store, opened once for all portions of a run that this process handles."""
        return _opened(self.root, self.run)


def portions(store: Store, episode_ids: Sequence[str], size: int) -> list[Portion]:
    """Cut episodes into portions of at most `size`."""
    run = time.time_ns()
    return [
        Portion(root=store.root, run=run, episode_ids=tuple(episode_ids[first : first + size]))
        for first in range(0, len(episode_ids), size)
    ]


@lru_cache(maxsize=4)
def _opened(root: Path, run: int) -> Store:
    return Store.open(root)
