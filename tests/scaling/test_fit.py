"""Laws of data alone: planted parameters are found again, and nothing is claimed that points do not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.core.errors import ConfigError, UnknownNameError
from counterpoint.scaling.fitting.choose import fit_law
from counterpoint.scaling.fitting.estimate import estimate
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.fitting.holdout import try_score
from counterpoint.scaling.laws.forms import LawName
from counterpoint.scaling.runs.table import RunTable, read_runs

AMOUNTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
FLAT: tuple[LawName, ...] = ("power", "power_floor")
SAME_FOLDER = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(path: Path, rows: list[tuple[float, float, int]]) -> RunTable:
    lines = [f"{data},{error},{seed},{data}-{seed}" for data, error, seed in rows]
    path.write_text("\n".join(["episodes,error,seed,run", *lines]))
    return read_runs(path)


def planted(
    folder: Path,
    scale: float,
    alpha: float,
    *,
    floor: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
    seeds: int = 2,
    bad: float = 1.0,
) -> RunTable:
    rng = np.random.default_rng(seed)
    rows = [
        (amount, float((floor + (scale / amount) ** alpha) * np.exp(noise * rng.normal())), each)
        for amount in AMOUNTS
        for each in range(seeds)
    ]
    rows[0] = (rows[0][0], rows[0][1] * bad, rows[0][2])
    return written(folder / "runs.csv", rows)


def said(record: FitRecord, words: str) -> bool:
    return any(words in warning for warning in record.warnings)


@SAME_FOLDER
@given(alpha=st.floats(0.1, 1.0), scale=st.floats(0.01, 100.0), seed=st.integers(0, 1000))
def test_power_law_is_recovered(tmp_path: Path, alpha: float, scale: float, seed: int) -> None:
    found = estimate(planted(tmp_path, scale, alpha, noise=1e-4, seed=seed), "power", draws=0, with_profiles=False)
    assert found.parameters["alpha"].value == pytest.approx(alpha, rel=0.01, abs=2e-3)
    assert found.parameters["A"].value == pytest.approx(scale, rel=0.05)
    assert np.exp(found.log_error(np.asarray([64.0]))) == pytest.approx((scale / 64) ** alpha, rel=0.01)


@SAME_FOLDER
@given(alpha=st.floats(0.3, 0.9), floor=st.floats(0.05, 0.5), seed=st.integers(0, 1000))
def test_floor_is_recovered(tmp_path: Path, alpha: float, floor: float, seed: int) -> None:
    table = planted(tmp_path, 1.0, alpha, floor=floor, noise=1e-5, seed=seed)
    found = estimate(table, "power_floor", draws=0, with_profiles=False)
    assert found.parameters["E"].value == pytest.approx(floor, abs=0.01)
    assert found.parameters["alpha"].value == pytest.approx(alpha, abs=0.03)


def test_interval_covers_and_extrapolation_is_signed(tmp_path: Path) -> None:
    covered = 0
    for seed in range(16):
        table = planted(tmp_path, 2.0, 0.4, noise=0.03, seed=seed, seeds=3)
        low, high = estimate(table, "power", draws=60, with_profiles=False).parameters["alpha"].ci95
        covered += low <= 0.4 <= high
        check = try_score(table, "power", 0.04)
        assert check is not None
        assert abs(check.bias) < 0.15
    assert covered >= 12
    bent = fit_law(planted(tmp_path, 1.0, 0.8, floor=0.3, noise=1e-4), "power", draws=10)
    assert bent.holdout is not None
    assert bent.holdout.bias < -0.1
    assert said(bent, "do not forecast")


def test_one_bad_run_does_not_bend_the_law(tmp_path: Path) -> None:
    table = planted(tmp_path, 1.0, 0.5, noise=0.01, seed=3, bad=3.0)
    assert estimate(table, "power", draws=10).parameters["alpha"].value == pytest.approx(0.5, abs=0.05)


def test_no_floor_is_claimed_of_a_pure_power_law(tmp_path: Path) -> None:
    table = planted(tmp_path, 1.0, 0.5, noise=0.02, seed=1)
    assert said(fit_law(table, "power_floor", draws=60), "These runs cannot show a floor")
    assert said(fit_law(table, "power", draws=10), "This law assumes E = 0")


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("error", [0.1, 1.0, 7.0])
def test_flat_errors_show_no_law(tmp_path: Path, name: LawName, error: float) -> None:
    record = fit_law(written(tmp_path / "runs.csv", [(amount, error, 0) for amount in AMOUNTS]), name, draws=20)
    assert said(record, "No law")
    ends = np.exp(record.estimate.log_error(np.asarray([1.0, 32.0])))
    assert ends == pytest.approx([error, error], rel=1e-3)
    if name == "power":
        assert not record.estimate.parameters["A"].identified
        assert record.estimate.parameters["alpha"].value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", FLAT)
def test_scattered_errors_show_no_law(tmp_path: Path, name: LawName) -> None:
    rows = [(amount, 1.0 + 0.1 * (-1) ** place, 0) for place, amount in enumerate(AMOUNTS)]
    assert said(fit_law(written(tmp_path / "runs.csv", rows), name, draws=60), "No law")


def test_growing_errors_show_no_law(tmp_path: Path) -> None:
    record = fit_law(planted(tmp_path, 1.0, -0.2, noise=0.01), "power", draws=40)
    assert record.estimate.parameters["alpha"].value == pytest.approx(-0.2, abs=0.02)
    assert said(record, "more makes it worse")


def test_a_narrow_range_and_one_seed_are_said(tmp_path: Path) -> None:
    rows = [(amount, amount**-0.5, 0) for amount in (1.0, 2.0, 3.0, 4.0, 5.0)]
    record = fit_law(written(tmp_path / "runs.csv", rows), "power", draws=10)
    assert said(record, "Only 5.0x")
    assert said(record, "one seed")


def test_intervals_that_hold_too_few_held_out_runs_and_few_draws_are_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    amounts = np.geomspace(1, 100, 40)
    noise = rng.normal(0, np.where(amounts < 60, 0.003, 0.02))  # wider where it is held out
    rows = [(64.0, float(0.3 * np.exp(rng.normal(0, 0.02))), seed) for seed in range(8)]
    rows += [(float(d), float(d**-0.3 * np.exp(e)), 0) for d, e in zip(amounts[amounts < 60], noise, strict=False)]
    found = fit_law(written(tmp_path / "runs.csv", rows), "power", delta=1e-2, draws=60)
    assert said(found, "held-out runs are inside their 95% intervals")
    assert not said(found, "The bootstrap used only")
    assert said(fit_law(planted(tmp_path, 1.0, 0.5, noise=0.01), "power", draws=5), "The bootstrap used only 5 draws")


def test_bad_points(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not positive and finite"):
        written(tmp_path / "runs.csv", [(1.0, 1.0, 0), (2.0, float("nan"), 0)])
    with pytest.raises(ConfigError, match="different amounts of data"):
        estimate(written(tmp_path / "runs.csv", [(d, 1 / d, s) for d in (1.0, 2.0) for s in (0, 1)]), "power")
    with pytest.raises(UnknownNameError, match="power_floor"):
        fit_law(planted(tmp_path, 1.0, 0.5), "power_flor")  # type: ignore[arg-type]  # the mistake under test


def test_a_least_amount_at_the_ceiling_is_named(tmp_path: Path) -> None:
    amounts = [10.0, 20.0, 40.0, 80.0, 160.0, 320.0]
    clean = [(amount, (5 / amount) ** 0.5 * (0.94, 1.06)[seed], seed) for amount in amounts for seed in range(2)]
    flat = [(amount, error / 2 if amount == 10 else error, seed) for amount, error, seed in clean]
    record = fit_law(written(tmp_path / "flat.csv", flat), "power", draws=20)
    assert said(record, "Without the smallest amount (10)")
    assert said(record, "--drop 'data <= 10'")
    assert not said(fit_law(written(tmp_path / "clean.csv", clean), "power", draws=20), "smallest amount")


def test_a_floor_of_nothing_is_zero_with_room_above(tmp_path: Path) -> None:
    steep = [(amount, amount**-0.5 * (1 - 0.02 * amount**0.5), seed) for amount in AMOUNTS for seed in range(2)]
    floor = fit_law(written(tmp_path / "steep.csv", steep), "power_floor", draws=20).estimate.parameters["E"]
    assert (floor.value, floor.ci95[0]) == (0, 0)
    assert floor.ci95[1] == floor.profile95[1] > 0
