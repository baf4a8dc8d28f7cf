"""The verbs on tables as people have them: what is refused early, what is kept, and what is said beside a number."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError
from counterpoint.scaling.decisions.forecast import forecast
from counterpoint.scaling.fitting.choose import fit_law
from counterpoint.scaling.fitting.fit_record import save_fit
from counterpoint.scaling.fitting.verify import verify
from counterpoint.scaling.ossification.null_test import ossification
from counterpoint.scaling.runs.cost import Prices, gpu_hours_per_data, gpu_hours_per_unit, unpriced
from counterpoint.scaling.runs.diversity import pooled
from counterpoint.scaling.runs.table import read_runs
from counterpoint.scaling.transfer.analysis import transfer

FEW = ("--bootstrap", "10", "--workers", "1")


def write_amounts(path: Path, more: str = "", cells: str = "", *, noise: float = 0.005) -> Path:
    """Write 8 amounts x 2 seeds of a power law, with more columns; `{hours}` and `{row}` stand for numbers."""
    rng = np.random.default_rng(0)
    lines = [f"hours,error,seed{more}"]
    for place, hours in enumerate(np.geomspace(2, 400, 8)):
        for seed in range(2):
            error = (5 / hours) ** 0.4 * math.exp(rng.normal(0, noise))
            lines.append(f"{hours},{error},{seed}{cells.format(hours=hours, row=2 * place + seed)}")
    path.write_text("\n".join(lines))
    return path


def test_training_times_that_are_no_numbers_are_no_training_times(tmp_path: Path) -> None:
    words = write_amounts(tmp_path / "words.csv", ",params,gpu_hours", ",1e{row},n/a or {row}")
    assert main(["scale", "fit", str(words), "--law", "power", *FEW, "--out", str(tmp_path / "fit")]) == 0
    assert "without the training on it" in (tmp_path / "fit" / "report.html").read_text()
    assert gpu_hours_per_unit(read_runs(words, needs_size=True)) is None


def test_training_times_are_found_in_any_spelling_and_without_sizes(tmp_path: Path) -> None:
    table = read_runs(write_amounts(tmp_path / "runs.csv", ",Train Seconds", ",7200"))
    assert gpu_hours_per_data(table, None) == pytest.approx(np.median(2 / table.data))
    assert gpu_hours_per_data(table, 1e6) is None


@pytest.mark.parametrize(
    "mistake", [("--cost-hour", "-1"), ("--gpu-hour", "nan"), ("--delta", "0"), ("--delta", "nan")]
)
def test_a_failing_fit_leaves_an_earlier_one(
    tmp_path: Path, mistake: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["scale", "fit", str(write_amounts(tmp_path / "runs.csv")), *FEW, "--out", str(tmp_path / "fit")]
    assert main([*words, "--law", "power"]) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "fit").iterdir()}
    assert set(before) == {"fit.json", "draws.npy", "points.csv", "report.json", "report.html"}
    capsys.readouterr()
    assert main([*words, *mistake, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)["error"]
    assert ("prices" if "hour" in mistake[0] else mistake[0]) in told
    assert {path.name: path.read_bytes() for path in (tmp_path / "fit").iterdir()} == before


def test_a_file_in_place_of_the_folder_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = str(write_amounts(tmp_path / "runs.csv"))
    assert main(["scale", "fit", runs, "--out", runs]) == 2
    assert "is a file, expected a folder" in capsys.readouterr().err


def write_rows(path: Path, head: str, rows: list[tuple[object, ...]]) -> Path:
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]))
    return path


def test_runs_of_equal_hours_in_more_places_are_other_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        (hours, places, seed, hours**-0.1 * places**-0.3 * (1 + 0.01 * seed))
        for hours in (10, 30, 100, 300) for places in (1, 4, 16) for seed in (0, 1)
    ]  # fmt: skip
    runs = str(write_rows(tmp_path / "runs.csv", "hours,environments,seed,error", list(rows)))
    for data, other in (("hours", "environments"), ("environments", "hours")):
        assert main(["scale", "fit", runs, "--law", "power", "--amount", data, *FEW]) == (0 if data == "hours" else 2)
        told = capsys.readouterr()
        if data == "hours":
            assert "beside 'hours': environments 1 to 16 (correlation 0.00)" in told.out
            assert "3 values of 'environments' are pooled" in told.out
        else:
            assert f"They differ in {other!r}: keep one value with --drop" in told.err


def test_seeds_that_drew_other_objects_are_not_called_pooled(tmp_path: Path) -> None:
    rows = [
        (hours, 40 + hours + seed, seed, hours**-0.4 + seed / 1000) for hours in (1, 2, 4, 8, 16) for seed in (0, 1)
    ]
    table = read_runs(write_rows(tmp_path / "runs.csv", "hours,objects,seed,error", list(rows)))
    assert not pooled(table)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("huors,error", "did you mean 'huors'"),
        ("training hours,error", "did you mean 'training hours'"),
        ("num_robots,error", "did you mean 'num_robots'"),
        ("hours,eror", "did you mean 'eror'"),
        ("hours,next action errors", "did you mean 'next action errors'"),
    ],
)
def test_columns_near_what_is_missing_are_offered(tmp_path: Path, head: str, words: str) -> None:
    runs = write_rows(tmp_path / "runs.csv", head, [(1, 1), (2, 0.5)])
    with pytest.raises(ConfigError, match=words):
        read_runs(runs)


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    write_amounts(tmp_path / "runs.csv")
    with pytest.raises(ConfigError, match=r"is a folder.*give .*runs\.csv"):
        read_runs(tmp_path)


def test_units_are_still_mixed_after_ingest(tmp_path: Path) -> None:
    runs = write_amounts(tmp_path / "runs.csv", ",hours_unit", ",{row}")
    assert main(["scale", "ingest", str(runs), "--into", str(tmp_path / "all.parquet")]) == 0
    with pytest.raises(ConfigError, match="mixed units"):
        read_runs(tmp_path / "all.parquet")


def test_errors_that_never_change_show_no_law(tmp_path: Path) -> None:
    rows = [(size, hours, 0.5) for size in (1e5, 1e6, 1e7) for hours in (1, 10, 100)]
    runs = write_rows(tmp_path / "runs.csv", "params,hours,error", list(rows))
    found = fit_law(read_runs(runs, needs_size=True), "additive", draws=5)
    assert any("No law: 'error' is 0.5 in every row" in words for words in found.warnings)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("condition", "rows"), [("hours / 0 > 1", 16), ("hours > 1 / 0", 0), ("hours % 0 == 1", 0)])
def test_divisions_by_zero_give_infinity_or_nothing_and_no_warning(tmp_path: Path, condition: str, rows: int) -> None:
    assert read_runs(write_amounts(tmp_path / "runs.csv")).where(condition).sum() == rows


def test_one_of_two_runs_outside_its_interval_is_chance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = fit_law(read_runs(write_amounts(tmp_path / "runs.csv")), "power", draws=40)
    new = tmp_path / "new.csv"
    write_rows(new, "hours,error", [(800, 0.1313), (800, 0.140)])  # all at one amount, as largest runs are
    found = verify(record, None, read_runs(new, to_fit=False), tolerance=0.2)
    assert (found.holdout.coverage, found.failures) == (0.5, ())
    save_fit(record, tmp_path / "fit")
    words = ["scale", "verify", str(tmp_path / "fit"), "--runs", str(new), "--tolerance", "0.2"]
    assert main(words) == 0
    write_rows(new, "hours,error", [(800, 0.14), (900, 0.14)])
    assert main(words) == 1
    assert "only 0% of the runs are inside their 95% intervals" in capsys.readouterr().out


def test_a_hold_out_of_everything_says_so(tmp_path: Path) -> None:
    record = fit_law(read_runs(write_amounts(tmp_path / "runs.csv")), "power", draws=5)
    with pytest.raises(ConfigError, match=r"without the 16 runs held out \(hours > 0\)"):
        verify(record, "hours > 0")


def test_hours_are_hours_under_any_name(tmp_path: Path) -> None:
    table = read_runs(write_amounts(tmp_path / "runs.csv", ",data", ",{hours}"))
    assert table.columns["data"] == "data"
    assert not unpriced(table, Prices())
    tokens = read_runs(write_rows(tmp_path / "tokens.csv", "tokens,error", [(1e9, 3.0), (2e9, 2.5)]))
    assert "give --cost-hour" in unpriced(tokens, Prices())[0]
    assert not unpriced(tokens, Prices(hour=0))


@pytest.mark.parametrize("name", ["success_rate", "Success", "failure rate", "pick_solved"])
def test_no_verdict_on_ossification_from_rates_of_success(tmp_path: Path, name: str) -> None:
    rows = [(size, hours, hours**-0.3) for size in (1e5, 1e6, 1e7) for hours in range(1, 7)]
    table = read_runs(write_rows(tmp_path / "runs.csv", f"size,hours,{name}", list(rows)), needs_size=True, loss=name)
    with pytest.raises(ConfigError, match="rate of success"):
        ossification(table)


def test_errors_that_never_change_are_not_tested_for_ossification(tmp_path: Path) -> None:
    rows = [(size, hours, 0.5) for size in (1e5, 1e6, 1e7) for hours in range(1, 7)]
    with pytest.raises(ConfigError, match="the same in every row"):
        ossification(read_runs(write_rows(tmp_path / "runs.csv", "size,hours,error", list(rows)), needs_size=True))


def test_a_forecast_says_what_lies_outside_and_what_its_money_lacks(tmp_path: Path) -> None:
    rows = [(size, hours, 0.05 + 30 * size**-0.4 + hours**-0.4) for size in (1e5, 3e5, 1e6) for hours in (10, 40, 160)]
    runs = write_rows(tmp_path / "runs.csv", "params,hours,error", list(rows))
    record = fit_law(read_runs(runs, needs_size=True), "additive", draws=5)
    words = " ".join(forecast(record, "0.9x", size=1e12).warnings)
    assert "more than 10 times outside the sizes in the runs" in words
    assert "The cost leaves out training" in words
    near = " ".join(forecast(record, "9x", prices=Prices(gpu_hour=0)).warnings)
    assert "below the smallest amount in the runs" in near
    assert "outside the sizes" not in near
    assert "The cost leaves out training" not in near


def test_training_is_counted_where_a_law_knows_no_size(tmp_path: Path) -> None:
    record = fit_law(read_runs(write_amounts(tmp_path / "runs.csv", ",gpu_hours", ",{row}")), "power", draws=5)
    found = forecast(record, "0.9x", prices=Prices(gpu_hour=2))
    assert found.data is not None
    assert found.gpu_hours is not None
    assert found.gpu_cost == 2 * found.gpu_hours
    assert "The cost leaves out training" not in " ".join(found.warnings)


@pytest.mark.parametrize("delta", ["0", "-1", "nan"])
def test_mixtures_take_no_impossible_delta(tmp_path: Path, delta: str, capsys: pytest.CaptureFixture[str]) -> None:
    runs = write_rows(tmp_path / "mixtures.csv", "hours_real,hours_sim,error", [(1, 2, 0.3), (2, 1, 0.2)])
    assert main(["scale", "mix", str(runs), "--delta", delta]) == 2
    assert "--delta" in capsys.readouterr().err


def test_transfer_takes_one_size_that_is_left(tmp_path: Path) -> None:
    rows = [
        (size, hours, pretrain, (hours + 20 * (pretrain == "web")) ** -0.5 + 30 / size)
        for size in (1e4, 1e5) for hours in (1, 3, 10, 30, 100) for pretrain in ("none", "web")
    ]  # fmt: skip
    runs = write_rows(tmp_path / "runs.csv", "params,hours,pretrain,error", list(rows))
    found = transfer(runs, law="power_floor", drop="params < 1e5", draws=5)
    assert found.scratch.estimate.table.size is None
