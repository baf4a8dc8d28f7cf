"""Statistics of features for LeRobot datasets: per episode, and merged over all episodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
SAMPLED_ROWS = 256
"""Evenly spaced rows of each episode that go into the merged quantiles."""

Values = dict[str, NDArray[np.float64]]


def describe(values: NDArray[np.generic]) -> Values:
    """Return min, max, mean, std, count and quantiles over the first axis of [rows, ...]."""
    wide = values.astype(np.float64)
    quantiles = np.quantile(wide, list(QUANTILES.values()), axis=0)
    return {
        "min": wide.min(axis=0),
        "max": wide.max(axis=0),
        "mean": wide.mean(axis=0),
        "std": wide.std(axis=0),
        "count": np.asarray([len(wide)], dtype=np.float64),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


def describe_pixels(frames: NDArray[np.uint8]) -> Values:
    """Return the same statistics of uint8 [frames, height, width, 3], scaled to 0..1, each of shape (3, 1, 1)."""
    colours = frames.reshape(-1, 3).astype(np.float32) / 255
    found = describe(colours)
    shaped = {name: each.reshape(3, 1, 1) for name, each in found.items() if name != "count"}
    return {**shaped, "count": np.asarray([len(frames)], dtype=np.float64)}


class Merged:
    """Statistics of a feature over all episodes; moments are exact, quantiles use evenly spaced rows."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._count = 0.0
        self._mean = self._square = self._low = self._high = np.zeros(())
        self._sampled: list[NDArray[np.float64]] = []
        self._quantiles: list[tuple[float, Values]] = []

    def add(self, found: Values, rows: NDArray[np.generic] | None = None) -> None:
        """Add an episode's statistics, and its rows, from which quantiles are drawn."""
        count = float(found["count"][0])
        if not self._count:
            self._mean, self._square = np.zeros_like(found["mean"]), np.zeros_like(found["mean"])
            self._low, self._high = found["min"], found["max"]
        total = self._count + count
        step = found["mean"] - self._mean
        self._square = self._square + count * found["std"] ** 2 + step**2 * self._count * count / total
        self._mean = self._mean + step * count / total
        self._low, self._high = np.minimum(self._low, found["min"]), np.maximum(self._high, found["max"])
        self._count = total
        if rows is None:
            self._quantiles.append((count, found))
        else:
            places = np.linspace(0, len(rows) - 1, min(len(rows), SAMPLED_ROWS)).astype(np.int64)
            self._sampled.append(rows[places].astype(np.float64))

    def result(self) -> Values:
        """Return the merged statistics."""
        return {
            "min": self._low,
            "max": self._high,
            "mean": self._mean,
            "std": np.sqrt(self._square / max(self._count, 1.0)),
            "count": np.asarray([self._count]),
            **self._merged_quantiles(),
        }

    def _merged_quantiles(self) -> Values:
        if self._sampled:
            found = np.quantile(np.concatenate(self._sampled), list(QUANTILES.values()), axis=0)
            return dict(zip(QUANTILES, found, strict=True))
        weights = np.asarray([count for count, _ in self._quantiles])
        return {
            name: np.average(np.stack([values[name] for _, values in self._quantiles]), axis=0, weights=weights)
            for name in QUANTILES
        }


def as_lists(found: Mapping[str, NDArray[np.float64]]) -> dict[str, object]:
    """Return plain JSON values; counts as integers."""
    return {name: [int(values[0])] if name == "count" else values.tolist() for name, values in found.items()}
