"""Quantiles of long columns in bounded memory: a mergeable compactor sketch after KLL.

Level h holds rows that each stand for 2^h samples. A full level is sorted column by column, every other
row is dropped (odd or even by chance) and the rest moves one level up:

    level 0  . . . . . . . .   weight 1
    level 1  . . . .           weight 2
    level 2  . . .             weight 4

Karnin, Lang, Liberty: Optimal Quantile Approximation in Streams, 2016 (arXiv 1603.05346); here all levels
have one capacity, which is simpler and costs a logarithm of memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.seeding import generator

CAPACITY = 2048
"""Half the rows that fill a level; the standard deviation of a rank is at most 0.71 / CAPACITY of the count."""


class QuantileSketch:
    """Quantiles of `channels` columns that are always added together."""

    def __init__(self, channels: int, *, capacity: int = CAPACITY, seed: int = 0) -> None:
        """Start empty; `seed` decides which halves are dropped."""
        self.channels = channels
        self.capacity = capacity
        self.count = 0
        """Rows seen."""
        self._levels: list[list[NDArray[np.float32]]] = [[]]
        self._rng = generator(seed, "quantile sketch")

    @property
    def rank_error(self) -> float:
        """Bound on a quantile's error in rank, as a share of the count, that holds with 99% probability.

        A compaction at level h moves a rank by at most 2^h up or down with equal chance, and there are
        count / (2 capacity 2^h) of them; the variances sum to at most (count / capacity)^2 / 2.
        """
        return 0.0 if len(self._levels) == 1 else 2.58 / 2**0.5 / self.capacity

    def add(self, values: NDArray[np.float32]) -> None:
        """Add rows [n, channels] of finite numbers."""
        for start in range(0, len(values), self.capacity):
            piece = np.array(values[start : start + self.capacity], dtype=np.float32)
            self.count += len(piece)
            self._levels[0].append(piece)
            self._compact()

    def merge(self, other: QuantileSketch) -> None:
        """Add the rows of another sketch with as many channels."""
        self.count += other.count
        for height, pieces in enumerate(other._levels):
            while len(self._levels) <= height:
                self._levels.append([])
            self._levels[height].extend(pieces)
        self._compact()

    def quantiles(self, probabilities: Sequence[float]) -> NDArray[np.float64]:
        """Return [len(probabilities), channels]: the smallest kept value with that share at or below it."""
        rows = [piece for level in self._levels for piece in level]
        weights = [np.full(len(piece), 2.0**h) for h, level in enumerate(self._levels) for piece in level]
        values, weight = np.concatenate(rows), np.concatenate(weights)
        order = np.argsort(values, axis=0, kind="stable")
        cumulated = np.cumsum(weight[order], axis=0)
        found = np.empty((len(probabilities), self.channels))
        for column in range(self.channels):
            wanted = np.asarray(probabilities) * cumulated[-1, column]
            places = np.searchsorted(cumulated[:, column], wanted, side="left")
            found[:, column] = values[order[places, column], column]
        return found

    def _compact(self) -> None:
        height = 0
        while height < len(self._levels):
            pieces = self._levels[height]
            if sum(map(len, pieces)) >= 2 * self.capacity:
                rows = np.sort(np.concatenate(pieces), axis=0)
                odd = rows[len(rows) - 1 :] if len(rows) % 2 else rows[:0]
                even = rows[: len(rows) - len(odd)]
                if height + 1 == len(self._levels):
                    self._levels.append([])
                self._levels[height] = [odd] if len(odd) else []
                self._levels[height + 1].append(even[int(self._rng.integers(2)) :: 2])
            height += 1
