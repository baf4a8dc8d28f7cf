"""The page of a fitted law: verdict first, refusals instead of numbers, one file that needs nothing else."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.report.scaling.log_axis import ticks
from counterpoint.report.scaling.page import write_scaling_report
from counterpoint.report.scaling.words import short


def write_amounts(path: Path, *, alpha: float = 0.4, floor: float = 0.0, noise: float = 0.01, seeds: int = 2) -> Path:
    """Write 8 amounts of a law of data alone."""
    rng = np.random.default_rng(0)
    lines = ["hours,error,seed,environments"]
    for hours in np.geomspace(2, 400, 8):
        for seed in range(seeds):
            error = (floor + (5 / hours) ** alpha) * math.exp(rng.normal(0, noise))
            lines.append(f"{hours},{error},{seed},{3 + int(hours**0.5)}")
    path.write_text("\n".join(lines))
    return path


def write_grid(path: Path, *, ossify: bool = False) -> Path:
    """Write 6 sizes x 7 amounts x 2 seeds with what each run took; with `ossify`, small models stop at 30 hours."""
    rng = np.random.default_rng(1)
    lines = ["params,hours,error,seed,gpu_hours"]
    for size in np.geomspace(1e5, 1e7, 6):
        for hours in np.geomspace(1, 1000, 7):
            for seed in range(2):
                seen = min(hours, 30.0) if ossify and size < 8e5 else hours
                error = (0.05 + 30 * size**-0.4 + 0.5 * seen**-0.35) * math.exp(rng.normal(0, 0.01))
                lines.append(f"{size},{hours},{error},{seed},{1e-8 * size * hours}")
    path.write_text("\n".join(lines))
    return path


def page_of(runs: Path, law: str) -> str:
    """Fit on the command line and return the page that it writes."""
    out = runs.parent / f"{runs.stem}-fit"
    assert main(["scale", "fit", str(runs), "--law", law, "--bootstrap", "20", "--out", str(out)]) == 0
    return (out / "report.html").read_text(encoding="utf-8")


def headline(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found is not None
    return found.group(1)


def test_the_verdict_comes_first_with_its_interval(tmp_path: Path) -> None:
    page = page_of(write_amounts(tmp_path / "runs.csv"), "power")
    assert re.match(r"Twice the data cut the error by 2\d% \[2\d, 2\d\], from 2 to 400 hours", headline(page))
    assert "largest runs were predicted within" in headline(page)
    assert "This law assumes E = 0" in page
    assert not re.search(r'(src|href)="(http|//)', page)
    assert page.count('role="img" aria-label=') == page.count("<svg ")
    assert "environments" in page  # beside volume
    order = [page.index(f'<section id="{name}"') for name in ("check", "warnings", "law", "laws", "sensitivity")]
    assert order == sorted(order)


def test_a_floor_that_is_shown_is_named_with_its_interval(tmp_path: Path) -> None:
    page = page_of(write_amounts(tmp_path / "runs.csv", floor=0.3, alpha=0.7, noise=0.005, seeds=3), "power_floor")
    assert re.search(r"above a floor of 0\.\d+ \[0\.\d+, 0\.\d+\] by \d+% \[\d+, \d+\]", headline(page))


def test_a_doubling_is_that_of_the_whole_error_where_size_counts_too(tmp_path: Path) -> None:
    page = page_of(write_grid(tmp_path / "runs.csv"), "additive")
    found = re.search(
        r"500 to 1,000 hours, cut the error of the largest model by (\S+)% \[(\S+), (\S+)\]", headline(page)
    )
    assert found is not None
    share, low, high = map(float, found.groups())
    before, after = (0.05 + 30 * 1e7**-0.4 + 0.5 * hours**-0.35 for hours in (500, 1000))
    assert low <= 100 * (1 - after / before) <= high
    assert share < 10  # not the 22% of the part that data remove
    assert "towards a floor of 0.0" in headline(page)


def test_runs_without_a_law_get_a_refusal(tmp_path: Path) -> None:
    page = page_of(write_amounts(tmp_path / "runs.csv", alpha=0.0, noise=0.03), "power")
    assert headline(page).startswith("No law: twice the data, 200 to 400 hours, cut the error by ")
    assert "The runs carry no forecast" in page
    assert "the better buy" not in page
    assert "why not" not in page


@pytest.mark.slow
def test_ossifying_sizes_are_named(tmp_path: Path) -> None:
    page = page_of(write_grid(tmp_path / "runs.csv", ossify=True), "additive")
    assert "sizes stop absorbing data" in page
    assert re.search(r"<td>(ossifying|regressing)</td>", page)
    assert headline(page).startswith("Do not forecast with this law")


def test_prices_are_the_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, fit = write_grid(tmp_path / "runs.csv"), tmp_path / "runs-fit"
    wanted = ["--law", "additive", "--bootstrap", "20", "--no-report", "--out", str(fit)]
    assert main(["scale", "fit", str(runs), *wanted]) == 0
    assert not (fit / "report.json").exists()
    dear = tmp_path / "dear.html"
    assert main(["report", str(fit), "--out", str(dear), "--cost-hour", "6000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"report": str(dear)}
    assert "At 6000 for an hour of robot data" in dear.read_text()
    assert "training a larger model is the better buy" in dear.read_text()
    with pytest.raises(ConfigError, match="prices"):
        write_scaling_report(fit, cost_hour=-1.0)
    (fit / "report.json").write_text("{}")
    with pytest.raises(CounterpointError, match="scale fit"):
        write_scaling_report(fit)


def test_names_of_columns_are_no_formulas_and_no_markup(tmp_path: Path) -> None:
    hours, error = "h$\\frac{$", "<script>alert(1)</script>"
    runs = write_amounts(tmp_path / "runs.csv")
    runs.write_text(runs.read_text().replace("hours,error", f"{hours},{error}"))
    out = tmp_path / "fit"
    words = ["--amount", hours, "--loss", error, "--law", "power", "--bootstrap", "20", "--out", str(out)]
    assert main(["scale", "fit", str(runs), *words]) == 0
    assert "<script>" not in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.05, "0.05"), (300, "300"), (1000, "1,000"), (12_000, "12k"), (999_999, "1M"), (1.5e6, "1.5M"), (2e12, "2T")],
)
def test_numbers_in_few_characters(value: float, words: str) -> None:
    assert short(value) == words


@pytest.mark.parametrize("ends", [(1, 1000), (0.28, 0.33), (1e5, 1e7), (1, 1e12), (0.9, 1.1), (2, 50)])
def test_log_ticks_are_few_and_inside(ends: tuple[float, float]) -> None:
    found = ticks(*ends)
    assert 2 <= len(found) <= 8
    assert all(ends[0] * 0.99 <= each <= ends[1] * 1.01 for each in found)
    assert found == sorted(found)
