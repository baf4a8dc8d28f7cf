"""What one more percent costs: hours of robot data, or hours of the training device, along the law.

At a size N and an amount D the error falls by s_D = -d ln L / d ln D for more data, s_N = -d ln L / d ln N for a
larger model. One percent of the error is then bought by 0.01 D / s_D of new data (and the training on it), or by
0.01 N / s_N more parameters, which cost training on all of D. Units of money come later: prices are the reader's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterpoint.core.records import Json
from counterpoint.scaling.fitting.bootstrap import ends
from counterpoint.scaling.fitting.estimate import Estimate
from counterpoint.scaling.laws.forms import Float, axes
from counterpoint.scaling.runs.cost import gpu_hours_per_data

_STEP = 0.01
"""Of ln N and ln D, for slopes."""


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """What one percent of the error costs along the amount of data, at one size."""

    size: float | None
    data: tuple[float, ...]
    """Amounts of data."""
    slope: tuple[tuple[float, float, float], ...]
    """-d ln L / d ln D: law, low, high (95%)."""
    size_slope: tuple[tuple[float, float, float], ...] | None
    """-d ln L / d ln N."""
    gpu_hours: float | None
    """Hours of training for each unit of data at this size; None where the runs do not say."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "size": self.size,
            "data": [*self.data],
            "slope": [[*each] for each in self.slope],
            "size_slope": None if self.size_slope is None else [[*each] for each in self.size_slope],
            "gpu_hours_per_data": self.gpu_hours,
        }


def marginal(found: Estimate, size: float | None, data: Float) -> Marginal:
    """Return slopes of the law at `data` [points] and one size, with intervals from redrawn runs."""
    by_data = _slopes(found, size, data, 0.0, _STEP)
    uses = found.law.uses_size and size is not None
    return Marginal(
        size=size if uses else None,
        data=tuple(data.tolist()),
        slope=by_data,
        size_slope=_slopes(found, size, data, _STEP, 0.0) if uses else None,
        gpu_hours=gpu_hours_per_data(found.table, size if uses else None),
    )


def doubling(found: Estimate, size: float | None, data: float) -> tuple[float, float, float]:
    """Return by which share the law's error falls from half of `data` to all of it, with its 95% interval."""
    x = axes(np.asarray([data / 2, data]), None if size is None else np.full(2, size), None, found.reference)

    def gain(vector: Float) -> float:
        less, all_of_it = found.law.log_error(vector, x)[0]
        return float(-np.expm1(all_of_it - less))

    value = gain(found.vector)
    return (value, *_ends(found, np.asarray([[gain(vector)] for vector in found.draws]), np.asarray([value]))[0])


def _slopes(
    found: Estimate, size: float | None, data: Float, by_size: float, by_data: float
) -> tuple[tuple[float, float, float], ...]:
    step = by_size + by_data

    def at(factor: float) -> tuple[Float, Float | None]:
        sizes = None if size is None else np.full(len(data), size * np.exp(factor * by_size / 2))
        return data * np.exp(factor * by_data / 2), sizes

    before, after = (axes(*at(factor), None, found.reference) for factor in (-1.0, 1.0))

    def slope(vector: Float) -> Float:
        return np.asarray((found.law.log_error(vector, before)[0] - found.law.log_error(vector, after)[0]) / step)

    own = slope(found.vector)
    spans = _ends(found, np.stack([slope(vector) for vector in found.draws]), own)
    return tuple((value, *span) for value, span in zip(own.tolist(), spans, strict=True))


def _ends(found: Estimate, drawn: Float, value: Float) -> list[tuple[float, float]]:
    """Return the 95% interval of each column of [draws, columns]."""
    low, high = ends(drawn, value, 0.95, len(np.unique(found.table.run)), len(found.vector))
    return list(zip(low.tolist(), high.tolist(), strict=True))
