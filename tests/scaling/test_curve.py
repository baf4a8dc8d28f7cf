"""Error against data: plans are nested, runs are recorded once, laws come out per robot."""

from dataclasses import replace
from pathlib import Path

import pytest

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import RunRecord
from counterpoint.data.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.scaling.curve import SHARED_SUBSETS, CurveConfig, distinct_amounts, fit_curve, plan_runs, run_curve
from counterpoint.store import StoreWriter
from counterpoint.train.config import DataConfig
from counterpoint.train.recipes import resolve


def test_runs_cover_amounts_and_seeds() -> None:
    runs = plan_runs(CurveConfig(training=resolve("tiny"), amounts=(1, 2, 4, 8), num_seeds=2))
    assert len({run.name for run in runs}) == 8
    assert runs[0].amount == 8


def test_too_few_amounts_are_refused() -> None:
    with pytest.raises(ConfigError, match="amounts"):
        CurveConfig(training=resolve("tiny"), amounts=(1, 2, 4))


def test_amounts_that_the_stores_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    robot = synthetic_embodiment(7)
    with StoreWriter(tmp_path / "store") as writer:
        for index in range(4):
            writer.add(synthetic_episode(robot, index, seed=1, duration_s=1.0))
    data = DataConfig(stores=(tmp_path / "store",), holdout_fraction=0.0)
    config = CurveConfig(training=replace(resolve("tiny"), data=data), amounts=(1, 2, 5, 8))
    with pytest.raises(ConfigError, match="above 5 would train on the same episodes"):
        run_curve(config, tmp_path / "study")
    assert distinct_amounts(config) == (1, 2, 5)
    assert distinct_amounts(replace(config, amounts=(1, 2, 3, 8))) == (1, 2, 3, 8)


def test_laws_are_fitted_per_robot_and_together(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    record = RunRecord(path)
    for amount in (2, 4, 8, 16, 32):
        for robot, alpha in (("ur5e", 0.5), ("panda", 0.3), ("all", 0.4)):
            error = amount**-alpha
            record.write("result", run=f"r{amount}", robot=robot, data=float(amount), hours=amount / 100, error=error)
    record.close()
    law = fit_curve(path)
    fits = law["fits"]
    assert isinstance(fits, dict)
    assert list(fits) == ["all", "panda", "ur5e"]
    fitted = fits["ur5e"]
    assert isinstance(fitted, dict)
    warnings = fitted["warnings"]
    assert isinstance(warnings, list)
    assert SHARED_SUBSETS in warnings
    params = fitted["params"]
    assert isinstance(params, dict)
    alpha_row = params["alpha"]
    assert isinstance(alpha_row, dict)
    assert alpha_row["value"] == pytest.approx(0.5, abs=0.01)
