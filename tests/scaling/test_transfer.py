"""Transfer on simulated twins with known answers, and on tables of data sets by task sets."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError
from counterpoint.scaling.transfer.analysis import transfer
from counterpoint.scaling.transfer.ratios import ratios

K, ALPHA, BETA = 0.05, 0.4, 0.35
SIZES, AMOUNTS = np.geomspace(1e5, 1e7, 5), np.geomspace(1, 200, 7)


def scratch(size: float, data: float) -> float:
    return float(0.04 + 20 * size**-0.4 + 0.6 * data**-0.4)


def twin(path: Path, kinds: dict[str, str], *, noise: float = 0.01, seed: int = 0, sizes: np.ndarray = SIZES) -> Path:
    """Write runs of sets that help (a planted transfer law), hurt (20% worse), ossify, do nothing."""
    rng = np.random.default_rng(seed)
    lines = ["params,hours,error,seed,pretrain"]
    for name, kind in {"none": "none", **kinds}.items():
        for size in sizes:
            for data in AMOUNTS:
                for k in range(2):
                    extra = K * data**ALPHA * size**BETA if kind == "helps" else 0.0
                    error = scratch(size, data + extra) * math.exp(rng.normal(0, noise))
                    error *= 1.2 if kind == "hurts" else 1.0
                    error *= 0.75 * (data / AMOUNTS[0]) ** 0.09 if kind == "ossifies" else 1.0
                    lines.append(f"{size},{data},{error},{k},{name}")
    path.write_text("\n".join(lines))
    return path


def test_planted_transfer_comes_back(tmp_path: Path) -> None:
    kinds = {"web": "helps", "other": "hurts", "late": "ossifies", "nothing": "nothing"}
    study = transfer(twin(tmp_path / "runs.csv", kinds), law="additive", draws=30)
    found = {each.name: each for each in study.sets}
    assert [found[name].verdict for name in kinds] == ["helps", "hurts", "ossifies", "no difference"]
    web = found["web"]
    assert web.identified
    for name, truth in (("k", K), ("alpha", ALPHA), ("beta", BETA)):
        low, high = web.law[name].ci95
        assert low < truth < high, name
    assert abs(web.law["alpha"].value - ALPHA) < 0.15
    first = web.amounts[0]
    assert first.multiplier == pytest.approx(1 + K * AMOUNTS[0] ** (ALPHA - 1) * SIZES[0] ** BETA, rel=0.5)
    assert set(web.by_size.values()) == {"helps"}
    assert not found["nothing"].identified
    assert any("not identified" in words for words in found["nothing"].warnings)
    assert found["other"].gain.ratio == pytest.approx(1.2, rel=0.02)


def test_one_size_has_no_exponent_of_size_and_intervals_hold_the_truth(tmp_path: Path) -> None:
    held = {"k": 0, "alpha": 0}
    for seed in range(6):
        path = twin(tmp_path / "runs.csv", {"web": "helps"}, sizes=SIZES[2:3], seed=seed)
        study = transfer(path, law="power_floor", draws=40)
        assert study.scratch.estimate.law.name == "power_floor"
        (web,) = study.sets
        assert set(web.law) == {"k", "alpha"}
        assert abs(web.law["alpha"].value - ALPHA) < 0.1
        for name, value in (("k", K * SIZES[2] ** BETA), ("alpha", ALPHA)):
            held[name] += web.law[name].ci95[0] < value < web.law[name].ci95[1]
    assert min(held.values()) >= 5  # 95% intervals: one of six may miss


def test_noise_that_hides_everything_is_not_identifiable(tmp_path: Path) -> None:
    path = twin(tmp_path / "runs.csv", {"web": "nothing"}, noise=0.01, sizes=SIZES[:1])
    header, *lines = path.read_text().splitlines()
    first = [line.split(",") for line in lines if line.endswith("web")][:2]
    wild = [
        ",".join([*row[:2], str(float(row[2]) * factor), *row[3:]])
        for row, factor in zip(first, (0.6, 1.6), strict=True)
    ]
    noisy = [header, *(line for line in lines if not line.endswith("web")), *wild]
    path.write_text("\n".join(noisy))
    (web,) = transfer(path, law="power_floor", draws=40).sets
    assert (web.verdict, web.identified, web.law) == ("not identifiable", False, {})


def test_what_is_refused(tmp_path: Path) -> None:
    path = twin(tmp_path / "runs.csv", {"web": "helps"})
    with pytest.raises(ConfigError, match="did you mean 'pretrain'"):
        transfer(path, pretrain="pretrian")
    with pytest.raises(ConfigError, match="no runs from scratch"):
        transfer(path, drop="pretrain == 'none'")
    with pytest.raises(ConfigError, match="marks no run as pretrained"):
        transfer(path, drop="pretrain == 'web'")
    with pytest.raises(ConfigError, match="the law from scratch, 2 runs"):
        transfer(path, drop="pretrain == 'none' and (hours > 2 or params > 2e5)")
    with pytest.raises(ConfigError, match="--law"):
        transfer(path, law="broken")
    (tmp_path / "bare.csv").write_text("hours,error\n1,2\n2,1\n")
    with pytest.raises(ConfigError, match="--pretrain"):
        transfer(tmp_path / "bare.csv")


def table_one(path: Path, *, wide: bool = False, seed: int = 0) -> Path:
    """Write 8 data sets x 10 task sets; set s has an error of 0.9^(s/2) of the first's, KL the other way round."""
    rng = np.random.default_rng(seed)
    difficulty = 0.003 * np.exp(rng.normal(0, 0.3, 10))
    cells = {
        (f"set{s}", f"task{t}"): (
            difficulty[t] * 0.9 ** (s / 2) * math.exp(rng.normal(0, 0.01)),
            0.6 * difficulty[t] * 1.05**s * math.exp(rng.normal(0, 0.02)),
        )
        for s in range(8)
        for t in range(10)
    }
    if wide:
        names = [f"task{t}_{metric}" for t in range(10) for metric in ("error", "kl")]
        rows = [
            ",".join([f"set{s}", *(str(value) for t in range(10) for value in cells[f"set{s}", f"task{t}"])])
            for s in range(8)
        ]
        path.write_text("\n".join([",".join(["dataset", *names]), *rows]))
    else:
        rows = [f"{s},{t},{error},{kl}" for (s, t), (error, kl) in cells.items()]
        path.write_text("\n".join(["dataset,task_set,next_action_error,reverse_kl", *rows]))
    return path


def test_data_sets_by_task_sets(tmp_path: Path) -> None:
    found = ratios(table_one(tmp_path / "table.csv"), reference="set0")
    assert (found.error, len(found.sets)) == ("next_action_error", 7)
    for each in found.sets:
        s = int(each.name[3:])
        low, high = each.metrics["next_action_error"].ci95
        assert low < 0.9 ** (s / 2) < high or abs(each.metrics["next_action_error"].ratio - 0.9 ** (s / 2)) < 0.02
        assert each.verdict == "helps"
        assert each.metrics["reverse_kl"].ratio == pytest.approx(1.05**s, rel=0.05)
        assert each.multiplier is None
    free = ratios(tmp_path / "table.csv")
    assert any("no runs from scratch" in words for words in free.warnings)
    assert {each.verdict for each in free.sets if each.name in ("set0", "set1")} == {"hurts"}
    with pytest.raises(ConfigError, match="did you mean 'set0'"):
        ratios(tmp_path / "table.csv", reference="set_0")
    with pytest.raises(ConfigError, match="one pretraining set only"):
        ratios(tmp_path / "table.csv", drop="dataset != 'set1'")
    wide = ratios(table_one(tmp_path / "wide.csv", wide=True), reference="set0")
    assert wide.sets[0].tasks == 10
    assert wide.sets[0].metrics["error"].ratio == pytest.approx(found.sets[0].metrics["next_action_error"].ratio)
    assert "reverse KL" in wide.sets[0].metrics


NAMES = (
    ("dataset", "task_set", "next_action_mse", "reverse_kl"),
    ("Pretraining mixture", "Task set", "Next-action prediction error (MSE)", "Reverse KL"),
    ("data", "task", "error", "kl"),
    ("data_set", "benchmark", "val_loss", "reverse-kl"),
)


@pytest.mark.parametrize("names", NAMES)
def test_columns_are_found_however_they_are_spelt(tmp_path: Path, names: tuple[str, ...]) -> None:
    truth = ratios(table_one(tmp_path / "table.csv")).to_dict()["sets"]
    _, *rows = (tmp_path / "table.csv").read_text().splitlines()
    (tmp_path / "table.csv").write_text("\n".join([",".join(names), *rows]))
    found = ratios(tmp_path / "table.csv")
    assert found.error == names[2]
    assert [each.metrics[names[2]].ratio for each in found.sets] == [
        each["ratios"]["next_action_error"]["ratio"] for each in truth  # type: ignore[union-attr, index, call-overload]  # plain JSON
    ]  # fmt: skip


def layouts(folder: Path) -> dict[str, Path]:
    """Write the same 3 data sets x 4 task sets in several layouts; set c has 0.8 times the errors of set a."""
    sets, tasks = {"a": 1.0, "b": 0.9, "c": 0.8}, {"pick": 0.1, "fold": 0.2, "sort": 0.4, "pour": 0.3}
    error = {(s, t): factor * level for s, factor in sets.items() for t, level in tasks.items()}
    text = {
        "amounts": ["dataset,pretrain_hours," + ",".join(f"{t}_mse" for t in tasks)]
        + [",".join([s, str(10 ** (3 * k)), *(str(error[s, t]) for t in tasks)]) for k, s in enumerate(sets)],
        "hours": ["dataset,hours,seed," + ",".join(tasks)]
        + [",".join([s, str(10 ** (3 * k)), "0", *(str(error[s, t]) for t in tasks)]) for k, s in enumerate(sets)],
        "turned": ["task_set," + ",".join(sets)] + [",".join([t, *(str(error[s, t]) for s in sets)]) for t in tasks],
        "metrics": ["dataset,task_set,metric,value"]
        + [f"{s},{t},{m},{error[s, t] * f}" for s in sets for t in tasks for m, f in (("mse", 1.0), ("kl", 7.0))],
        "semicolons": ["dataset;task_set;mse"] + [f"{s};{t};{error[s, t]}" for s, t in error],
    }  # fmt: skip
    for name, lines in text.items():
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return {name: folder / f"{name}.csv" for name in text}


@pytest.mark.parametrize("layout", ["amounts", "hours", "turned", "metrics", "semicolons"])
def test_an_amount_is_never_taken_for_an_error(tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = layouts(tmp_path)[layout]
    assert main(["scale", "transfer", str(path), "--reference", "a", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["ratios"][found["error"]]["ratio"] for each in found["sets"]] == pytest.approx([0.9, 0.8])
    assert [each["task_sets"] for each in found["sets"]] == [4, 4]
    assert any("assumed to be errors" in words for words in found["warnings"]) == (layout == "hours")


def test_cells_that_are_no_numbers_or_there_twice_are_named(tmp_path: Path) -> None:
    path = table_one(tmp_path / "table.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "set0,task0,9.0,9.0"]))
    assert any("1 rows repeat" in words for words in ratios(path).warnings)
    seeds = [f"{line},{k}" for k, line in enumerate(lines[1:])]
    path.write_text("\n".join([f"{lines[0]},seed", *seeds, "set0,task0,9.0,9.0,900"]))
    assert not any("repeat" in words for words in ratios(path).warnings)
    path.write_text(
        "\n".join([f"{lines[0]},params", *(f"{line},{1e6 if k else 2e6}" for k, line in enumerate(lines[1:]))])
    )
    with pytest.raises(ConfigError, match=r"'set0' and 'set1' were tried with different sizes.*--drop"):
        ratios(path)
    path.write_text("\n".join([*lines[:-1], "set7,task9,0.1 rad2,0.3"]))
    with pytest.raises(ConfigError, match=r"'next_action_error' is not numbers \('0.1 rad2'\)"):
        ratios(path)


@pytest.mark.parametrize("names", ["N,D_F,loss,seed,pretrained", "params,finetune_hours,error,seed,pretrain_data"])
def test_fine_tuning_data_is_found_by_its_name(tmp_path: Path, names: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = twin(tmp_path / "runs.csv", {"web": "helps"}, sizes=SIZES[2:3])
    _, *rows = path.read_text().splitlines()
    path.write_text("\n".join([names, *rows]))
    assert main(["scale", "transfer", str(path), "--law", "power_floor", "--bootstrap", "20", "--json"]) == 0
    law = json.loads(capsys.readouterr().out)["sets"][0]["law"]
    assert abs(law["alpha"]["value"] - ALPHA) < 0.15


def test_runs_without_any_difference_are_refused(tmp_path: Path) -> None:
    path = twin(tmp_path / "runs.csv", {"web": "helps"}, sizes=SIZES[2:3])
    lines = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("\n".join([",".join(lines[0]), *(",".join([*row[:2], "0.5", *row[3:]]) for row in lines[1:])]))
    with pytest.raises(ConfigError, match="never changes"):
        transfer(path)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = str(twin(tmp_path / "runs.csv", {"web": "helps"}, sizes=SIZES[2:3]))
    assert main(["scale", "transfer", runs, "--law", "power_floor", "--bootstrap", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sets"][0]["verdict"] == "helps"
    assert main(["scale", "transfer", runs, "--law", "power_floor", "--bootstrap", "20"]) == 0
    assert "web: helps." in capsys.readouterr().out
    table = str(table_one(tmp_path / "table.csv"))
    fit = str(tmp_path / "fit")
    assert (
        main(["scale", "fit", runs, "--law", "power", "--drop", "pretrain == 'web'", "--bootstrap", "20", "--out", fit])
        == 0
    )
    capsys.readouterr()
    assert main(["scale", "transfer", table, "--reference", "set0", "--scratch-fit", fit, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sets"][-1]["data_multiplier"]["value"] > 2
    assert main(["scale", "transfer", table, "--loss", "next_action_eror"]) == 2
    assert "did you mean 'next_action_error'" in capsys.readouterr().err
