"""Plans: steps follow the rule and the budget, power agrees with a direct simulation, bad input is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.scaling.fitting.estimate import estimate
from counterpoint.scaling.runs.table import RunTable
from counterpoint.scaling.study.definition import Study, StudyAmount
from counterpoint.scaling.study.plan import cost, with_steps
from counterpoint.scaling.study.power import Assumption, power_analysis
from counterpoint.scaling.study.timing import describe_size
from counterpoint.store import StoreWriter
from counterpoint.train.recipes import resolve


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "store"
    with StoreWriter(root) as writer:
        for index in range(20):
            writer.add(synthetic_episode(synthetic_embodiment(3), index, seed=2, duration_s=1.2))
    return root


def words(store: Path, out: Path, **changes: str) -> list[str]:
    given = {
        "data": str(store), "recipe": "tiny", "budget-hours": "0.02", "sizes": "3e3 1e4", "amounts": "1 2 4 8",
        "seeds": "1", "floor-steps": "2", "validation": "0.2", "data.holdout_fraction": "0.2", "batch_windows": "2",
        "decisions": "4", "workers": "1", "out": str(out),
    } | {key.replace("_", "-"): value for key, value in changes.items()}  # fmt: skip
    return ["scale", "plan", "--json", *(word for key, value in given.items() for word in (f"--{key}", *value.split()))]


def test_a_plan_uses_its_budget_and_says_what_it_cannot_tell(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(store, tmp_path / "study")) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["runs"], plan["held_out_runs"]) == (8, 5)
    assert 0 < plan["hours"] <= 0.02
    assert plan["flops"] > 0
    said = " ".join(plan["warnings"])
    for warning in ("Only 4 amounts", "Only 8.0x", "one seed", "too few for a law of size"):
        assert warning in said
    assert main(words(store, tmp_path / "study")) == 2
    assert "holds a study already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"recipe": "tinny"}, "tiny"),
        ({"amounts": "1 2 4 800"}, "exceed what is available"),
        ({"amounts": "1 2 4 5.5"}, "whole numbers"),
        ({"budget_hours": "0"}, "more than 0"),
        ({"budget_hours": "0.0001"}, "too small for this study"),
        ({"sizes": "9e3 9.1e3"}, "9000 and 9100 give the same model"),
        ({"data": "nowhere"}, "nowhere"),
        ({"budget_flops": "1e12"}, "one budget"),
        ({"check_training": "1"}, "--check-training: expected more than 1"),
    ],
)
def test_bad_plans_are_refused(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], expected: str
) -> None:
    assert main(words(store, tmp_path / "study", **changes)) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_an_empty_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StoreWriter(tmp_path / "empty"):
        pass
    assert main(words(tmp_path / "empty", tmp_path / "study")) == 2
    assert "no episode" in capsys.readouterr().err


def grid(seeds: int = 2) -> Study:
    base = resolve("tiny")
    sizes = tuple(
        replace(describe_size(base, base.model), size=size, step_s=size * 1e-7, step_flops=6.0 * size)
        for size in (30_000, 100_000, 300_000, 1_000_000)
    )
    amounts = tuple(StudyAmount(amount=amount, steps=1) for amount in (6, 12, 25, 50, 100, 200))
    return Study(recipe="tiny", training=base, sizes=sizes, amounts=amounts, num_seeds=seeds, holdout="top")


def test_steps_follow_data_above_a_floor() -> None:
    study = with_steps(grid(), 2000, 200, (0.5, 1.0, 2.0))
    assert [one.steps for one in study.amounts] == [200, 200, 250, 500, 1000, 2000]
    assert study.search is not None
    assert study.search.amount == 25
    assert study.search.seed not in {run.seed for run in study.runs()}
    assert sum(run.held_out for run in study.runs()) == 2 * (4 + 5)
    seconds, flops = cost(study, workers=1)
    half, same = cost(study, workers=2)
    assert half == pytest.approx(seconds / 2)
    sweep = 2 * 4150 * 1_430_000 + 3 * 250 * 1_430_000
    assert flops == same == pytest.approx(6 * sweep)


def test_power_agrees_with_a_direct_simulation() -> None:
    assumed, study = Assumption(noise=0.02), grid()
    runs = study.runs()
    size = np.asarray([float(study.sizes[run.size].size) for run in runs])
    data = np.asarray([study.amounts[run.amount].amount for run in runs])
    held = np.asarray([run.held_out for run in runs])
    power = power_analysis(size, data, held, assumed, worlds=100)
    middle = np.exp(np.log(size).mean()), np.exp(np.log(data).mean())
    truth = assumed.floor + assumed.size_term * (size / middle[0]) ** -assumed.alpha
    truth = truth + assumed.data_term * (data / middle[1]) ** -assumed.beta
    rng = np.random.default_rng(1)
    betas, near = [], []
    for _ in range(24):
        loss = truth * np.exp(rng.normal(0, assumed.noise, len(truth)))
        names = np.asarray([run.name for run in runs])
        table = RunTable(
            path="made", data=data, loss=loss, size=size, unique=None, run=names, columns={}, others={}
        )  # fmt: skip
        found = estimate(table.take(~held), "additive", delta=0.027, draws=0, with_profiles=False)
        betas.append(found.parameters["beta"].value)
        near.append(np.abs(np.exp(found.log_error(data[held], size[held])) / loss[held] - 1).mean() <= 0.05)
    low, high = np.quantile(betas, [0.16, 0.84])
    assert power.law == "additive"
    assert power.standard_errors["beta"] == pytest.approx((high - low) / 2, rel=0.5)
    assert power.verified == pytest.approx(np.mean(near), abs=0.25)
    assert power.truth == pytest.approx({"E": 0.05, "alpha": 0.3, "beta": 0.4})
    loud = power_analysis(size, data, held, replace(assumed, noise=0.2), worlds=60)
    assert loud.standard_errors["beta"] > 3 * power.standard_errors["beta"]
    assert loud.excludes_zero["beta"] < power.excludes_zero["beta"]


def test_too_few_runs_carry_no_law() -> None:
    data = np.asarray([1.0, 2.0, 4.0])
    with pytest.raises(ConfigError, match="too few for a law"):
        power_analysis(np.full(3, 1e4), data, data == 4.0, Assumption())
    with pytest.raises(ConfigError, match="above 0"):
        Assumption(noise=0.0)


def test_a_floor_of_zero_is_not_taken_for_known() -> None:
    data = np.geomspace(1, 100, 6).repeat(2)
    none = Assumption(floor=0.0, size_term=0.0, data_term=0.3, beta=0.4, noise=0.05)
    power = power_analysis(np.full(len(data), 1e4), data, np.zeros(len(data), dtype=np.bool_), none, worlds=60)
    assert power.standard_errors["E"] > 0.005
    assert power.standard_errors["alpha"] > 0.015  # 0.010 where every fit stays without a floor


def test_longer_runs_are_planned_and_paid_for() -> None:
    study = with_steps(replace(grid(), longer=2.0), 2000, 200, ())
    checked = study.checked_runs()
    assert [(study.sizes[run.size].size, study.amounts[run.amount].amount) for run in checked] == [
        (study.sizes[0].size, 100),
        (study.sizes[-2].size, 100),
    ]
    assert not any(run.held_out for run in checked)
    assert [study.longer_steps(run) for run in checked] == [2000, 2000]
    without = cost(replace(study, longer=0.0), 1)
    assert cost(study, 1)[1] - without[1] == pytest.approx(
        2000 * sum(study.sizes[run.size].step_flops for run in checked)
    )
    alone = replace(study, sizes=study.sizes[:1], holdout="none")
    assert [run.amount for run in alone.checked_runs()] == [len(study.amounts) - 1]
    with pytest.raises(ConfigError, match="more than 1"):
        replace(study, longer=0.5)
