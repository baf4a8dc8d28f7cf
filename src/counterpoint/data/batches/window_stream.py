"""Windows in order, one after another: which positions a reader takes, and where it can go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    from counterpoint.data.batches.dataset import WindowDataset
    from counterpoint.data.batches.stream_window import StreamWindow


@dataclass(frozen=True, kw_only=True)
class StreamState:
    """All that it takes to go on: two numbers."""

    seed: int
    position: int
    """Nothing at or after it has been handed out by this reader."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Which positions a reader takes: those that leave the remainder rank + world * worker by world * workers.

    A rank's workers together take what the rank would take alone, and take turns doing so; the ranks together
    take every position once. A run that stopped at a position may go on from it with another world.

    Raises:
        ConfigError: a number is out of range.
    """

    rank: int = 0
    world: int = 1
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        """Check ranges."""
        if not (0 <= self.rank < self.world and 0 <= self.worker < self.workers):
            raise ConfigError(
                f"shard: expected rank below world and worker below workers, from 0; got rank {self.rank} of "
                f"{self.world}, worker {self.worker} of {self.workers}"
            )

    @property
    def stride(self) -> int:
        """From one position of this reader to its next."""
        return self.world * self.workers

    def first(self, start: int) -> int:
        """Return this reader's first position at or after `start`."""
        remainder = self.rank + self.world * self.worker
        return start + (remainder - start) % self.stride


class WindowStream(Iterator["StreamWindow"]):
    """Windows at this reader's positions, without end, made in this process."""

    def __init__(self, dataset: WindowDataset, seed: int, start: int, shard: Shard) -> None:
        """Use `WindowDataset.stream`."""
        if start < 0:
            raise ConfigError(f"start: expected a position from 0 up, got {start}")
        self._dataset = dataset
        self._order = dataset.order(seed)
        self._seed = seed
        self._shard = shard
        self._position = shard.first(start)

    @property
    def state(self) -> StreamState:
        """Where to go on: `dataset.stream(state.seed, start=state.position, ...)`."""
        return StreamState(seed=self._seed, position=self._position)

    def __next__(self) -> StreamWindow:
        """Return the next window.

        Raises:
            StoreError: an episode is damaged; asking again gives the window after it.
        """
        position = self._position
        self._position += self._shard.stride
        return self._dataset.window(self._order[position], position=position)
