"""Estimates: planted laws come back within their errors, and bad tables are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.errors import ConfigError, UnknownNameError
from counterpoint.scaling.fitting.estimate import estimate
from counterpoint.scaling.runs.table import read_runs

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def twin(path: Path, seed: int = 1, count: int = 245, noise: float = 0.004) -> Path:
    """Write runs of the additive law at sizes, amounts and noise like those of Hoffmann et al."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(np.log(4e7), np.log(1.6e10), count))
    data = np.exp(rng.uniform(np.log(6e18), np.log(3e21), count)) / 6 / size
    loss = TRUTH["E"] + TRUTH["A"] * size ** -TRUTH["alpha"] + TRUTH["B"] * data ** -TRUTH["beta"]
    loss *= np.exp(rng.standard_t(3, count) * noise)
    rows = [f"{a},{b},{c}" for a, b, c in zip(size, data, loss, strict=True)]
    path.write_text("\n".join(["Model Size,Training Tokens,loss", *rows]))
    return path


def test_a_planted_law_comes_back(tmp_path: Path) -> None:
    table = read_runs(twin(tmp_path / "runs.csv"), needs_size=True)
    assert table.columns == {"size": "Model Size", "data": "Training Tokens", "loss": "loss"}
    found = estimate(table, "additive", delta=1e-3, draws=40)
    assert found.solution.starts_at_optimum >= 8
    for name, value in TRUTH.items():
        parameter = found.parameters[name]
        assert abs(parameter.value - value) < 3 * parameter.se
        assert parameter.identified
        assert parameter.profile95[0] < parameter.value < parameter.profile95[1]


def test_a_floor_that_the_points_do_not_bound_is_not_identified(tmp_path: Path) -> None:
    data = np.geomspace(10, 1000, 8).repeat(2)
    rng = np.random.default_rng(0)
    loss = (5 / data) ** 0.4 * np.exp(rng.normal(0, 0.02, len(data)))
    path = tmp_path / "runs.csv"
    path.write_text("hours,error\n" + "\n".join(f"{d},{e}" for d, e in zip(data, loss, strict=True)))
    found = estimate(read_runs(path), "power_floor", draws=60)
    assert not found.parameters["E"].identified
    assert found.parameters["E"].profile95[0] == 0.0
    plain = estimate(read_runs(path), "power", draws=60).parameters["alpha"]
    assert abs(plain.value - 0.4) < 4 * plain.se


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


GOOD = "size,hours,error,seed\n" + "".join(
    f"{s},{d},{1 / d + 1 / s:.6f},{k}\n" for s in (1, 2, 4) for d in (1, 2, 4, 8) for k in (0, 1)
)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (GOOD, {"loss": "eror"}, "did you mean 'error'"),
        (GOOD.replace("hours", "stuff"), {}, "no column for data"),
        (GOOD.replace("1,1,", "1,-1,"), {}, "not positive"),
        (GOOD.replace("1,2,1.500000", "1,2,nan"), {}, "not positive and finite"),
        (GOOD.replace("1,8,", "1,8 h,").replace("1,4,", "1,240 min,"), {}, "units in its cells"),
        ("hours,error\n" + "5,1\n" * 8, {}, "in every row"),
        (GOOD + "1,1,9.0,0\n", {}, "are the same run"),
        ("hours,error\n", {}, "no rows"),
        (GOOD, {"drop": "hours > 0"}, "no rows are left"),
        (GOOD, {"drop": "__import__('os').system('x')"}, "not allowed"),
        (GOOD, {"drop": "hours +"}, "cannot be read"),
        (GOOD, {"drop": "hours + 1"}, "expected a condition, got a value"),
        (GOOD, {"drop": "hours == [1, 2]"}, "condition"),
        (GOOD, {"drop": "hours > 4 & seed == 1"}, "put each comparison in brackets"),
        (GOOD, {"data": "error"}, "used for both data and loss"),
        (GOOD.replace("1,2,1.500000", "1,2,much"), {}, "row 3: 'much'"),
        (GOOD.replace("seed", "error"), {}, "more than one column is called 'error'"),
        (GOOD.replace("seed", "unit"), {}, "mixed units: column 'unit' says 0, 1"),
        ("hours,error\n" + "".join(f"2024-01-0{d},{1 / d}\n" for d in range(1, 9)), {}, "expected numbers"),
        ("hours,error\n" + "1,true\n2,true\n" * 4, {}, "holds bool"),
        ('[{"hours": 1, "error": 2}]', {}, "JSON lines, one object a line"),
        ("", {}, "expected a table"),
        ("PAR1 and nothing else", {}, "expected a table"),
    ],
)
def test_bad_tables_are_refused_with_a_reason(tmp_path: Path, text: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_runs(write(tmp_path / "runs.csv", text), **options)  # type: ignore[arg-type]  # names of columns only


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_bytes(GOOD.replace("seed", "gr\u00f6sse").encode("latin-1"))
    with pytest.raises(ConfigError, match="write it again as UTF-8"):
        read_runs(tmp_path / "runs.csv")


@pytest.mark.parametrize("text", [GOOD.replace(",", ";"), GOOD.replace(",", "\t"), GOOD.replace(",", ", ", 3)])
def test_other_delimiters_and_spaces_are_read(tmp_path: Path, text: str) -> None:
    plain = read_runs(write(tmp_path / "plain.csv", GOOD), needs_size=True)
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "other.csv").write_bytes(text.encode(encoding))
        other = read_runs(tmp_path / "other.csv", needs_size=True)
        assert other.columns == plain.columns
        np.testing.assert_array_equal(other.loss, plain.loss)


def test_runs_that_were_logged_twice_and_missing_seeds_are_told(tmp_path: Path) -> None:
    twice = read_runs(write(tmp_path / "runs.csv", GOOD + "1,1,2.000000,0\n1,2,1.500000,1\n"), needs_size=True)
    assert twice.warnings == ("rows 1 and 25, 4 and 26 are the same run with the same error; both count",)
    unnamed = "".join(line.rsplit(",", 1)[0] + "\n" for line in GOOD.splitlines() if not line.endswith(",1"))
    assert "no seed column" in read_runs(write(tmp_path / "runs.csv", unnamed), needs_size=True).warnings[0]
    assert "are the same run" in read_runs(write(tmp_path / "runs.csv", unnamed + "1,1,2.000000\n")).warnings[0]


def test_too_few_runs_and_unknown_laws(tmp_path: Path) -> None:
    few = read_runs(write(tmp_path / "few.csv", "hours,error\n1,1\n2,.8\n4,.7\n"))
    with pytest.raises(ConfigError, match="has 3 parameters, got 3 rows"):
        estimate(few, "power_floor")
    with pytest.raises(UnknownNameError, match="power"):
        estimate(few, "powr")
    with pytest.raises(ConfigError, match="no such file"):
        read_runs(tmp_path / "nothing.csv")


def test_delta_is_that_of_the_seeds_and_a_run_gone_wrong_does_not_widen_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, (12, 3))
    amounts = np.geomspace(1, 100, 12)

    def auto(off: float) -> float:
        shifted = noise.copy()
        shifted[4, 1] += off
        rows = [f"{d},{d**-0.4 * np.exp(e)}" for d, each in zip(amounts, shifted, strict=True) for e in each]
        return estimate(
            read_runs(write(tmp_path / "runs.csv", "\n".join(["hours,error", *rows]))), "power", draws=0
        ).delta

    pooled = 1.35 * float(noise.var(axis=1, ddof=1).mean() ** 0.5)
    assert auto(0.0) == pytest.approx(pooled)
    assert auto(2.0) < 1.5 * pooled


def test_conditions_choose_rows(tmp_path: Path) -> None:
    table = read_runs(write(tmp_path / "runs.csv", GOOD), needs_size=True, drop="size == 4 and not seed == 0")
    assert len(table) == 20
    assert table.where("hours >= 4 or `size` in [2]").sum() == 14
    assert table.where("(hours >= 4) | (size == 2) & ~(seed < 0)").sum() == 14
    by_role = read_runs(tmp_path / "runs.csv", data="hours", loss="error", drop="loss < 0.5 and data > 4")
    assert len(by_role) == 22
    with pytest.raises(UnknownNameError, match="hours"):
        table.where("hour > 2")
