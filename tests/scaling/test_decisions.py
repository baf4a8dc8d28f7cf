"""From runs to decisions: fit, save, load, verify, forecast, allocate; and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_laws import to_vector

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError
from counterpoint.scaling.decisions.allocate import Allocation, allocate
from counterpoint.scaling.decisions.forecast import forecast, parse_target
from counterpoint.scaling.fitting.choose import fit_law
from counterpoint.scaling.fitting.fit_record import FitRecord, load_fit, save_fit
from counterpoint.scaling.fitting.verify import verify
from counterpoint.scaling.laws.forms import axes
from counterpoint.scaling.laws.known import form
from counterpoint.scaling.page_data import report_data
from counterpoint.scaling.runs.cost import Prices
from counterpoint.scaling.runs.table import read_runs


def write_grid(path: Path, *, noise: float = 0.005, broken: bool = False, seed: int = 0) -> Path:
    """Write 6 sizes x 7 amounts x 2 seeds of an additive law, with what each run took."""
    rng = np.random.default_rng(seed)
    lines = ["params,hours,error,seed,flops,gpu_hours"]
    for size in np.geomspace(1e5, 1e7, 6):
        for hours in np.geomspace(1, 300, 7):
            for k in range(2):
                error = 0.05 + 30 * size**-0.4 + 0.5 * hours**-0.35
                error *= 1.4 if broken and hours > 200 else 1.0
                error *= math.exp(rng.normal(0, noise))
                lines.append(f"{size},{hours},{error},{k},{6e5 * size * hours},{1e-8 * size * hours}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> FitRecord:
    path = write_grid(tmp_path_factory.mktemp("grid") / "runs.csv")
    return fit_law(read_runs(path, needs_size=True), "additive", draws=60)


def test_what_is_saved_is_what_is_loaded(record: FitRecord, tmp_path: Path) -> None:
    save_fit(record, tmp_path / "fit")
    back = load_fit(tmp_path / "fit")
    assert back.estimate.parameters == record.estimate.parameters
    np.testing.assert_array_equal(back.estimate.draws, record.estimate.draws)
    at = np.asarray([10.0, 1e3]), np.asarray([1e6, 1e7])
    np.testing.assert_allclose(back.estimate.log_error(*at), record.estimate.log_error(*at))
    assert back.warnings == record.warnings
    (tmp_path / "fit" / "fit.json").write_text("{}")
    with pytest.raises(ConfigError, match="scale fit"):
        load_fit(tmp_path / "fit")


def test_the_hold_out_is_predicted(record: FitRecord) -> None:
    assert record.holdout is not None
    assert record.holdout.mare < 0.02
    found = verify(record, "data > 100")
    assert found.passed
    assert found.refitted
    assert found.holdout.runs == 24


def test_a_law_that_misses_fails(tmp_path: Path) -> None:
    bent = read_runs(write_grid(tmp_path / "bent.csv", broken=True), needs_size=True)
    found = verify(fit_law(bent, "additive", draws=30), "data > 200")
    assert not found.passed
    assert found.holdout.bias < -0.1


def test_new_runs_are_predicted_by_the_fit_as_it_is(record: FitRecord, tmp_path: Path) -> None:
    new = read_runs(write_grid(tmp_path / "new.csv", seed=5), needs_size=True)
    found = verify(record, "hours > 200", new)
    assert (found.refitted, found.holdout.runs, found.passed) == (False, 12, True)


def test_a_forecast_inverts_the_law(record: FitRecord) -> None:
    found = forecast(record, "0.9x", prices=Prices(hour=60, gpu_hour=2.5))
    assert found.refused == ""
    assert found.data is not None
    assert found.data95 is not None
    truth = 0.05 + 30 * 1e7**-0.4
    wanted = found.target
    expected = ((wanted - truth) / 0.5) ** (-1 / 0.35)
    assert found.data95[0] < expected < found.data95[1]
    assert found.new_hours_cost == pytest.approx(60 * (found.data - 300))
    assert found.gpu_hours == pytest.approx(1e-8 * 1e7 * found.data, rel=1e-6)


def test_no_number_below_the_floor(record: FitRecord) -> None:
    found = forecast(record, "0.02")
    assert found.data is None
    assert "floor's lower bound" in found.refused
    with pytest.raises(ConfigError, match="--at-size"):
        forecast(record, "0.12", size=-1.0)
    far = forecast(record, "0.12", size=1e7)
    assert any("times the largest amount" in words for words in far.warnings) or far.refused


def test_a_forecast_of_a_law_that_does_not_fall_is_refused(tmp_path: Path) -> None:
    rows = [f"{hours},{hours**0.3 * (1 + 0.01 * (-1) ** hours)}" for hours in range(1, 12)]
    (tmp_path / "runs.csv").write_text("\n".join(["hours,error", *rows]))
    found = forecast(fit_law(read_runs(tmp_path / "runs.csv"), "power", draws=10), "0.8x")
    assert found.data is None
    assert "more data do not lower the error" in found.refused


@pytest.mark.parametrize("runs", [1, 3])
def test_checkpoints_of_few_runs_give_no_narrow_intervals(tmp_path: Path, runs: int) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"r{run},{d},{d**-0.4 * math.exp(rng.normal(0.05 * run, 0.01))}"
        for run in range(runs)
        for d in np.geomspace(1, 1000, 12)
    ]
    (tmp_path / "runs.csv").write_text("\n".join(["run,hours,error", *rows]))
    words = ["scale", "fit", str(tmp_path / "runs.csv"), "--law", "power", "--bootstrap", "40", "--workers", "1"]
    assert main([*words, "--out", str(tmp_path / "fit")]) == 0  # the page takes intervals that are not there
    record = load_fit(tmp_path / "fit")
    alpha, found = record.estimate.parameters["alpha"], forecast(record, "0.7x")
    assert found.data is not None
    assert found.data80 is not None
    assert found.data95 is not None
    if runs == 1:
        assert np.isnan([alpha.se, *alpha.ci95, *found.data80]).all()
        assert "too few runs for an interval" in (tmp_path / "fit" / "report.html").read_text()
        assert any("checkpoints of 1 run" in warning for warning in record.warnings)
        assert any("No interval for alpha" in warning for warning in record.warnings)
    else:
        narrow, wide = (math.log(high / low) for low, high in (found.data80, found.data95))
        assert wide / narrow == pytest.approx(12.706 / 3.078, rel=1e-3)  # t with one degree of freedom


def test_far_forecasts_without_a_floor_say_what_their_interval_takes_for_true(tmp_path: Path) -> None:
    rows = [f"{tokens},{tokens**-0.3 * (1 + 0.01 * (-1) ** tokens)}" for tokens in range(1, 12)]
    (tmp_path / "runs.csv").write_text("\n".join(["tokens,error", *rows]))
    words = " ".join(forecast(fit_law(read_runs(tmp_path / "runs.csv"), "power", draws=10), "0.2x").warnings)
    assert "beyond 10 times, a forecast is a guess" in words
    assert "assumes E = 0" in words
    assert "to each unit of 'tokens'" in words


@pytest.mark.parametrize("text", ["-1", "0x", "nan", "abc", "infx"])
def test_targets_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--error"):
        parse_target(text, 1.0)


def test_the_best_size_for_a_budget(record: FitRecord) -> None:
    budget = 1e15
    found = allocate(record, flops=budget)
    k = 6e5
    ratio = 0.4 * 30 / (0.35 * 0.5)  # alpha A / (beta B): the optimum of N^-alpha against (C / k N)^-beta
    size = (ratio * (budget / k) ** 0.35) ** (1 / 0.75)
    p = {name: each.value for name, each in record.estimate.parameters.items()}
    ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
    exact = (ratio * (budget / k) ** p["beta"]) ** (1 / (p["alpha"] + p["beta"]))
    assert found.size == pytest.approx(exact, rel=1e-4)
    assert found.size95[0] * 0.8 < size < found.size95[1] * 1.25
    assert found.near_sizes[0] < found.size < found.near_sizes[1]
    assert found.size * found.data * k == pytest.approx(budget)
    paid = allocate(record, money=50_000.0)
    assert paid.data * 60 + 1e-8 * paid.size * paid.data * 2.5 == pytest.approx(50_000, rel=1e-6)
    with pytest.raises(ConfigError, match="exactly one budget"):
        allocate(record)
    for wrong in (0.0, -6.0, math.nan):
        with pytest.raises(ConfigError, match="--per-unit"):
            allocate(record, flops=budget, per_unit=wrong)


def test_what_a_run_costs_is_read_or_assumed_aloud(record: FitRecord) -> None:
    table = record.estimate.table

    def best(data: str, **others: NDArray[np.float64]) -> Allocation:
        columns = {**table.columns, "data": data}
        changed = replace(table, columns=columns, others={data: table.data, **others})
        return allocate(replace(record, estimate=replace(record.estimate, table=changed)), flops=1e9)

    assert table.size is not None
    counted = best("hours", **{"Training FLOP": 6 * table.size * table.data})
    assumed = best("Training Tokens")
    assert counted.size == pytest.approx(assumed.size)
    assert not any("assumed, as for tokens" in words for words in counted.warnings)
    assert any("assumed, as for tokens" in words for words in assumed.warnings)
    with pytest.raises(ConfigError, match="do not say what a run costs"):
        best("hours")


def test_what_a_law_leaves_out_of_a_table_is_told(tmp_path: Path) -> None:
    runs = write_grid(tmp_path / "runs.csv")
    pooled = fit_law(read_runs(runs), "power_floor", draws=10)
    assert any("6 values of 'params' are pooled" in words for words in pooled.warnings)
    save_fit(pooled, tmp_path / "fit")
    assert verify(load_fit(tmp_path / "fit"), "hours > 100").holdout.runs == 24
    runs.write_text(runs.read_text().replace("params", "size").replace("100000.0,", "small,"))
    save_fit(fit_law(read_runs(runs), "power", draws=10), tmp_path / "fit")  # words in a column that is not used
    assert load_fit(tmp_path / "fit").estimate.law.name == "power"


def test_diversity_stands_beside_volume(tmp_path: Path) -> None:
    rows = [f"{hours},{hours**-0.4},{3 * hours},{4 + hours % 2}" for hours in (1, 2, 4, 8, 16, 33)]
    (tmp_path / "runs.csv").write_text("\n".join(["hours,error,num_environments,Objects", *rows]))
    found = fit_law(read_runs(tmp_path / "runs.csv"), "power", draws=10)
    counted = {row["column"]: row for row in json.loads(json.dumps(found.to_dict()))["diversity"]}
    assert counted["num_environments"]["correlation"] == pytest.approx(1)
    assert counted["Objects"]["different"] == 2
    assert sum("Volume or diversity? 'num_environments' grew" in words for words in found.warnings) == 1


def test_sizes_tried_once_each_are_not_tested_one_by_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size, hours = np.exp(rng.uniform(10, 16, 40)), np.exp(rng.uniform(0, 6, 40))
    rows = [f"{n},{d},{0.05 + 30 * n**-0.4 + 0.5 * d**-0.35}" for n, d in zip(size, hours, strict=True)]
    (tmp_path / "runs.csv").write_text("\n".join(["params,hours,error", *rows]))
    page = report_data(fit_law(read_runs(tmp_path / "runs.csv", needs_size=True), "additive", draws=10))
    assert page["ossification"] == {
        "refused": "no size has runs on both sides of a hinge (40 sizes); run each at 5 amounts or more"
    }


def test_damaged_fits_are_refused(record: FitRecord, tmp_path: Path) -> None:
    save_fit(record, tmp_path / "fit")
    whole = json.loads((tmp_path / "fit" / "fit.json").read_text())
    (tmp_path / "fit" / "fit.json").write_text(json.dumps({**whole, "params": {}}))
    with pytest.raises(ConfigError, match="damaged"):
        load_fit(tmp_path / "fit")
    (tmp_path / "fit" / "draws.npy").write_bytes(b"")
    with pytest.raises(ConfigError, match="expected a folder that 'scale fit --out' wrote"):
        load_fit(tmp_path / "fit")


def test_repetitions_are_found_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    law, runs = form("repetition"), tmp_path / "runs.csv"
    cells = [
        (n, u * k, u) for n in np.geomspace(1e6, 1e9, 5) for u in np.geomspace(1e7, 1e9, 4) for k in (1, 3, 10, 40)
    ]
    size, data, unique = np.asarray(cells).T
    x = axes(data, size, unique)
    truth = {"E": 1.8, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.36, "R_D": 15.0, "R_N": 6.0}
    loss = np.exp(law.log_error(to_vector(law, truth, x.reference), x)[0])
    rows = [f"{n},{d},{u},{e}" for (n, d, u), e in zip(cells, loss, strict=True)]
    runs.write_text("\n".join(["params,tokens,unique_tokens,loss", *rows]))
    words = ["scale", "fit", str(runs), "--bootstrap", "2", "--workers", "1", "--json", "--law"]
    assert main([*words, "repetition"]) == 0
    params = json.loads(capsys.readouterr().out)["params"]
    assert params["R_D"]["value"] == pytest.approx(15, rel=0.02)
    assert main([*words, "additive"]) == 0
    assert any("fit --law repetition" in each for each in json.loads(capsys.readouterr().out)["warnings"])
    assert main([*words, "repetition", "--unique", "tokens", "--amount", "unique_tokens"]) == 2
    assert "more unique data" in capsys.readouterr().err
    runs.write_text(runs.read_text().replace("unique_tokens", "others"))
    assert main([*words, "repetition"]) == 2
    assert "--unique" in capsys.readouterr().err


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, fit = str(write_grid(tmp_path / "runs.csv")), str(tmp_path / "fit")
    assert (
        main(["scale", "fit", runs, "--law", "additive", "--bootstrap", "20", "--out", fit, "--no-report", "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    keys = {"law", "n_points", "objective_sum", "delta", "starts_at_optimum", "params", "holdout", "warnings"}
    assert keys <= set(found)
    assert set(found["params"]) == {"E", "A", "B", "alpha", "beta"}
    assert {"value", "se", "ci95", "profile95", "identified"} == set(found["params"]["alpha"])
    assert main(["scale", "verify", fit, "--holdout", "hours > 100"]) == 0
    assert main(["scale", "verify", fit, "--holdout", "hours > 100", "--tolerance", "0.0001"]) == 1
    assert main(["scale", "verify", fit, "--holdout", "ours > 100"]) == 2
    assert main(["scale", "forecast", fit, "--error", "0.9x"]) == 0
    assert main(["scale", "allocate", fit, "--flops", "1e15"]) == 0
    assert main(["scale", "fit", runs, "--law", "power", "--loss", "eror"]) == 2
    assert "did you mean 'error'" in capsys.readouterr().err
    assert (
        main(
            [
                "scale",
                "fit",
                runs,
                "--amount",
                "hours",
                "--law",
                "power",
                "--drop",
                "params > 1.1e5",
                "--bootstrap",
                "9",
                "--json",
            ]
        )
        == 0
    )
    power = json.loads(capsys.readouterr().out)
    assert power["params"]["D_c"] == power["params"]["A"]
    assert any("This law assumes E = 0" in words for words in power["warnings"])
