"""A tiny study end to end: planned, killed, resumed, held-out cells predicted before they run, failures kept."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.errors import ConfigError
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.engine import EngineName
from counterpoint.scaling.runs.study_table import read_rows
from counterpoint.scaling.runs.table import read_runs
from counterpoint.scaling.study.definition import Study, load_study, save_study
from counterpoint.scaling.study.execute import run_study
from counterpoint.scaling.study.plan import PlanConfig, plan_study
from counterpoint.scaling.study.subset import open_pool, take
from counterpoint.store import Store, StoreWriter
from counterpoint.train.config import DataConfig
from counterpoint.train.recipes import resolve

AMOUNTS = (1.0, 2.0, 4.0, 8.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "store"
    robot = synthetic_embodiment(3)
    with StoreWriter(root) as writer:
        for index in range(26):
            writer.add(synthetic_episode(robot, index, seed=2, duration_s=1.2))
    return root


def asked(store: Path, **changes: object) -> PlanConfig:
    training = replace(resolve("tiny"), data=DataConfig(stores=(store,), holdout_fraction=0.25), batch_windows=2)
    config = PlanConfig(
        recipe="tiny", training=training, sizes=(3e3, 1e4), amounts=AMOUNTS, num_seeds=1, budget_s=600.0, steps=8,
        floor_steps=2, multiples=(1.0, 2.0), validation_fraction=0.25,
    )  # fmt: skip
    return replace(config, **changes)  # type: ignore[arg-type]  # fields of PlanConfig by name


@pytest.fixture(scope="module")
def study(store: Path) -> Study:
    found = plan_study(asked(store)).study
    assert found.search is not None
    return replace(found, search=replace(found.search, widen=0))


def test_a_study_is_killed_resumed_and_released(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    save_study(study, folder, {})
    code = f"from pathlib import Path; from counterpoint.scaling.study.execute import run_study; run_study(Path({str(folder)!r}), workers=1, progress=False)"  # noqa: E501  # one line for -c
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while process.poll() is None and not list(folder.glob("runs/*/result.json")):
            time.sleep(0.02)
        process.kill()
    state = run_study(folder, workers=1, progress=False)
    assert (state.done, state.waiting, state.failures) == (3, 5, ())
    first = {str(row["run"]): row for row in read_rows(folder)}
    (check,) = state.checks
    assert (check.steps, check.longer_steps, check.error) == (4, 8, first[check.run]["error"])
    assert check.longer_error != check.error
    assert check.gain == pytest.approx(1 - check.longer_error / check.error)
    written_check = (folder / "training_check.json").read_text()
    assert json.loads(written_check) == {"checks": [check.to_dict()]}
    assert not any(row["held_out"] for row in first.values())
    assert not (folder / "prediction.json").exists()
    assert list(json.loads((folder / "rates.json").read_text())) == [str(study.sizes[0].size)]

    state = run_study(folder, workers=1, progress=False, predict=True)
    assert (state.done, state.waiting) == (3, 5)
    written = (folder / "prediction.json").read_bytes()
    state = run_study(folder, workers=1, progress=False, release=True)
    assert (state.done, state.total, state.waiting) == (8, 8, 0)
    assert (folder / "prediction.json").read_bytes() == written
    prediction = json.loads((folder / "prediction.json").read_text())
    assert [cell["data"] for cell in prediction["cells"]] == [8.0]
    assert len(json.loads((folder / "rates.json").read_text())) == 2
    rows = read_rows(folder)
    assert len(rows) == 16
    assert [row for row in rows if row["run"] in first and row["robot"] == "all"] == list(first.values())
    table = read_runs(folder / "runs.csv", needs_size=True)
    assert table.where("held_out").sum() == 5
    assert sorted(set(table.data.tolist())) == [*AMOUNTS]
    assert table.loss == pytest.approx(table.others["error_synthetic_3"].astype(np.float64))
    assert (table.others["flops"].astype(np.float64) > 0).all()
    assert run_study(folder, workers=1, progress=False, release=True).done == 8
    assert (folder / "training_check.json").read_text() == written_check
    assert len(read_rows(folder)) == 16


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray warns of its own ways
def test_a_study_on_ray_gives_the_errors_of_this_machine(study: Study, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    by_engine: dict[str, dict[str, object]] = {}
    try:
        names: tuple[EngineName, ...] = ("local", "ray")
        for engine in names:
            folder = tmp_path / engine
            save_study(replace(study, search=None), folder, {})
            state = run_study(folder, engine=engine, workers=2, progress=False)
            assert (state.done, state.failures) == (3, ())
            by_engine[engine] = {str(row["run"]): row["error"] for row in read_rows(folder) if row["robot"] == "all"}
    finally:
        ray.shutdown()
    assert by_engine["ray"] == by_engine["local"]


def test_what_is_saved_is_what_is_loaded_and_frozen(study: Study, tmp_path: Path) -> None:
    save_study(study, tmp_path, {})
    assert load_study(tmp_path) == study
    with pytest.raises(ConfigError, match="already exists"):
        save_study(study, tmp_path, {})
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(ConfigError, match="plan the study again"):
        load_study(tmp_path)
    with pytest.raises(ConfigError, match="not a study"):
        run_study(tmp_path / "nothing")


def test_failures_are_recorded_and_tried_again(study: Study, tmp_path: Path) -> None:
    free = replace(study, search=None, holdout="none", sizes=study.sizes[:1], amounts=study.amounts[:2])
    save_study(free, tmp_path, {})
    blocked = tmp_path / "runs" / free.runs()[0].name
    blocked.parent.mkdir()
    blocked.write_text("a file where a run's folder belongs")
    state = run_study(tmp_path, workers=1, progress=False)
    assert state.done == 1
    assert [failure.run for failure in state.failures] == [blocked.name]
    assert blocked.name in (tmp_path / "failures.jsonl").read_text()
    blocked.unlink()
    assert run_study(tmp_path, workers=1, progress=False).done == 2


def test_a_study_whose_stores_have_changed_is_refused(store: Path, study: Study, tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for index in range(26):
            writer.add(synthetic_episode(synthetic_embodiment(3), index, seed=9, duration_s=1.2))
    data = replace(study.training.data, stores=(tmp_path / "store",))
    save_study(replace(study, training=replace(study.training, data=data)), tmp_path / "study", {})
    with pytest.raises(ConfigError, match="have changed in the stores"):
        run_study(tmp_path / "study", workers=1, progress=False)
    assert len(Store.open(store)) == 26


def test_subsets_are_nested_and_apart_from_what_judges(store: Path, study: Study) -> None:
    pool = open_pool(study.training, 0.25)
    parts = [{one.episode_id for one in part["synthetic_3"]} for part in (pool.training, pool.validation)]
    parts.append({one.episode_id for one in pool.evaluation["synthetic_3"]})
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(Store.open(store))
    for order in (None, 0, 1):
        small, large = (
            [one.episode_id for one in take(pool, amount, "episodes", order)["synthetic_3"]] for amount in (2, 5)
        )
        assert small == large[:2]
    drawn = [{one.episode_id for one in take(pool, 5, "episodes", order)["synthetic_3"]} for order in (0, 1)]
    assert drawn[0] != drawn[1]
    seconds = pool.training["synthetic_3"][0].duration_s
    assert len(take(pool, 3 * seconds / 3600, "hours", None)["synthetic_3"]) == 3
