"""Error against data: plans are nested, runs are recorded once, laws come out per robot."""

from pathlib import Path

import pytest

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import RunRecord
from counterpoint.scaling.curve import CurveConfig, fit_curve, plan_runs
from counterpoint.train.recipes import resolve


def test_runs_cover_amounts_and_seeds() -> None:
    runs = plan_runs(CurveConfig(training=resolve("tiny"), amounts=(1, 2, 4, 8), num_seeds=2))
    assert len({run.name for run in runs}) == 8
    assert runs[0].amount == 8


def test_too_few_amounts_are_refused() -> None:
    with pytest.raises(ConfigError, match="amounts"):
        CurveConfig(training=resolve("tiny"), amounts=(1, 2, 4))


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
    params = fitted["params"]
    assert isinstance(params, dict)
    alpha_row = params["alpha"]
    assert isinstance(alpha_row, dict)
    assert alpha_row["value"] == pytest.approx(0.5, abs=0.01)
