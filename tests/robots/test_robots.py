"""Our robots describe themselves truly, and commands survive the way to the actuators and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest

from counterpoint.core.descriptor import describe
from counterpoint.core.embodiment import embodiment_from_dict, embodiment_to_dict
from counterpoint.core.errors import UnknownNameError
from counterpoint.robots.library import load_embodiment, load_robot, simulated_robot_names
from counterpoint.robots.robot import Robot

pytestmark = pytest.mark.sim


def test_the_five_robots_have_their_degrees_of_freedom() -> None:
    counts = {name: len(load_robot(name).embodiment.acting) for name in simulated_robot_names()}
    assert counts == {"ur5e": 7, "panda": 8, "iiwa14": 8, "bimanual_panda": 16, "humanoid_upper": 20}


def test_joint_channels_match_the_model_at_home(robot: Robot, bench: Callable[..., Any]) -> None:
    table = bench(robot)
    for channel in robot.embodiment.acting:
        joint = table.model.joint(robot.joint_of[channel.name])
        assert np.linalg.norm(channel.axis) == pytest.approx(1.0, abs=1e-6)
        np.testing.assert_allclose(channel.axis, table.data.xaxis[joint.id], atol=1e-6)
        np.testing.assert_allclose(channel.anchor, table.data.xanchor[joint.id], atol=1e-6)
        assert channel.lower < channel.reference <= channel.upper
        if channel.quantity == "joint_position":
            assert (channel.lower, channel.upper) == pytest.approx(tuple(joint.range))
            assert channel.part in ("arm", "hand", "torso")
        expected = channel.name.split("/")[0] if "/" in channel.name else "center"
        assert channel.side == expected.replace("torso", "center")


def test_chains_count_from_the_base(robot: Robot) -> None:
    by_name = {channel.name: channel for channel in robot.embodiment.acting}
    for arm in robot.arms:
        places = [by_name[name].chain_index for name in arm.joints]
        assert places == list(range(places[0], places[0] + len(places)))
        assert all(by_name[name].chain_length > places[-1] for name in arm.joints)


def test_sensing_streams_carry_joints_velocities_tool_and_force(robot: Robot) -> None:
    streams = {spec.name: spec for spec in robot.embodiment.sensing}
    assert set(streams) == {"proprioception", "tool_pose", "wrist_force"}
    acting = robot.embodiment.acting_names
    names = streams["proprioception"].channel_names
    assert names[: len(acting)] == acting
    assert set(names[len(acting) :]) == {f"{c.name}/velocity" for c in robot.embodiment.acting if c.unit == "rad"}
    velocities = streams["proprioception"].channels[len(acting) :]
    assert all(np.isfinite(channel.upper) and channel.unit == "rad/s" for channel in velocities)
    assert len(streams["tool_pose"].channels) == 9 * len(robot.arms)
    assert len(streams["wrist_force"].channels) == 3 * len(robot.arms)
    for spec in streams.values():
        assert np.isfinite(describe(spec.channels)).all()


def test_tool_pose_reference_is_the_home_pose(robot: Robot, bench: Callable[..., Any]) -> None:
    table = bench(robot)
    spec = next(spec for spec in robot.embodiment.sensing if spec.name == "tool_pose")
    expected: list[float] = []
    for arm in robot.arms:
        position, rotation = table.tool(arm)
        expected += [*position, *rotation[:, 0], *rotation[:, 1]]
    np.testing.assert_allclose([channel.reference for channel in spec.channels], expected, atol=1e-6)


def test_commands_scale_to_actuators_and_back(robot: Robot, bench: Callable[..., Any]) -> None:
    table = bench(robot)
    channels = robot.embodiment.acting
    low, high = np.array([c.lower for c in channels]), np.array([c.upper for c in channels])
    ranges = table.model.actuator_ctrlrange[table.actuators]
    np.testing.assert_allclose(robot.to_ctrl(low), ranges[:, 0], atol=1e-5)
    np.testing.assert_allclose(robot.to_ctrl(high), ranges[:, 1], atol=1e-5)
    middle = (low + high) / 2
    np.testing.assert_allclose(robot.from_qpos(robot.to_ctrl(middle)), middle, atol=1e-5)
    np.testing.assert_allclose(table.measured(), robot.home_command, atol=1e-6)


def test_grippers_translate_openings(robot: Robot) -> None:
    for arm in robot.arms:
        assert arm.gripper is not None
        for opening in (0.0, 0.3, 1.0):
            assert arm.gripper.opening(arm.gripper.values(opening)) == pytest.approx(opening)


def test_models_attach_to_a_world_twice_with_gravity_compensated(robot: Robot) -> None:
    world = mujoco.MjSpec()
    for prefix, y in (("a-", -1.0), ("b-", 1.0)):
        world.attach(robot.spec(), prefix=prefix, frame=world.worldbody.add_frame(pos=[0.0, y, 0.0]))
    model = world.compile()
    assert model.nu == 2 * len(robot.actuator_of)
    assert (model.body_gravcomp[1:] == 1.0).all()


def test_embodiments_survive_json(robot: Robot) -> None:
    assert embodiment_from_dict(embodiment_to_dict(robot.embodiment)) == robot.embodiment


def test_unknown_robots_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'panda'"):
        load_robot("pandda")
    with pytest.raises(UnknownNameError, match="ur5e"):
        load_embodiment("ur5")
