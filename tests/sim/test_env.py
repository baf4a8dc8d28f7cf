"""Gymnasium environments: the public checker, determinism, units."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from counterpoint.core.errors import UnknownNameError
from counterpoint.sim.env import WorldEnv, environment_ids, register_environments
from counterpoint.sim.expert.expert import Expert

pytestmark = pytest.mark.sim


def make(environment_id: str, **options: object) -> WorldEnv:
    env = gymnasium.make(environment_id, **options).unwrapped  # type: ignore[arg-type]  # typed for known keywords
    assert isinstance(env, WorldEnv)
    return env


@pytest.mark.parametrize(
    "environment_id",
    ["counterpoint/ur5e-push-v0", "counterpoint/panda-lift-v0", "counterpoint/bimanual_panda-lift_box-v0"],
)
def test_passes_the_checker_without_warnings(environment_id: str) -> None:
    assert environment_id in environment_ids()
    check_env(make(environment_id, render_mode="rgb_array"))


def test_every_environment_is_registered_once() -> None:
    register_environments()
    assert set(environment_ids()) <= set(gymnasium.registry)
    assert len(environment_ids()) >= 3 * 6


def test_equal_seeds_give_equal_episodes() -> None:
    first, second = make("counterpoint/panda-reach-v0"), make("counterpoint/panda-reach-v0")
    one, info = first.reset(seed=4)
    other, _ = second.reset(seed=4)
    assert isinstance(info["instruction"], str)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    third, _ = first.reset()
    assert not np.array_equal(one["tool_pose"], third["tool_pose"])


def test_actions_change_units_and_back() -> None:
    env = make("counterpoint/ur5e-reach-v0")
    env.reset(seed=0)
    command = env.world.measured()
    assert env.to_command(env.to_action(command)) == pytest.approx(command, abs=1e-5)


def test_the_expert_is_rewarded() -> None:
    env = make("counterpoint/panda-reach-v0")
    env.reset(seed=1)
    expert = Expert(env.world)
    total, over = 0.0, False
    while not over:
        _, reward, terminated, truncated, info = env.step(env.to_action(expert.command(env.world)))
        total, over = total + reward, terminated or truncated
    assert terminated
    assert total == 1.0
    assert info["is_success"]


def test_unknown_robot_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'panda'"):
        WorldEnv("pnada", "reach")
