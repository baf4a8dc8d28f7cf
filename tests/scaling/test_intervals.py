"""Intervals: the same for any number of processes; floors may be none; profiles close where they can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted_laws import to_vector

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.decisions.marginal import doubling, marginal
from counterpoint.scaling.fitting.bootstrap import expanded, interval
from counterpoint.scaling.fitting.choose import fit_law
from counterpoint.scaling.fitting.estimate import estimate, runs_off
from counterpoint.scaling.fitting.holdout import most_expensive, score, try_score
from counterpoint.scaling.fitting.profile import profile
from counterpoint.scaling.fitting.sensitivity import sensitivity
from counterpoint.scaling.laws.forms import axes
from counterpoint.scaling.laws.known import FORMS
from counterpoint.scaling.runs.table import RunTable

PARAMETERS = {
    "power": {"A": 5.0, "alpha": 0.4},
    "power_floor": {"E": 0.2, "A": 3.0, "alpha": 0.5},
    "additive": {"E": 0.1, "A": 60.0, "B": 0.9, "alpha": 0.45, "beta": 0.35},
    "kaplan": {"A": 3e4, "B": 4.0, "alpha": 0.3, "beta": 0.4},
    "joint": {"E": 0.1, "A": 60.0, "B": 0.9, "alpha": 0.45, "beta": 0.35, "gamma": 0.6},
    "broken": {"E": 0.05, "A": 1.0, "alpha": 0.1, "beta": 0.5, "D_1": 30.0, "gamma": 0.2},
    "repetition": {"E": 0.1, "A": 60.0, "B": 0.9, "alpha": 0.45, "beta": 0.35, "R_D": 6.0, "R_N": 8.0},
}


def planted(name: str, noise: float = 0.004, seed: int = 0) -> RunTable:
    """Return a grid of runs of a law with known parameters."""
    rng = np.random.default_rng(seed)
    law = FORMS[name]
    data = np.tile(np.repeat(np.geomspace(1, 1000, 12), 2), 6 if law.uses_size else 2)
    size = np.repeat(np.geomspace(1e4, 1e7, 6), 24) if law.uses_size else None
    unique = np.minimum(data, rng.choice([20.0, 100.0, 1000.0], len(data))) if name == "repetition" else None
    x = axes(data, size, unique)
    vector = to_vector(law, PARAMETERS[name], x.reference)
    loss = np.exp(law.log_error(vector, x)[0] + rng.normal(0, noise, len(data)))
    runs = np.arange(len(data)).astype(np.str_)
    return RunTable(path="runs", data=data, loss=loss, size=size, unique=unique, run=runs, columns={}, others={})


@pytest.mark.parametrize("name", list(FORMS))
def test_the_profile_of_every_parameter_holds_its_value(name: str) -> None:
    table = planted(name)
    found = estimate(table, name, draws=0, with_profiles=False)
    for parameter, truth in PARAMETERS[name].items():
        bounds = profile(found.law, found.vector, parameter, table.axes(), table.log_loss, found.delta, 0.05)
        value = found.parameters[parameter].value
        assert bounds.low <= value * (1 + 1e-6)
        assert value <= bounds.high * (1 + 1e-6)
        assert bounds.low / 1.3 <= truth <= bounds.high * 1.3
        if name in ("power", "power_floor", "additive", "kaplan"):
            assert bounds.identified


def test_processes_change_nothing() -> None:
    table = planted("power_floor", 0.02)
    told: list[int] = []
    alone = estimate(table, "power_floor", draws=45, with_profiles=False, on_draw=lambda: told.append(1))
    together = estimate(table, "power_floor", draws=45, with_profiles=False, workers=2)
    chosen = estimate(table, "power_floor", draws=45, with_profiles=False, workers=None)
    assert len(told) == len(alone.draws) == 45
    np.testing.assert_array_equal(alone.draws, together.draws)
    np.testing.assert_array_equal(alone.draws, chosen.draws)


def test_an_estimate_without_floor_still_says_how_high_one_may_be() -> None:
    rng = np.random.default_rng(3)
    data = np.geomspace(1, 100, 7).repeat(2)
    loss = data**-0.3 * np.exp(rng.normal(0, 0.03, len(data)))
    runs = np.arange(len(data)).astype(np.str_)
    table = RunTable(path="runs", data=data, loss=loss, size=None, unique=None, run=runs, columns={}, others={})
    floors = []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(0, 0.03, len(data))
        again = RunTable(**{**vars(table), "loss": data**-0.3 * np.exp(noise)})
        found = estimate(again, "power_floor", draws=60)
        floors.append(found.parameters["E"])
    none = [each for each in floors if each.value < 1e-3]
    assert none  # about half of such worlds
    assert all(each.ci95[1] > 0.005 for each in none)
    assert all(0.005 < each.profile95[1] < loss.min() for each in none)


def test_profiles_of_exponents_weigh_a_floor_where_the_optimum_has_none() -> None:
    data = np.geomspace(1, 100, 8).repeat(2)
    loss = data**-0.4 * np.exp(np.random.default_rng(0).normal(0, 0.03, len(data)))
    runs = np.arange(len(data)).astype(np.str_)
    table = RunTable(path="runs", data=data, loss=loss, size=None, unique=None, run=runs, columns={}, others={})
    found = estimate(table, "power_floor", delta=0.04, draws=30).parameters
    assert found["E"].value < 1e-9
    assert found["alpha"].profile95[1] == pytest.approx(0.434, abs=0.003)  # 0.418 where the floor stays at 0


def test_profiles_of_few_points_are_t_intervals() -> None:
    inside = []
    data, runs = np.geomspace(1, 100, 7), np.arange(7).astype(np.str_)
    for seed in range(40):
        loss = data**-0.4 * np.exp(np.random.default_rng(seed).normal(0, 0.05, 7))
        table = RunTable(path="runs", data=data, loss=loss, size=None, unique=None, run=runs, columns={}, others={})
        low, high = estimate(table, "power", draws=0).parameters["alpha"].profile95
        inside.append(low <= 0.4 <= high)
    assert np.mean(inside) >= 0.9  # 0.8 with the quantile of chi-squared


def test_percentiles_reach_further_for_few_runs() -> None:
    assert expanded(0.95, 100_000, 2)[0] == pytest.approx(0.025, abs=1e-4)
    assert expanded(0.95, 12, 2)[0] < 0.01
    draws = np.random.default_rng(0).normal(size=4000)
    many, few = interval(draws, 0.0, 1000, 2), interval(draws, 0.0, 12, 2)
    assert few[0] < many[0] < 0 < many[1] < few[1]
    assert interval(draws, 0.0, 6, 2)[1] == pytest.approx(2.776, rel=0.05)
    assert all(np.isnan(interval([], 0.0, 10, 2)))


def test_a_single_new_run_lies_inside_its_band() -> None:
    inside = []
    for seed in range(24):
        held = planted("power", 0.02, seed)
        fitted = estimate(held.take(held.data < 300), "power", draws=60, with_profiles=False)
        new = held.take(held.data > 300)
        low, high = fitted.band(new.data, run=True)
        inside += ((new.loss >= low) & (new.loss <= high)).tolist()
    assert 0.9 < np.mean(inside) < 0.99


def test_few_cells_are_held_out_or_refused() -> None:
    grid = planted("additive").take(np.isin(np.arange(144) % 24, (0, 8, 16)))  # 6 sizes x 3 amounts
    held, _ = most_expensive(grid, uses_size=True)
    assert 0 < held.sum() < len(grid) / 3
    found = score(grid, "additive", held, "top", 0.01)
    assert len(found.low) == len(found.high) == len(found.data) == found.runs
    few = planted("power").take(np.isin(np.arange(48) % 24, (0, 8, 16)))  # 3 amounts: 2 would be left
    assert try_score(few, "power", 0.01) is None
    with pytest.raises(ConfigError, match="too few runs to compare"):
        fit_law(few, "auto", draws=5)


def test_a_hold_out_of_checkpoints_says_that_their_runs_were_fitted() -> None:
    apart = try_score(planted("power"), "power", 0.01)
    table = planted("power")
    table.run[:] = np.tile(np.asarray(["a", "b"]), len(table) // 2)
    shared = try_score(table, "power", 0.01)
    assert apart is not None
    assert shared is not None
    assert "checkpoints" not in apart.rule
    assert "includes checkpoints of fitted runs" in shared.rule


def test_the_bands_of_repeated_data_know_what_is_unique() -> None:
    found = estimate(planted("repetition"), "repetition", draws=20, with_profiles=False)
    at, size = np.asarray([1000.0]), np.asarray([1e7])
    fresh = found.band(at, size, run=True)
    repeated = found.band(at, size, np.asarray([20.0]), run=True)
    assert repeated[0, 0] > fresh[1, 0]


def test_slopes_and_doublings_are_those_of_the_law() -> None:
    found = estimate(planted("power"), "power", draws=30, with_profiles=False)
    alpha = found.parameters["alpha"].value
    assert doubling(found, None, 500.0)[0] == pytest.approx(1 - 2**-alpha)
    slopes = marginal(found, None, np.asarray([10.0, 100.0]))
    assert [each[0] for each in slopes.slope] == pytest.approx([alpha, alpha])
    assert slopes.size_slope is None
    assert all(low <= value <= high for value, low, high in slopes.slope)


def test_changes_that_leave_too_little_are_said_so() -> None:
    few = planted("power").take(np.isin(np.arange(48) % 24, (0, 6, 12, 18)))
    changes = sensitivity(estimate(few, "power", draws=10, with_profiles=False))
    by_name = {each.what: each for each in changes}
    assert any(each.parameters is None for each in changes)  # two of four amounts left out
    assert sum("Huber" in name for name in by_name) == 2


def test_a_constant_size_is_no_size(tmp_path: Path) -> None:
    from counterpoint.cli.main import main

    rows = "".join(f"5,{hours},{(5 / hours) ** 0.4:.6f}\n" for hours in (1, 2, 4, 8, 16, 32))
    (tmp_path / "runs.csv").write_text("size,hours,error\n" + rows)
    assert main(["scale", "fit", str(tmp_path / "runs.csv"), "--bootstrap", "5"]) == 0


def test_what_redrawn_runs_take_to_a_limit_is_not_identified() -> None:
    table = planted("repetition", noise=0.02, seed=1)
    found = estimate(table, "repetition", draws=20, with_profiles=False)
    limit = float(found.law.bounds(table.log_loss)[found.law.vector.index("log_repeat")][1])
    drawn = found.draws.copy()
    assert not runs_off(found.law, "R_D", drawn, table.log_loss)
    drawn[0, found.law.vector.index("log_repeat")] = limit
    assert runs_off(found.law, "R_D", drawn, table.log_loss)  # one of twenty
    assert not runs_off(found.law, "A", drawn, table.log_loss)


def test_data_that_do_not_wear_out_are_said_to_be_as_good_as_new() -> None:
    table = planted("repetition", noise=0.004, seed=1)
    law = FORMS["repetition"]
    x = table.axes()
    endless = to_vector(law, {**PARAMETERS["repetition"], "R_D": 1e5}, x.reference)
    noise = np.random.default_rng(0).normal(0, 0.004, len(table))
    found = fit_law(
        RunTable(**{**vars(table), "loss": np.exp(law.log_error(endless, x)[0] + noise)}), "repetition", draws=4
    )
    assert not found.estimate.parameters["R_D"].identified
    assert any("towards large values" in words for words in found.warnings if words.startswith("R_D"))
    if found.estimate.parameters["R_D"].value > 9.9e3:
        assert any("worth as much as a new one" in words for words in found.warnings)
