"""Gymnasium environments: the public checker, determinism, units."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from counterpoint.core.errors import UnknownNameError
from counterpoint.robots.library import load_robot, simulated_robot_names
from counterpoint.sim.env import WorldEnv
from counterpoint.sim.expert.expert import Expert
from counterpoint.sim.tasks import TASKS

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
    check_env(make(environment_id, render_mode="rgb_array"))


def test_every_environment_is_registered_once() -> None:
    fitting = [(r, t) for r in simulated_robot_names() for t, task in TASKS.items() if task.fits(load_robot(r))]
    registered = [each for each in gymnasium.registry if each.startswith("counterpoint/")]
    assert sorted(registered) == sorted(f"counterpoint/{robot}-{task}-v0" for robot, task in fitting)


def test_equal_seeds_give_equal_episodes() -> None:
    first, second = make("counterpoint/panda-reach-v0"), make("counterpoint/panda-reach-v0")
    one, info = first.reset(seed=4)
    other, _ = second.reset(seed=4)
    assert isinstance(info["instruction"], str)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    third, _ = first.reset()
    assert not np.array_equal(one["tool_pose"], third["tool_pose"])


def limits(env: WorldEnv) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the commands at the ends of the action space."""
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    return env.to_command(space.low), env.to_command(space.high)


def test_the_action_space_spans_the_limits_of_the_channels() -> None:
    env = make("counterpoint/ur5e-reach-v0")
    low, high = limits(env)
    channels = load_robot("ur5e").embodiment.acting
    assert low.tolist() == pytest.approx([channel.lower for channel in channels], abs=1e-3)
    assert high.tolist() == pytest.approx([channel.upper for channel in channels], abs=1e-3)
    assert env.to_command(np.zeros(len(channels), np.float32)) == pytest.approx((low + high) / 2, abs=1e-5)


def test_the_expert_is_rewarded() -> None:
    env = make("counterpoint/panda-reach-v0")
    env.reset(seed=1)
    expert = Expert(env.world)
    low, high = limits(env)
    total, over = 0.0, False
    while not over:
        _, reward, terminated, truncated, info = env.step(2 * (expert.command(env.world) - low) / (high - low) - 1)
        total, over = total + reward, terminated or truncated
    assert terminated
    assert total == 1.0
    assert info["is_success"]


def test_unknown_robot_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'panda'"):
        WorldEnv("pnada", "reach")
