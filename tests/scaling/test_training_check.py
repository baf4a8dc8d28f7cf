"""What longer training gained stands beside a run table and is told with every law fitted to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.fitting.choose import fit_law
from counterpoint.scaling.runs.table import read_runs
from counterpoint.scaling.runs.training_check import TABLE, TrainingCheck, check_words, read_checks

CHECK = TrainingCheck(
    run="n1000-d25-s0", size=1000, amount=25.0, unit="episodes", steps=400, error=0.5, longer_steps=800,
    longer_error=0.4,
)  # fmt: skip


@pytest.mark.parametrize(("error", "verb", "is_short"), [(0.4, "take 20.0% off", True), (0.505, "add 1.0% to", False)])
def test_training_that_was_short_is_said(error: float, verb: str, is_short: bool) -> None:
    said = check_words([replace(CHECK, longer_error=error)])
    assert f"800 instead of 400 steps on 25 episodes a robot {verb} the error of size 1000" in said[0]
    assert any("warning: The runs need more training" in line for line in said) == is_short


def test_a_law_of_short_runs_says_so(tmp_path: Path) -> None:
    rows = [f"{d},{0.5 * d**-0.4 * (1 + 0.01 * k)},{k}" for d in np.geomspace(1, 100, 6) for k in (0, 1)]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(["data,error,seed", *rows]))
    for error, is_short in ((0.4, True), (0.49, False)):
        checks = [replace(CHECK, longer_error=error).to_dict()]
        (tmp_path / TABLE).write_text(json.dumps({"checks": checks}))
        assert [check.to_dict() for check in read_checks(str(path))] == checks
        found = fit_law(read_runs(path), "power", draws=0)
        assert any("2 times the steps took 20% off" in warning for warning in found.warnings) == is_short
    for damaged in ("{", '{"checks": [{"run": 1}]}', "[]"):
        (tmp_path / TABLE).write_text(damaged)
        with pytest.raises(ConfigError, match="run the study again"):
            fit_law(read_runs(path), "power", draws=0)
