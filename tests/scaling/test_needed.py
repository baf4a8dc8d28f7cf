"""What few runs say of the data an error needs: Fieller's interval for a power law, the like for any other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from counterpoint.scaling.decisions.forecast import Forecast, forecast
from counterpoint.scaling.decisions.needed import needed_span
from counterpoint.scaling.fitting.estimate import Estimate, estimate
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.runs.table import RunTable

AMOUNTS = np.asarray([1, 2, 4, 8, 16, 32], dtype=np.float64)


def runs_of(data: NDArray[np.float64], loss: NDArray[np.float64]) -> RunTable:
    names = np.arange(len(data)).astype(np.str_)
    return RunTable(path="runs", data=data, loss=loss, size=None, unique=None, run=names, columns={}, others={})


def like_robot_imitation(scatter: float = 0.5166) -> RunTable:
    """Return errors at 1 to 32 pairs that reach 0.01 at 1,191 by least squares; the scatter in units of the slope."""
    x = np.log(AMOUNTS)
    alpha = math.log(8) / math.log(1191 / 32)
    design = np.stack([np.ones(6), x], axis=1)
    noise = np.random.default_rng(3).normal(size=6)
    noise -= design @ np.linalg.lstsq(design, noise, rcond=None)[0]
    noise *= scatter * alpha * math.sqrt(4 / float(noise @ noise))
    return runs_of(AMOUNTS, np.exp(math.log(0.01) + alpha * math.log(1191) - alpha * x + noise))


def foretold(found: Estimate, target: str) -> Forecast:
    return forecast(FitRecord(estimate=found, holdout=None, warnings=(), compared={}), target)


def fieller(table: RunTable, target: float, level: float) -> tuple[float, float]:
    x, y, count = np.log(table.data), np.log(table.loss), len(table)
    slope, intercept = np.polyfit(x, y, 1)
    rest = y - intercept - slope * x
    variance = float(rest @ rest) / (count - 2) * student.ppf((1 + level) / 2, count - 2) ** 2
    spread, wanted = float(((x - x.mean()) ** 2).sum()), math.log(target)
    a = slope**2 - variance / spread
    b = slope * (y.mean() - wanted)
    c = (y.mean() - wanted) ** 2 - variance / count
    ends = (-b + np.asarray([-1, 1]) * math.sqrt(b * b - a * c)) / a + x.mean()
    return float(np.exp(ends[0])), float(np.exp(ends[1]))


def test_six_runs_give_the_published_interval_of_robot_imitation() -> None:
    found = foretold(estimate(like_robot_imitation(), "power", draws=40), "0.01")
    assert found.data == pytest.approx(1191, rel=1e-4)
    assert found.data95 == pytest.approx((190, 239_000), rel=0.01)
    assert found.data95 == pytest.approx(fieller(like_robot_imitation(), 0.01, 0.95), rel=0.01)
    assert found.data80 == pytest.approx(fieller(like_robot_imitation(), 0.01, 0.8), rel=0.01)


def test_no_amount_is_enough_where_the_slope_may_be_none() -> None:
    found = foretold(estimate(like_robot_imitation(1.6), "power", draws=40), "0.01")
    assert found.data95 is not None
    assert found.data95[1] == math.inf
    assert 1 < found.data95[0] < 1191


def test_a_law_with_a_floor_has_such_an_interval_too() -> None:
    data = np.geomspace(1, 100, 8)
    loss = (0.05 + 0.9 * data**-0.6) * np.exp(np.random.default_rng(0).normal(0, 0.02, 8))
    table = runs_of(data, loss)
    bent = estimate(table, "power_floor", draws=20, with_profiles=False)
    now = float(np.exp(bent.log_error(np.asarray([100.0])))[0])
    wanted = 0.9 * now
    found = foretold(bent, f"{wanted}")
    assert found.data is not None
    assert found.data95 is not None
    truth = (0.9 / (wanted - 0.05)) ** (1 / 0.6)
    assert found.data95[0] < truth < found.data95[1]
    held = needed_span(bent, found.data, wanted, None, 0.8)
    assert found.data95[0] < held[0] < found.data < held[1] < found.data95[1]


def test_of_few_runs_the_fit_is_least_squares_unless_one_stands_out() -> None:
    table = like_robot_imitation()
    found = estimate(table, "power", draws=40)
    slope, _ = np.polyfit(np.log(table.data), np.log(table.loss), 1)
    assert found.parameters["alpha"].value == pytest.approx(-slope, rel=1e-6)
    noise = np.random.default_rng(1).normal(0, 0.01, 6)
    noise[0] += 1.0
    spoilt = estimate(runs_of(AMOUNTS, np.exp(-0.5 * np.log(AMOUNTS) + noise)), "power", draws=0)
    assert spoilt.parameters["alpha"].value == pytest.approx(0.5, abs=0.03)  # 0.70 by least squares


def test_of_few_runs_what_is_positive_has_positive_intervals() -> None:
    found = estimate(like_robot_imitation(), "power_floor", draws=60).parameters
    assert found["E"].ci95[0] >= 0
    assert 0 < found["A"].ci95[0] < found["A"].value < found["A"].ci95[1]
