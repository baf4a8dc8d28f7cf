"""Columns that are arithmetic on others: errors of scores, data from computing; what is offered and warned of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError
from counterpoint.scaling.runs.derived import derived, is_score
from counterpoint.scaling.runs.table import read_runs
from counterpoint.scaling.runs.units import unit_of

ONE = ("--workers", "1")


def write_scores(path: Path) -> Path:
    """Write scores of 12 numbers of pairs, as shares and in percent, with names that hold spaces."""
    rng = np.random.default_rng(0)
    lines = ["object pairs,normalized score,score in percent"]
    for pairs in np.geomspace(1, 64, 12):
        score = 1 - 0.6 * pairs**-0.5 * np.exp(rng.normal(0, 0.02))
        lines.append(f"{pairs},{score},{100 * score}")
    path.write_text("\n".join(lines))
    return path


def write_computing(path: Path) -> Path:
    """Write losses of sizes and computing, without data, as in the points of Hoffmann et al. 2022."""
    rng = np.random.default_rng(0)
    lines = ["Model Size,Training FLOP,loss"]
    for size in np.geomspace(1e7, 1e9, 5):
        for data in np.geomspace(1e8, 1e10, 6):
            loss = (1.8 + 480 * size**-0.35 + 2000 * data**-0.37) * np.exp(rng.normal(0, 1e-4))
            lines.append(f"{size},{6 * size * data},{loss}")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("loss", ["1 - `normalized score`", "1 - `score in percent` / 100"])
def test_errors_of_scores(tmp_path: Path, loss: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, fit = write_scores(tmp_path / "runs.csv"), tmp_path / "fit"
    words = [
        "scale",
        "fit",
        str(path),
        "--law",
        "power",
        "--amount",
        "object pairs",
        "--bootstrap",
        "40",
        "--workers",
        "1",
    ]
    assert main([*words, "--loss", loss, "--out", str(fit), "--no-report", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["params"]["alpha"]["value"] == pytest.approx(0.5, abs=0.02)
    assert found["columns"]["loss"] == loss
    assert not any("sounds like a score" in words for words in found["warnings"])
    assert main(["scale", "verify", str(fit), "--runs", str(path), "--holdout", "data > 30"]) == 0


def test_data_from_computing(tmp_path: Path) -> None:
    path = write_computing(tmp_path / "runs.csv")
    with pytest.raises(ConfigError, match=r"--amount '`Training FLOP` / \(6 \* `Model Size`\)'"):
        read_runs(path, needs_size=True)
    table = read_runs(path, needs_size=True, data="`Training FLOP` / (6 * `Model Size`)", drop="data > 5e9")
    assert len(table) == 25
    assert np.unique(table.data.round()).tolist() == pytest.approx(np.geomspace(1e8, 1e10, 6)[:5], rel=1e-6)
    assert unit_of(table.columns["data"]) is None
    assert unit_of("data-minutes") == "minutes"


def test_scores_are_told_from_errors(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "runs.csv")
    with pytest.raises(ConfigError, match="--loss '1 - `normalized score`'"):
        read_runs(path, data="object pairs")
    table = read_runs(path, data="object pairs", loss="score in percent")
    assert any("--loss '1 - `score in percent` / 100'" in words for words in table.warnings)
    assert all(map(is_score, ("success_rate", "acc1", "accuracy")))
    assert not any(map(is_score, ("error_score", "1 - score", "loss")))


def test_what_is_no_arithmetic_is_no_column(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "runs.csv")
    for wrong in ("1 - normalized score", "1 - `no such`", "`normalized score` > 0.5", "1 - 2"):
        with pytest.raises(ConfigError, match="may be arithmetic on others"):
            read_runs(path, data="object pairs", loss=wrong)
    with pytest.raises(ConfigError, match="not positive and finite"):
        read_runs(path, data="object pairs", loss="1 - `score in percent`")
    assert derived({"a-b": np.ones(2), "a": np.ones(2)}, ["a-b", "a - b", None], 2) == {}
