"""Statistics of the values of a robot: exact moments and approximate quantiles of each channel, in one pass.

`data` derives normalisation from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog.mixtures.quantile_sketch import QuantileSketch
from counterpoint.core.errors import StoreError
from counterpoint.store import Store

Float = NDArray[np.float64]
PROBABILITIES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamStatistics:
    """Spread of a vector stream of one robot, in physical units."""

    names: tuple[str, ...]
    """Channel names, in column order."""
    count: int
    """Samples seen."""
    mean: Float
    """[channels]."""
    std: Float
    """[channels]; 0 for a channel that never moves."""
    minimum: Float
    """[channels]."""
    maximum: Float
    """[channels]."""
    quantiles: Float
    """[len(PROBABILITIES), channels]; the rank of each is off by at most `rank_error` with 99% probability."""
    rank_error: float


class StreamAccumulator:
    """Accumulates the statistics of one stream; mergeable, so that parts can be read in parallel."""

    def __init__(self, names: Sequence[str], seed: int = 0) -> None:
        """Start empty, for channels of these names."""
        self.names = tuple(names)
        self.sketch = QuantileSketch(len(self.names), seed=seed)
        self.mean = np.zeros(len(self.names))
        self.square = np.zeros(len(self.names))
        """Sum of squared distances from the mean."""
        self.minimum = np.full(len(self.names), np.inf)
        self.maximum = np.full(len(self.names), -np.inf)

    @property
    def count(self) -> int:
        """Samples seen."""
        return self.sketch.count

    def add(self, values: NDArray[np.float32]) -> None:
        """Add rows [n, channels]."""
        if len(values):
            rows = values.astype(np.float64)
            mean = rows.mean(axis=0)
            self._merge_moments(len(rows), mean, ((rows - mean) ** 2).sum(axis=0))
            self.minimum = np.minimum(self.minimum, rows.min(axis=0))
            self.maximum = np.maximum(self.maximum, rows.max(axis=0))
            self.sketch.add(values)

    def merge(self, other: StreamAccumulator) -> None:
        """Add the samples of another accumulator."""
        if other.names != self.names:
            raise StoreError(f"expected channels {', '.join(self.names)}, got {', '.join(other.names)}")
        if other.count:
            self._merge_moments(other.count, other.mean, other.square)
            self.minimum = np.minimum(self.minimum, other.minimum)
            self.maximum = np.maximum(self.maximum, other.maximum)
            self.sketch.merge(other.sketch)

    def result(self) -> StreamStatistics:
        """Return the statistics; at least one sample must have been added."""
        assert self.count
        return StreamStatistics(
            names=self.names,
            count=self.count,
            mean=self.mean,
            std=np.sqrt(self.square / self.count),
            minimum=self.minimum,
            maximum=self.maximum,
            quantiles=self.sketch.quantiles(PROBABILITIES),
            rank_error=self.sketch.rank_error,
        )

    def _merge_moments(self, count: int, mean: Float, square: Float) -> None:
        """Combine means and squares as Chan, Golub and LeVeque do; call before the sketch takes the rows."""
        total = self.count + count
        step = mean - self.mean
        self.square = self.square + square + step**2 * (self.count * count / total)
        self.mean = self.mean + step * (count / total)


def measure_episodes(store: Store, episode_ids: Sequence[str]) -> dict[str, StreamAccumulator]:
    """Gather every vector stream of one robot's episodes, each read once.

    Streams of objects in the world (`object/...`) are left out: they belong to the task.

    Raises:
        StoreError: two episodes give a stream other channels, or one is damaged.
    """
    gathered: dict[str, StreamAccumulator] = {}
    for episode_id in episode_ids:
        for name, stream in store.low(episode_id).items():
            if stream.spec.kind != "vector" or name.startswith("object/") or not len(stream):
                continue
            known = gathered.setdefault(name, StreamAccumulator(stream.spec.channel_names))
            if known.names != stream.spec.channel_names:
                raise StoreError(
                    f"episode {episode_id}, stream {name!r}: channels {', '.join(stream.spec.channel_names)}, earlier "
                    f"episodes of its robot have {', '.join(known.names)}; name such streams differently, or describe "
                    "the robots as two"
                )
            known.add(np.asarray(stream.values, dtype=np.float32))
    return gathered


def statistics_to_dict(statistics: Mapping[str, Mapping[str, StreamStatistics]]) -> dict[str, object]:
    """Return plain JSON values."""
    robots = {
        robot: {
            name: {
                "names": list(each.names),
                "count": each.count,
                "mean": each.mean.tolist(),
                "std": each.std.tolist(),
                "minimum": each.minimum.tolist(),
                "maximum": each.maximum.tolist(),
                "quantiles": each.quantiles.tolist(),
                "rank_error": each.rank_error,
            }
            for name, each in streams.items()
        }
        for robot, streams in statistics.items()
    }
    return {"probabilities": list(PROBABILITIES), "robots": robots}


def statistics_from_dict(raw: Mapping[str, object]) -> dict[str, dict[str, StreamStatistics]]:
    """Rebuild what `statistics_to_dict` wrote; raises KeyError, TypeError or ValueError on any deviation."""
    if raw["probabilities"] != list(PROBABILITIES):
        raise ValueError(f"expected quantiles at {PROBABILITIES}, got {raw['probabilities']}")
    robots = cast(dict[str, dict[str, dict[str, object]]], raw["robots"])
    return {
        robot: {name: _stream_from_dict(each) for name, each in streams.items()} for robot, streams in robots.items()
    }


def _stream_from_dict(raw: Mapping[str, object]) -> StreamStatistics:
    names = tuple(cast(list[str], raw["names"]))
    arrays = {key: np.asarray(raw[key], np.float64) for key in ("mean", "std", "minimum", "maximum", "quantiles")}
    for key, array in arrays.items():
        expected = (len(PROBABILITIES), len(names)) if key == "quantiles" else (len(names),)
        if array.shape != expected:
            raise ValueError(f"{key}: expected shape {expected}, got {array.shape}")
    return StreamStatistics(
        names=names,
        count=int(cast(int, raw["count"])),
        rank_error=float(cast(float, raw["rank_error"])),
        **arrays,
    )
