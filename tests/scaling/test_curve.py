"""Error against data for one size: recorded once, laws by robot, amounts that are not there refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from counterpoint.core.errors import ConfigError, UnknownNameError
from counterpoint.core.records import Json
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.evaluate.offline import OfflineConfig
from counterpoint.scaling.runs.study_table import append_rows
from counterpoint.scaling.study.curve import ONE_SEED, SHARED_SUBSETS, CurveConfig, fit_curve, run_curve, usable_amounts
from counterpoint.store import StoreWriter
from counterpoint.train.config import DataConfig
from counterpoint.train.recipes import resolve


def curve(folder: Path, episodes: int, amounts: tuple[int, ...]) -> CurveConfig:
    robot = synthetic_embodiment(4)
    with StoreWriter(folder / "store") as writer:
        for index in range(episodes):
            writer.add(synthetic_episode(robot, index, seed=1, duration_s=1.5))
    data = DataConfig(stores=(folder / "store",), holdout_fraction=0.4)
    training = replace(resolve("tiny"), data=data, steps=2, batch_windows=2, threads=1)
    return CurveConfig(training=training, amounts=amounts, offline=OfflineConfig(samples=1, max_decisions=5))


def written(folder: Path, amounts: tuple[int, ...]) -> Path:
    for amount in amounts:
        rows: list[dict[str, Json]] = [
            {
                "run": f"r{amount}", "size": 1, "amount": amount, "seed": 0, "robot": robot, "data": float(amount),
                "hours": amount / 100, "error": amount**-alpha, "reverse_kl": 1.0,
            }
            for robot, alpha in (("ur5e", 0.5), ("panda", 0.3), ("all", 0.4))
        ]  # fmt: skip
        append_rows(folder, rows)
    return folder


def test_a_curve_is_measured_once(tmp_path: Path) -> None:
    config = curve(tmp_path, 12, (1, 2, 3, 4))
    told: list[tuple[int, int]] = []
    out = run_curve(config, tmp_path / "law", lambda done, total: told.append((done, total)))
    assert told[-1] == (4, 4)
    before = (out / "runs.jsonl").read_text()
    run_curve(config, out)
    assert (out / "runs.jsonl").read_text() == before
    law = fit_curve(out)
    assert len(cast("list[Json]", law["points"])) == 8
    fitted = cast("dict[str, dict[str, Json]]", law["fits"])["all"]
    assert {"params", "band", "holdout", "warnings", "law", "n_points"} <= set(fitted)
    json.dumps(law)
    with pytest.raises(ConfigError, match="other settings"):
        run_curve(replace(config, num_seeds=2), out)


def test_too_few_amounts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="amounts"):
        CurveConfig(training=resolve("tiny"), amounts=(1, 2, 4))
    with pytest.raises(ConfigError, match="4 or more amounts"):
        fit_curve(written(tmp_path, (1, 2, 4)))


def test_amounts_that_the_stores_do_not_have_are_refused(tmp_path: Path) -> None:
    config = curve(tmp_path, 12, (1, 2, 3, 50))
    with pytest.raises(ConfigError, match="exceed the"):
        run_curve(config, tmp_path / "study")
    whole = usable_amounts(config)
    assert whole[:3] == (1, 2, 3)
    assert 3 < whole[3] < 12
    assert usable_amounts(replace(config, amounts=(1, 2, 3, 40, 50))) == whole


def test_laws_are_fitted_per_robot_and_together(tmp_path: Path) -> None:
    law = fit_curve(written(tmp_path, (2, 4, 8, 16, 32)))
    fits = cast("dict[str, dict[str, Json]]", law["fits"])
    assert list(fits) == ["all", "panda", "ur5e"]
    warnings = cast("list[str]", fits["ur5e"]["warnings"])
    assert SHARED_SUBSETS in warnings
    assert ONE_SEED in warnings
    alpha = cast("dict[str, dict[str, float]]", fits["ur5e"]["params"])["alpha"]
    assert alpha["value"] == pytest.approx(0.5, abs=0.01)
    check = cast("dict[str, float]", fits["all"]["holdout"])
    assert check["predicted"] == pytest.approx(check["observed"], rel=0.01)
    with pytest.raises(UnknownNameError, match="power"):
        fit_curve(tmp_path, "powr")  # type: ignore[arg-type]  # the mistake under test
