"""In which order windows come: pure functions of (seed, position), any of which can be asked first.

- `EpochOrder`: each epoch visits every window once, in a keyed permutation of its own.
- `BlockOrder`: the same, but blocks of windows (the shards they lie in) are shuffled, and windows only within a
  pool of a few blocks: from object storage each shard is then fetched about once an epoch.
- `MixtureOrder`: windows are drawn with replacement, a part by weight, then a window of the part.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Protocol

from counterpoint.core.errors import ConfigError
from counterpoint.core.seeding import stable_hash
from counterpoint.data.batches.permutation import KeyedPermutation, mixed


class WindowOrder(Protocol):
    """Which window stands at each position, from 0 without end."""

    def __getitem__(self, position: int) -> int:
        """Return the number of the window; raises IndexError for a negative position."""
        ...


class EpochOrder:
    """Every window once an epoch; position // num_windows is the epoch."""

    def __init__(self, num_windows: int, seed: int) -> None:
        """Keep the choice; raises ConfigError where there is no window."""
        _check_some(num_windows)
        self.num_windows = num_windows
        self._permutation = lru_cache(maxsize=4)(lambda epoch: KeyedPermutation(num_windows, seed, "epoch", epoch))

    def __getitem__(self, position: int) -> int:
        """Return the number of the window; raises IndexError for a negative position."""
        _check_position(position)
        epoch, place = divmod(position, self.num_windows)
        return self._permutation(epoch)[place]


class BlockOrder:
    """Every window once an epoch, a pool of blocks at a time."""

    def __init__(self, blocks: Sequence[tuple[int, int]], seed: int, pool: int = 4) -> None:
        """Shuffle `blocks`, ranges [first, last) of window numbers, and the windows of `pool` blocks together.

        Raises:
            ConfigError: no windows, or no blocks in a pool.
        """
        self._blocks = [block for block in blocks if block[1] > block[0]]
        self.num_windows = sum(last - first for first, last in self._blocks)
        _check_some(self.num_windows)
        if pool < 1:
            raise ConfigError(f"pool: expected at least one block, got {pool}")
        self._pool = pool
        self._seed = seed
        self._plan = lru_cache(maxsize=4)(self._planned)
        self._permutation = lru_cache(maxsize=8)(self._permuted)

    def __getitem__(self, position: int) -> int:
        """Return the number of the window; raises IndexError for a negative position."""
        _check_position(position)
        epoch, place = divmod(position, self.num_windows)
        blocks, ends = self._plan(epoch)
        number = bisect_right(ends, place)  # the pool
        start = ends[number - 1] if number else 0
        place = self._permutation(epoch, number, ends[number] - start)[place - start]
        for first, last in blocks[number * self._pool : (number + 1) * self._pool]:
            if place < last - first:
                return first + place
            place -= last - first
        raise AssertionError("pools hold all windows")

    def _planned(self, epoch: int) -> tuple[list[tuple[int, int]], list[int]]:
        """Return the blocks in the epoch's order, and where each pool ends."""
        count = len(self._blocks)
        order = KeyedPermutation(count, self._seed, "blocks", epoch)
        blocks = [self._blocks[order[place]] for place in range(count)]
        sizes = [
            sum(last - first for first, last in blocks[at : at + self._pool]) for at in range(0, count, self._pool)
        ]
        return blocks, list(accumulate(sizes))

    def _permuted(self, epoch: int, pool: int, size: int) -> KeyedPermutation:
        return KeyedPermutation(size, self._seed, "pool", epoch, pool)


class MixtureOrder:
    """A part by weight, then one of its windows, with replacement."""

    def __init__(self, parts: Sequence[tuple[float, int, int]], seed: int) -> None:
        """Keep (weight, first window, number of windows) of each part; weights need not sum to one.

        Raises:
            ConfigError: a weight is negative, none is positive, or a part with weight has no window.
        """
        weights = [weight for weight, _, _ in parts]
        if not parts or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
            raise ConfigError(f"mixture: expected weights from 0 up, one of them positive; got {weights}")
        for weight, first, count in parts:
            if weight > 0 and count < 1:
                raise ConfigError(f"mixture: a part with weight {weight} has no window (windows from {first} on)")
        self._parts = [(first, count) for weight, first, count in parts if weight > 0]
        total = sum(weights)
        self._shares = list(accumulate(weight / total for weight in weights if weight > 0))[:-1]
        self._key = stable_hash("mixture", seed)

    def __getitem__(self, position: int) -> int:
        """Return the number of the window; raises IndexError for a negative position."""
        _check_position(position)
        first, count = self._parts[bisect_right(self._shares, mixed(self._key, position, 0) / 2**64)]
        return first + mixed(self._key, position, 1) % count


def _check_some(num_windows: int) -> None:
    if num_windows < 1:
        raise ConfigError("dataset: no windows; choose other episodes, or shorter windows")


def _check_position(position: int) -> None:
    if position < 0:
        raise IndexError(f"position {position}; positions start at 0")
