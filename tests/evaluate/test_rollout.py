"""Rollouts in simulated worlds: the two policies everybody has, plans, workers, films."""

from pathlib import Path

import av
import pytest

from counterpoint.core.errors import ConfigError, UnknownNameError
from counterpoint.evaluate.rollout import EVALUATION_SEED, RolloutConfig, plan_groups, rollout

pytestmark = pytest.mark.sim


def test_expert_reaches_and_hold_does_not() -> None:
    rates = {}
    for policy in ("expert", "hold"):
        (result,) = rollout(RolloutConfig(policy=policy, robots=("ur5e",), tasks=("reach",), episodes=4, workers=1))
        row = result.to_dict()
        assert {"robot", "task", "delay_ms", "strategy", "episodes", "success_rate", "ci95"} <= set(row)
        assert row["episodes"] == 4
        rates[policy] = row["success_rate"]
    assert rates == {"expert": 1.0, "hold": 0.0}


def test_workers_change_nothing() -> None:
    config = RolloutConfig(policy="linear", robots=("ur5e",), tasks=("reach", "track"), episodes=3, lanes=2)
    first = [result.to_dict() for result in rollout(config)]
    second = [result.to_dict() for result in rollout(RolloutConfig(**{**vars(config), "workers": 1}))]
    assert first == second


def test_plan_uses_the_same_unseen_worlds_for_each_delay() -> None:
    config = RolloutConfig(
        policy="hold", robots=("ur5e", "panda"), tasks=("reach",), delays_ms=(0.0, 200.0), episodes=5, lanes=2
    )
    groups = plan_groups(config)
    for robot in config.robots:
        for delay in config.delays_ms:
            seeds = [s for g in groups if (g.robot, g.delay_ms) == (robot, delay) for s in g.seeds]
            assert seeds == [EVALUATION_SEED + i for i in range(5)]


def test_films_are_small_and_play(tmp_path: Path) -> None:
    config = RolloutConfig(
        policy="expert", robots=("panda",), tasks=("reach",), episodes=2, workers=1, video_dir=tmp_path
    )
    (result,) = rollout(config)
    (path,) = result.videos
    assert path.stat().st_size < 300_000
    with av.open(str(path)) as film:
        assert film.streams.video[0].frames >= 10


def test_a_spent_budget_stops_early_and_counts_what_it_did() -> None:
    config = RolloutConfig(policy="hold", robots=("ur5e",), tasks=("reach",), episodes=4, lanes=1, workers=1)
    (result,) = rollout(RolloutConfig(**{**vars(config), "budget_s": 0.001}))
    assert result.to_dict()["episodes"] == 1


def test_rows_that_the_budget_did_not_reach_are_kept_as_not_measured() -> None:
    config = RolloutConfig(
        policy="hold", robots=("ur5e",), tasks=("reach",), delays_ms=(0.0, "measured"), episodes=1, workers=1,
        budget_s=0.001,
    )  # fmt: skip
    first, second = (result.to_dict() for result in rollout(config))
    assert first["episodes"] == 1
    assert (second["episodes"], second["success_rate"], second["ci95"], second["delay_ms"]) == (0, None, None, None)
    assert second["failed_seeds"] == []


def test_bad_requests() -> None:
    with pytest.raises(UnknownNameError, match="ur5e"):
        plan_groups(RolloutConfig(policy="hold", robots=("ur5",), tasks=("reach",)))
    with pytest.raises(ConfigError, match="none of the tasks"):
        plan_groups(RolloutConfig(policy="hold", robots=("ur5e",), tasks=("lift_box",)))
    with pytest.raises(ConfigError, match=r"rollout\.seed"):
        RolloutConfig(policy="hold", robots=("ur5e",), tasks=("reach",), seed=-1)
    with pytest.raises(ConfigError, match="delays_ms"):
        RolloutConfig(policy="hold", robots=("ur5e",), tasks=("reach",), delays_ms=(-1.0,))
