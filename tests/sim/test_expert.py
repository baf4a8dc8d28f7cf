"""Experts: the controller's promises, success on every robot, recovery from disturbances."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from counterpoint.core.errors import UnknownNameError
from counterpoint.robots.library import load_robot, simulated_robot_names
from counterpoint.sim.expert.controller import ArmController
from counterpoint.sim.expert.disturbance import DisturbanceConfig, Disturber
from counterpoint.sim.expert.expert import Expert
from counterpoint.sim.task import Task, ToolGoal
from counterpoint.sim.tasks import TASKS, load_task
from counterpoint.sim.world import World

CELLS = [(r, t) for t in TASKS for r in simulated_robot_names() if load_task(t).fits(load_robot(r))]


def make_world(robot: str, task: Task | str, seed: int) -> World:
    return World(load_robot(robot), load_task(task) if isinstance(task, str) else task, seed=seed)


def controllers(world: World) -> list[ArmController]:
    return [
        ArmController(
            world.model,
            joints=arm.joints,
            tool_site=arm.tool_site,
            home=world.robot.home,
            control_period_s=world.control_period_s,
        )
        for arm in world.robot.arms
    ]


def roll_out(world: World, config: DisturbanceConfig | None = None) -> bool:
    expert = Expert(world)
    disturber = Disturber(world, world.seed, config) if config else None
    while not world.done:
        if disturber:
            disturber.step()
        world.step(expert.command(world))
    return world.success


@pytest.mark.parametrize(("robot", "task"), CELLS)
def test_experts_achieve_their_tasks(robot: str, task: str) -> None:
    assert [roll_out(make_world(robot, task, seed)) for seed in range(3)] == [True] * 3


@pytest.mark.parametrize(("robot", "task"), CELLS)
def test_experts_recover_from_pushes_nudges_and_slips(robot: str, task: str) -> None:
    worlds = [make_world(robot, task, seed) for seed in range(50, 54)]
    assert sum(roll_out(world, DisturbanceConfig()) for world in worlds) >= 3


def test_a_dropped_block_is_grasped_again() -> None:
    world = make_world("panda", replace(load_task("lift"), hold_s=3.0), 4)
    expert, closed = Expert(world), world.robot.arms[0].gripper
    assert closed is not None
    dropped = False
    while not world.timed_out and not (dropped and world.task.success(world.state())):
        if not dropped and world.task.success(world.state()):
            world.shift([0.0] * 7 + [1.0], 0.4)
        dropped |= world.state().arms["center"].opening > 0.9 and world.time_s > 1.2
        world.step(expert.command(world))
    assert dropped
    assert world.task.success(world.state())


@pytest.mark.parametrize("robot", simulated_robot_names())
def test_the_tool_converges_without_overshoot_and_the_joints_keep_their_limits(robot: str) -> None:
    world = make_world(robot, replace(load_task("reach"), hold_s=2.5, time_limit_s=3.0), 11)
    expert = Expert(world)
    distances, targets = [], []
    while not world.timed_out:
        state = world.state()
        targets.append(expert.command(world))
        distances.append(
            [np.linalg.norm(arm.position - state.object("target", side).position) for side, arm in state.arms.items()]
        )
        world.step(targets[-1])
    assert np.max(distances[-1]) < 0.005
    assert np.diff(distances, axis=0).max() < 0.003
    lower, upper = np.array([(c.lower, c.upper) for c in world.robot.embodiment.acting]).T
    assert (np.array(targets) >= lower - 1e-6).all()
    assert (np.array(targets) <= upper + 1e-6).all()


@pytest.mark.parametrize("robot", simulated_robot_names())
def test_goals_out_of_reach_give_bounded_commands_within_the_limits(robot: str) -> None:
    world = make_world(robot, "reach", 0)
    ranges = world.model.jnt_range
    for arm, controller in zip(world.robot.arms, controllers(world), strict=True):
        joints = [world.model.joint(name).id for name in arm.joints]
        limited = world.model.jnt_limited[joints].astype(bool)
        for position in ([3.0, 0.0, 0.0], [0.0, 0.0, 3.0], [-1.0, 2.0, -1.0]):
            target = controller.joint_targets(world.model, world.data, ToolGoal(position=np.array(position)))
            assert np.isfinite(target).all()
            assert (target >= ranges[joints, 0])[limited].all()
            assert (target <= ranges[joints, 1])[limited].all()
            here = world.data.qpos[world.model.jnt_qposadr[joints]]
            assert np.abs(target - here).max() < 2.0 * controller.lead_s.max() + 0.1


def test_at_the_goal_the_command_is_what_is_measured() -> None:
    world = make_world("ur5e", "reach", 0)
    (controller,) = controllers(world)
    position, rotation = controller.tool(world.data)
    target = controller.joint_targets(world.model, world.data, ToolGoal(position=position, rotation=rotation))
    np.testing.assert_allclose(target, world.measured()[:6], atol=2e-3)


def test_a_command_depends_on_the_state_alone() -> None:
    world = make_world("panda", "pick_place", 3)
    expert = Expert(world)
    for _ in range(15):
        world.step(expert.command(world))
    np.testing.assert_array_equal(expert.command(world), expert.command(world))
    np.testing.assert_array_equal(expert.command(world), Expert(world).command(world))


def test_the_idle_arm_stays_near_home() -> None:
    world = make_world("bimanual_panda", "lift", 1)
    busy = world.state().objects[0].side
    (idle,) = [arm for arm in world.robot.arms if arm.side != busy]
    assert roll_out(world)
    home = np.array([world.robot.home[name] for name in idle.joints])
    assert np.abs(world.state().arms[idle.side].joints - home).max() < 0.16


def test_disturbances_are_drawn_by_seed_and_absent_from_the_record() -> None:
    def commands(config: DisturbanceConfig) -> np.ndarray:
        world = make_world("ur5e", "lift", 2)
        disturber = Disturber(world, 9, config)
        for _ in range(20):
            disturber.step()
            world.step(world.robot.home_command)
        positions = world.measured()
        np.testing.assert_array_equal(
            np.asarray(world.streams()["action"].values), np.tile(world.robot.home_command, (20, 1))
        )
        return positions

    hard = DisturbanceConfig(push_hz=3.0)
    np.testing.assert_array_equal(commands(hard), commands(hard))
    off = DisturbanceConfig(push_hz=0.0, nudge_hz=0.0, slip_hz=0.0)
    assert np.abs(commands(hard) - commands(off)).max() > 0.01


def test_an_unknown_joint_is_named() -> None:
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><site name='tool'/></worldbody></mujoco>")
    with pytest.raises(UnknownNameError, match="joint_1"):
        ArmController(model, joints=["joint_1"], tool_site="tool", home={"joint_1": 0.0}, control_period_s=0.05)
