"""Our robots move as a task relies on: they hold, track, reach, grasp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from counterpoint.robots.robot import Robot

pytestmark = pytest.mark.sim
POINTING_DOWN = np.diag([1.0, -1.0, -1.0])


def test_home_has_tools_pointing_down_above_the_middle_of_the_workspace(
    robot: Robot, bench: Callable[..., Any]
) -> None:
    table = bench(robot)
    table.run(0.5)  # gravity is on: the servos must hold
    for arm in robot.arms:
        position, rotation = table.tool(arm)
        np.testing.assert_allclose(rotation, POINTING_DOWN, atol=5e-3)
        low, high = np.asarray(robot.workspace[arm.side])
        assert (position > low).all()
        assert (position < high).all()
        assert 0.15 <= position[2] - robot.table_height_m <= 0.25


def test_servos_track_a_ramp_of_one_radian_a_second(robot: Robot, bench: Callable[..., Any]) -> None:
    for index, channel in enumerate(robot.embodiment.acting):
        if channel.quantity != "joint_position":
            continue
        table = bench(robot)
        home = robot.home_command
        span = min(0.3, 0.2 * (channel.upper - channel.lower))
        # Away from the table and from the limits: folding up is what the second joint does backwards.
        away = -1.0 if channel.name.endswith("joint_2") or home[index] + span > channel.upper else 1.0
        lags, overshoot = [], 0.0
        for step in range(round(span / 0.002) + 200):
            command = home.copy()
            command[index] += away * min(step * 0.002, span)
            table.command(command)
            table.run(0.002)
            behind = away * float(command[index] - table.measured()[index])
            overshoot = max(overshoot, -behind)
            if 0.6 * span < step * 0.002 < span:
                lags.append(behind)
        assert np.mean(lags) < 0.05, f"{robot.name} {channel.name}: lags {np.mean(lags):.3f} s behind a 1 rad/s ramp"
        assert overshoot < 0.01, f"{robot.name} {channel.name}: overshoots by {overshoot:.4f} rad"
        assert abs(behind) < 0.002, f"{robot.name} {channel.name}: settles {behind:.4f} rad off"


def test_every_point_of_the_workspace_is_reachable_pointing_down(
    robot: Robot, bench: Callable[..., Any], reach: Callable[..., tuple[float, float]]
) -> None:
    random = np.random.default_rng(0)
    for arm in robot.arms:
        low, high = np.asarray(robot.workspace[arm.side])
        assert ((high - low)[:2] >= 0.25 - 1e-9).all()
        assert low[2] >= robot.table_height_m + 0.01  # the fingertips reach 1 cm below the tool
        corners = [np.where(corner, high, low) for corner in np.ndindex(2, 2, 2)]
        table = bench(robot)
        for goal in [*corners, *random.uniform(low, high, (25, 3))]:
            metres, radians = reach(table, arm, goal)
            assert metres < 2e-3, f"{robot.name} {arm.side}: {goal} missed by {metres * 1e3:.1f} mm"
            assert radians < 0.02


@pytest.mark.parametrize(("half_m", "mass_kg"), [(0.02, 0.05), (0.025, 0.2)])
def test_grippers_hold_a_cube_while_shaken(
    robot: Robot, bench: Callable[..., Any], half_m: float, mass_kg: float
) -> None:
    names = robot.embodiment.acting_names
    for arm in robot.arms:
        assert arm.gripper is not None
        at, _ = bench(robot).tool(arm)
        table = bench(robot, at, half_m, mass_kg)
        closed = robot.home_command.copy()
        for channel, value in zip(arm.gripper.channels, arm.gripper.closed, strict=True):
            closed[names.index(channel)] = value
        table.command(closed)
        table.model.opt.gravity[2] = 0.0  # until the fingers have closed
        table.run(0.6)
        table.model.opt.gravity[2] = -9.81
        opening = arm.gripper.opening([table.measured()[names.index(name)] for name in arm.gripper.channels])
        assert 0.25 < opening < 0.75, "the fingers should stop at the cube"
        shoulder, wrist = names.index(arm.joints[1]), names.index(arm.joints[-1])
        for step in range(100):
            command = closed.copy()
            command[shoulder] += 0.08 * np.sin(2 * np.pi * 2.0 * step * 0.02)
            command[wrist] += 0.3 * np.sin(2 * np.pi * 1.0 * step * 0.02)
            table.command(command)
            table.run(0.02)
        tool, _ = table.tool(arm)
        slip = float(np.linalg.norm(table.data.body("cube").xpos - tool))
        assert slip < 0.012, f"{robot.name} {arm.side}: the cube slipped by {slip * 1e3:.1f} mm in 2 s"


def test_closed_fingers_have_a_firm_outer_face(robot: Robot, bench: Callable[..., Any]) -> None:
    """Two arms press a box between the outer faces of closed fingers: 15 N must not push the fingers away."""
    names = robot.embodiment.acting_names
    for arm in robot.arms:
        assert arm.gripper is not None
        table = bench(robot)
        closed = robot.home_command.copy()
        for channel, value in zip(arm.gripper.channels, arm.gripper.closed, strict=True):
            closed[names.index(channel)] = value
        table.command(closed)
        table.run(0.6)
        joint = table.model.joint(robot.joint_of[arm.gripper.channels[0]])
        before = float(table.data.qpos[joint.qposadr[0]])
        lever = 1.0 if table.model.jnt_type[joint.id] == 2 else 0.055  # a slide, or a digit of 5.5 cm
        table.data.qfrc_applied[joint.dofadr[0]] = -15.0 * lever
        table.run(0.3)
        assert abs(float(table.data.qpos[joint.qposadr[0]]) - before) * lever < 0.003
