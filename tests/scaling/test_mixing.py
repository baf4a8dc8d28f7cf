"""Mixing laws on simulated twins with planted laws, and mixtures that cannot carry one."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError
from counterpoint.scaling.mixtures.fit import advise
from counterpoint.scaling.mixtures.laws import MixLaw
from counterpoint.scaling.mixtures.table import read_mixtures

SOURCES = ("real", "sim", "web")
EFFECTS = np.asarray([[-2.5, -0.5, 0.5], [-0.3, -2.2, 0.4], [-1.8, -1.0, 0.0]])
FLOORS, LEVELS = np.asarray([0.02, 0.03, 0.01]), np.asarray([0.1, 0.12, 0.2])


def errors(shares: np.ndarray) -> np.ndarray:
    return np.asarray(FLOORS + LEVELS * np.exp(shares @ EFFECTS.T))


def truth() -> np.ndarray:
    """Return the best shares of the planted laws, by search."""
    grid = [np.asarray([a, b, 1 - a - b]) for a in np.linspace(0, 1, 201) for b in np.linspace(0, 1 - a, 201)]
    return min(grid, key=lambda each: float(np.log(errors(each[None])).mean()))


def twin(path: Path, *, count: int = 40, noise: float = 0.01, seed: int = 0, gamma: float | None = None) -> Path:
    """Write mixtures of 100 hours, or of 30 to 300 hours that count by `gamma`; shares where it is -1."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(3, 1.0), count)
    hours = np.full(count, 100.0) if gamma is None else np.geomspace(30, 300, count)
    found = errors(shares)
    if gamma is not None:
        found = FLOORS + (found - FLOORS) * (hours[:, None] / 100) ** -gamma
    found = found * np.exp(rng.normal(0, noise, found.shape))
    lines = ["mixture," + ",".join(f"hours_{each}" for each in SOURCES) + ",error_pick,error_place,error_fold,pick_kl"]
    for place, (share, hour, error) in enumerate(zip(shares, hours, found, strict=True)):
        cells = [f"m{place}", *map(str, share * hour), *map(str, error), "0.5"]
        lines.append(",".join(cells))
    path.write_text("\n".join(lines))
    return path


def test_planted_weights_and_ranks_come_back(tmp_path: Path) -> None:
    mixtures = read_mixtures(twin(tmp_path / "m.csv"))
    assert (mixtures.sources, mixtures.tasks) == (SOURCES, ("error_pick", "error_place", "error_fold"))
    advice = advise(mixtures, draws=40)
    best = truth()
    for name, share in zip(SOURCES, best, strict=True):
        found = advice.found.weights[name]
        assert abs(found.value - share) < 0.06
        assert found.ci95[0] - 0.01 <= share <= found.ci95[1] + 0.01
    for name, error in zip(mixtures.tasks, errors(best[None])[0], strict=True):
        assert advice.found.errors[name].value == pytest.approx(error, rel=0.03)
    assert advice.rank_correlation > 0.95
    assert advice.found.change.value < 1.02
    assert any("same hours" in words for words in advice.warnings)


def test_an_hour_is_worth_what_the_law_says(tmp_path: Path) -> None:
    gamma = 0.3
    mixtures = read_mixtures(twin(tmp_path / "m.csv", gamma=gamma, noise=0.003))
    advice = advise(mixtures, draws=40, current="m20")
    own = mixtures.take(mixtures.names == "m20")
    assert own.hours is not None
    amounts = own.shares[0] * own.hours[0]

    def aggregate(hours: np.ndarray) -> float:
        total = hours.sum()
        return float(np.log(FLOORS + (errors(hours / total) - FLOORS) * (total / 100) ** -gamma).mean())

    for j, name in enumerate(SOURCES):
        more = amounts.copy()
        more[j] += 1e-3
        expected = (aggregate(more) - aggregate(amounts)) / 1e-3
        found = advice.found.hour_values[name]
        assert found.ci95[0] < expected < found.ci95[1]
        assert abs(found.value - expected) < 4e-4
    assert advice.per == "hour"


def test_caps_are_kept(tmp_path: Path) -> None:
    mixtures = read_mixtures(twin(tmp_path / "m.csv"))
    advice = advise(mixtures, caps={"real": 20.0}, least={"web": 0.3}, hours=100.0, draws=10)
    weights = {name: each.value for name, each in advice.found.weights.items()}
    assert weights["real"] == pytest.approx(0.2, abs=1e-6)
    assert weights["web"] == pytest.approx(0.3, abs=1e-6)
    assert sum(weights.values()) == pytest.approx(1)
    with pytest.raises(ConfigError, match="did you mean 'real'"):
        advise(mixtures, caps={"reel": 20.0})
    with pytest.raises(ConfigError, match=r"caps leave 0.6 .* 60 of 100 hours"):
        advise(mixtures, caps={"real": 20.0, "sim": 20.0, "web": 20.0}, hours=100.0)
    with pytest.raises(ConfigError, match=r"--least: shares sum to 1\.2"):
        advise(mixtures, least={"real": 0.6, "sim": 0.6})
    with pytest.raises(ConfigError, match="--current: no mixture 'm99'"):
        advise(mixtures, current="m99")


@pytest.mark.parametrize("law", ["exp", "lgbm"])
def test_either_law_ranks_mixtures(tmp_path: Path, law: MixLaw) -> None:
    if law == "lgbm":
        pytest.importorskip("lightgbm")
    advice = advise(read_mixtures(twin(tmp_path / "m.csv", count=36)), law, draws=3)
    assert advice.rank_correlation > 0.8
    assert advice.fitted_by.startswith("LightGBM" if law == "lgbm" else "Huber")
    best = truth()
    found = np.asarray([each.value for each in advice.found.weights.values()])
    assert np.log(errors(found[None])).mean() < np.log(errors(best[None])).mean() + 0.08


def shares(rows: Sequence[tuple[object, ...]], header: str = "share_a,share_b,share_c,error") -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)])


GRID = [(a, b, 1 - a - b, math.exp(-a) + 0.2 * b) for a in (0.1, 0.3, 0.5) for b in (0.1, 0.2, 0.4)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (shares(GRID[:4]), "4 different mixtures of 3 sources, expected at least 5"),
        (
            shares([(a, b / 2, b / 2, e) for a, b, e in ((x, 1 - x, 1 + x) for x in np.linspace(0.1, 0.9, 9))]),
            "vary together",
        ),
        (shares([(a, 0.2, 0.8 - a, 1 + a) for a in np.linspace(0.1, 0.7, 9)]), "the share of b is the same"),
        (shares([(2 * a, b, c, e) for a, b, c, e in GRID]), "sum to"),
        (shares([(a, b, c, -e) for a, b, c, e in GRID]), "not positive and finite"),
        (shares([(-a, b, 1 + a - b, e) for a, b, c, e in GRID]), "not 0 or more"),
        (shares(GRID, "share_a,share_b,share_c,seed"), "no columns of errors"),
        (shares([(2 * a, b, c, e) for a, b, c, e in GRID], "a,b,c,error"), "two or more sources"),
        (shares(GRID, "share_a,hours_b,share_c,error"), "are mixed"),
        (shares(GRID, "hours_a,hours_b,minutes_c,error"), r"'minutes_c' \(minutes\): sources are counted in hours"),
        (shares([(a, b, c, 0.5) for a, b, c, _ in GRID]), "the same in every row"),
        (
            shares(
                [("x" if k < 2 else k, *row) for k, row in enumerate(GRID)], "mixture,share_a,share_b,share_c,error"
            ),
            "row 2: mixture 'x' has other shares",
        ),
    ],
)
def test_mixtures_that_cannot_carry_a_law(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ConfigError, match=words):
        advise(read_mixtures(tmp_path / "m.csv"), draws=2)


def test_shares_alone_and_corners_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(shares(GRID))
    advice = advise(read_mixtures(tmp_path / "m.csv"), draws=10)
    assert advice.per == "percent of the budget"
    assert advice.found.weights["a"].value > 0.9
    told = " ".join(advice.warnings)
    assert "extrapolation beyond the trained ones" in told
    assert "9 mixtures for 4 parameters" not in told
    assert "shares and no hours" in told
    with pytest.raises(ConfigError, match="--hours"):
        advise(read_mixtures(tmp_path / "m.csv"), caps={"a": 3.0})


def test_noise_is_not_called_a_law(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [(a, b, c, float(np.exp(rng.normal(0, 0.5)))) for a, b, c in rng.dirichlet(np.ones(3), 14)]
    (tmp_path / "m.csv").write_text(shares(rows))
    advice = advise(read_mixtures(tmp_path / "m.csv"), draws=20)
    assert any("do not choose a mixture by this law" in words for words in advice.warnings)


def test_one_row_a_mixture_and_task_set(tmp_path: Path) -> None:
    lines = ["mixture,task_set,share_a,share_b,share_c,next_action_error,reverse_kl"]
    for place, (a, b, c, e) in enumerate(GRID):
        lines += [f"m{place},{task},{a},{b},{c},{e * scale},0.1" for task, scale in (("pick", 1.0), ("fold", 2.0))]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    mixtures = read_mixtures(tmp_path / "m.csv")
    assert (len(mixtures), mixtures.tasks) == (9, ("fold", "pick"))
    np.testing.assert_allclose(np.exp(mixtures.log_errors[:, 0]), 2 * np.exp(mixtures.log_errors[:, 1]))
    (tmp_path / "torn.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(ConfigError, match="has no error on task set 'fold'"):
        read_mixtures(tmp_path / "torn.csv")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(twin(tmp_path / "m.csv"))
    words = ["scale", "mix", path, "--caps", "real=20,sim=90", "--hours", "100", "--bootstrap", "5"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["weights"]["real"]["value"] == pytest.approx(0.2, abs=1e-6)
    assert set(found["params"]["error_pick"]) == {"c", "k", "t"}
    assert main(words) == 0
    assert "error for one more hour" in capsys.readouterr().out
    assert main([*words, "--errors", "eror_pick"]) == 2
    assert "did you mean 'error_pick'" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["{}", "w_{}", "r_{}", "{}_percent", "proportion_{}", "{} (share)", "Share {}"])
def test_shares_are_found_however_they_are_spelt(tmp_path: Path, form: str) -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 12)
    factor = 100 if "percent" in form else 1
    lines = [",".join(["mixture", *(form.format(name) for name in SOURCES), "pick_mse", "steps"])]
    for place, (share, error) in enumerate(zip(shares, errors(shares), strict=True)):
        lines.append(",".join([f"m{place}", *map(str, factor * share), str(error[0]), "1000"]))
    (tmp_path / "m.csv").write_text("\n".join(lines))
    found = read_mixtures(tmp_path / "m.csv")
    assert (found.sources, found.tasks, found.hours) == (SOURCES, ("pick_mse",), None)
    assert found.shares == pytest.approx(shares)


def test_task_sets_of_any_spelling_are_no_seeds(tmp_path: Path) -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 10)
    lines = ["dataset,real_share,sim_share,web_share,Task set,Next-action error,Reverse KL"]
    for place, (share, error) in enumerate(zip(shares, errors(shares), strict=True)):
        for task, each in zip(("pick", "place", "fold"), error, strict=True):
            lines.append(",".join([f"m{place}", *map(str, share), task, str(each), "0.1"]))
    (tmp_path / "m.csv").write_text("\n".join(lines))
    found = read_mixtures(tmp_path / "m.csv")
    assert found.tasks == ("fold", "pick", "place")
    assert len(found) == 10


def test_caps_in_words_and_in_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = twin(tmp_path / "m.csv")
    words = ["scale", "mix", str(path), "--bootstrap", "5", "--json"]
    for caps in (["real=20,sim=30"], ["real=20", "sim=30"]):
        assert main([*words, "--caps", *caps, "--hours", "100"]) == 0
        weights = json.loads(capsys.readouterr().out)["weights"]
        assert [weights[name]["value"] for name in SOURCES] == pytest.approx([0.2, 0.3, 0.5], abs=1e-6)
    assert main([*words, "--caps", "real=1,sim=1", "--hours", "100"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert any("worse than the current one" in each for each in warnings)
    assert any("caps are read as hours, and none is above 1 of 100" in each for each in warnings)
    text = path.read_text().splitlines()
    rows = [
        [*row[:1], *(str(float(cell) / 100) for cell in row[1:4]), *row[4:]] for row in (r.split(",") for r in text[1:])
    ]
    path.write_text("\n".join([text[0].replace("hours_", "share_"), *map(",".join, rows)]))
    assert main([*words, "--caps", "real=0.2", "--most", "real=0.9", "sim=0.3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [found["weights"][name]["value"] for name in SOURCES] == pytest.approx([0.2, 0.3, 0.5], abs=1e-6)
    assert any("caps are read as shares" in each for each in found["warnings"])
    assert main([*words, "--caps", "real=20"]) == 2
    assert "--hours" in capsys.readouterr().err


def test_data_sets_that_are_no_blends_are_sent_to_transfer(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("dataset,task_set,next_action_mse,reverse_kl\na,pick,1,1\nb,pick,2,1\n")
    with pytest.raises(ConfigError, match="scale transfer"):
        read_mixtures(tmp_path / "m.csv")


def test_amounts_beside_hours_are_no_sources(tmp_path: Path) -> None:
    rows = [(10 * a, 10 * b, 10 * c, 60 * a, k, e) for k, (a, b, c, e) in enumerate(GRID)]
    (tmp_path / "m.csv").write_text(shares(rows, "hours_a,hours_b,hours_c,episodes_a,train_minutes,error"))
    assert read_mixtures(tmp_path / "m.csv").sources == ("a", "b", "c")


FORMS = ("{}_hours", "hours.{}", "Hours {}", "{} (hours)", "{} [h]", "data.hours.{}", "n_hours_{}", "{}_h")


@pytest.mark.parametrize("form", FORMS)
def test_hours_are_found_however_they_are_spelt(tmp_path: Path, form: str) -> None:
    hours = np.random.default_rng(0).uniform(10, 100, (8, 3))
    lines = [",".join(["mixture", *(form.format(name) for name in ("robot", "sim", "web")), "gpu_hours", "pick_mse"])]
    lines += [",".join([f"m{k}", *map(str, row), "7", str(1 / row[0])]) for k, row in enumerate(hours)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    found = read_mixtures(tmp_path / "m.csv")
    assert found.sources == ("robot", "sim", "web")
    assert found.hours == pytest.approx(hours.sum(axis=1))


def test_shares_beside_hours_in_all_know_their_volume(tmp_path: Path) -> None:
    path = twin(tmp_path / "m.csv", gamma=0.3)
    best = advise(read_mixtures(path), draws=2).found
    header, *rows = path.read_text().splitlines()
    lines = [header.replace("hours_", "share_") + ",total_hours"]
    for row in rows:
        name, *cells = row.split(",")
        total = sum(map(float, cells[:3]))
        lines.append(",".join([name, *(str(float(cell) / total) for cell in cells[:3]), *cells[3:], str(total)]))
    path.write_text("\n".join(lines))
    found = advise(read_mixtures(path), draws=2).found
    assert {name: each.value for name, each in found.weights.items()} == pytest.approx(
        {name: each.value for name, each in best.weights.items()}, abs=1e-4
    )
    assert found.hour_values["real"].value == pytest.approx(best.hour_values["real"].value, rel=1e-3)
