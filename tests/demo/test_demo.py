"""The demo in small: plans, resuming, and (slow) the whole way on one robot and task."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from counterpoint.core.errors import ConfigError
from counterpoint.demo import DemoConfig, collecting, run_demo
from counterpoint.demo.collecting import plan_rounds
from counterpoint.demo.config import OTHER_STAGES_S, curve, rollouts, training, training_seconds
from counterpoint.demo.speed import README_TOKENS_PER_S, speed_sentence
from counterpoint.demo.stages import Stages
from counterpoint.evaluate.offline import OfflineConfig
from counterpoint.robots.library import load_robot
from counterpoint.sim.collect import collect
from counterpoint.sim.tasks import load_task
from counterpoint.store import Store

TINY = DemoConfig(
    robots=("ur5e",),
    tasks=("reach",),
    episodes={"reach": 14},
    recipe="tiny",
    train_s=4.0,
    holdout_fraction=0.3,
    delays_ms=(0.0, 100.0),
    rollout_episodes=2,
    law_amounts=(1, 2, 3, 4),
    law_steps=5,
    offline=OfflineConfig(samples=2, max_decisions=20),
)


def test_training_is_bounded_by_seconds_alone() -> None:
    base = training(DemoConfig(), (Path("data"),), {"ur5e": 1.0}, Path("train"), 11.0)
    assert (base.steps, base.max_seconds) == (None, 11.0)


@pytest.mark.parametrize("collect_s", [30.0, 120.0, 200.0, 290.0])
def test_slow_collection_takes_time_from_training_so_that_ten_minutes_suffice(collect_s: float) -> None:
    config = DemoConfig()
    seconds = training_seconds(config, collect_s)
    assert 60 <= seconds <= config.train_s
    assert collect_s + seconds + config.rollout_s + config.law_s + OTHER_STAGES_S <= 600
    assert training_seconds(config, 0.0) == config.train_s
    assert training_seconds(TINY, 0.0) == TINY.train_s


def test_rollouts_share_one_budget() -> None:
    plans = rollouts(DemoConfig(), Path("train"), Path("videos")).values()
    assert sum(plan.budget_s or 1e9 for plan in plans) == pytest.approx(DemoConfig().rollout_s)


def test_the_machine_is_compared_with_the_one_in_the_readme() -> None:
    half = speed_sentence(README_TOKENS_PER_S / 2, 2)
    assert f"{README_TOKENS_PER_S // 2:,} tokens/s on 2 cores" in half
    assert f"({README_TOKENS_PER_S:,})" in half
    assert "50% of that training" in half
    assert "expect lower success" in half
    assert "lower" not in speed_sentence(README_TOKENS_PER_S, 2)
    assert "faster" in speed_sentence(2 * README_TOKENS_PER_S, 2)


@pytest.mark.parametrize("steps_per_s", [1.0, 3.7, 20.0, 400.0])
def test_law_fits_its_budget_at_any_speed(steps_per_s: float) -> None:
    """A law's small model makes 1.5 times as many steps a second as the demo's model, so `curve` assumes."""
    config = DemoConfig()
    study = curve(config, training(config, (Path("data"),), {"ur5e": 1.0}, Path("train"), 300.0), steps_per_s)
    assert study.training.steps is not None
    rounds = math.ceil(len(study.amounts) / study.workers)
    assert rounds * study.training.steps / (1.5 * steps_per_s) <= config.law_s


def test_rounds_add_up() -> None:
    assert plan_rounds(50) == [20, 20, 10]
    assert plan_rounds(20) == [20]


@pytest.mark.sim
def test_rounds_collect_the_first_successes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "ROUND", 2)
    collecting.collect_all(tmp_path / "a", {("panda", "reach"): 5}, seed=0, workers=1, progress=False)
    collect(load_robot("panda"), load_task("reach"), 5, tmp_path / "b", seed=0, workers=1, progress=False)
    ids = [{info.episode_id for info in Store.open(tmp_path / name).episodes} for name in ("a", "b")]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 5


def test_law_runs_get_equal_steps_that_fit_the_machine() -> None:
    base = training(DemoConfig(), (Path("data"),), {"ur5e": 1.0}, Path("train"), 300.0)
    fast, slow = curve(DemoConfig(), base, 20.0), curve(DemoConfig(), base, 2.0)
    assert fast.training.steps == DemoConfig().law_steps
    assert slow.training.steps is not None
    assert slow.training.steps < DemoConfig().law_steps
    assert fast.training.max_seconds is None
    assert len(fast.amounts) >= 4


def test_rollouts_ask_for_three_delays_and_the_yardstick() -> None:
    plans = rollouts(DemoConfig(), Path("train"), Path("videos"))
    assert plans["model"].delays_ms == (0.0, 100.0, 200.0)
    assert plans["hold"].policy == "hold"
    assert plans["films"].video_dir == Path("videos")


def test_stages_that_are_done_are_not_repeated(tmp_path: Path) -> None:
    done: list[str] = []

    def work() -> str:
        done.append("x")
        return "did it"

    said: list[str] = []
    for _ in range(2):
        stages = Stages(tmp_path, total=1, cores=2, say=said.append)
        stages.run("collect", "some episodes", work)
        stages.close()
    assert done == ["x"]
    assert "already done" in said[-1]


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"config": {}, "logs": null}', encoding="utf-8")
    with pytest.raises(ConfigError, match="other settings"):
        run_demo(tmp_path, config=TINY, progress=False)
    with pytest.raises(ConfigError, match=r"demo\.episodes"):
        replace(TINY, tasks=("reach", "track"))


@pytest.mark.slow
@pytest.mark.sim
def test_the_whole_way(tmp_path: Path) -> None:
    said: list[str] = []
    result = run_demo(tmp_path / "demo", config=TINY, progress=False, say=said.append)
    html = result.report.read_text(encoding="utf-8")
    for anchor in ("closed-loop", "videos", "offline", "law", "data", "training", "cost"):
        assert f'id="{anchor}"' in html
    assert "ur5e" in result.summary
    assert any("tokens/s on" in line for line in said)
    again = run_demo(tmp_path / "demo", config=TINY, progress=False, say=said.append)
    assert again.seconds == result.seconds
