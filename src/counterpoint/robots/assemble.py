"""Build a `Robot` from its model file and its plan; descriptors are read from the model at the home pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import mujoco
import numpy as np

from counterpoint.core.embodiment import Channel, Embodiment, Side, StreamSpec, Unit, Vector3
from counterpoint.robots.builtin import RobotPlan
from counterpoint.robots.describe import PROPRIOCEPTION_HZ, acting_channels, driven_joints, proprioception
from counterpoint.robots.kinematics import Joint, as_vector3, joint_name, read_joints
from counterpoint.robots.robot import Arm, Robot

MODELS = Path(__file__).parent / "mjcf"
_UNIT_AXES: tuple[Vector3, Vector3, Vector3] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def assemble(plan: RobotPlan) -> Robot:
    """Read `mjcf/<name>.xml` and return the robot that `plan` makes of it."""
    path = MODELS / f"{plan.name}.xml"
    model = mujoco.MjSpec.from_file(str(path)).compile()
    data = mujoco.MjData(model)
    home = _home(model, plan)
    for name, position in home.items():
        data.qpos[model.joint(name).qposadr[0]] = position
    mujoco.mj_forward(model, data)
    joints = read_joints(model, data)
    part_of = {name: arm for arm in plan.arms for name in arm.joints}
    joints = {
        index: replace(joint, part="arm", side=part_of[joint.name].side) if joint.name in part_of else joint
        for index, joint in joints.items()
    }
    actuators = [model.actuator(index).name for index in range(model.nu)]
    commanded = acting_channels(model, joints, path.name)
    travel = _travel(model, plan)
    acting = tuple(_opening(channel, travel, home) for channel in commanded)
    driven = driven_joints(model, joints)
    return Robot(
        name=plan.name,
        embodiment=Embodiment(
            name=plan.name,
            sensing=(_proprioception(model, driven, acting), *_tool_streams(model, data, plan.arms)),
            acting=acting,
            control_rate_hz=plan.control_rate_hz,
            description=plan.description,
            source=plan.source,
        ),
        mjcf=path,
        arms=plan.arms,
        home=home,
        actuator_of={channel.name: name for channel, name in zip(acting, actuators, strict=True)},
        joint_of={channel.name: joint.name for channel, joint in zip(acting, driven, strict=True)},
        workspace=plan.workspace,
        table_height_m=plan.table_height_m,
        travel=travel,
    )


def _home(model: mujoco.MjModel, plan: RobotPlan) -> dict[str, float]:
    """Joints missing from the plan are sliding fingers, which start open, at their upper limit."""
    names = [joint_name(model, index) for index in range(model.njnt)]
    return {name: plan.home.get(name, float(model.joint(name).range[1])) for name in names}


def _travel(model: mujoco.MjModel, plan: RobotPlan) -> dict[str, tuple[float, float]]:
    """Return actuator values at 0 and at 1 of the parallel jaws, which act through a tendon."""
    jaws = [arm.gripper for arm in plan.arms if arm.gripper is not None]
    low_high = {name: model.actuator(name).ctrlrange for jaw in jaws for name in jaw.actuators}
    tendons = {name for name in low_high if model.actuator(name).trntype[0] == int(mujoco.mjtTrn.mjTRN_TENDON)}
    return {name: (float(low_high[name][0]), float(low_high[name][1])) for name in tendons}


def _opening(channel: Channel, travel: Mapping[str, tuple[float, float]], home: Mapping[str, float]) -> Channel:
    if channel.name not in travel:
        return channel
    closed, opened = travel[channel.name]
    return replace(
        channel,
        quantity="gripper_opening",
        unit="1",
        part="gripper",
        lower=0.0,
        upper=1.0,
        reference=(channel.reference - closed) / (opened - closed),
    )


def _proprioception(model: mujoco.MjModel, driven: list[Joint], acting: tuple[Channel, ...]) -> StreamSpec:
    """Positions under the names of the acting channels, then velocities; a joint's user number limits its velocity."""
    limits = {joint.name: float(model.jnt_user[joint.index, 0]) or np.inf for joint in driven}
    raw = proprioception(driven, limits).channels
    velocities = []
    for channel, velocity in zip(acting, raw[len(driven) :], strict=True):
        if channel.quantity == "joint_position":
            velocities.append(velocity)
    return StreamSpec(name="proprioception", channels=(*acting, *velocities), rate_hz=PROPRIOCEPTION_HZ)


def _tool_streams(model: mujoco.MjModel, data: mujoco.MjData, arms: tuple[Arm, ...]) -> tuple[StreamSpec, StreamSpec]:
    pose: list[Channel] = []
    force: list[Channel] = []
    for arm in arms:
        site = data.site(arm.tool_site)
        rotation, position = site.xmat.reshape(3, 3), as_vector3(site.xpos)
        prefix = "" if arm.side == "center" else f"{arm.side}/"
        pose += _pose_channels(prefix, arm.side, position, rotation)
        force += [
            _tool_channel(f"{prefix}{name}", "force", arm.side, as_vector3(rotation[:, index]), position, 0.0, index)
            for index, name in enumerate(("fx", "fy", "fz"))
        ]
    return (
        StreamSpec(name="tool_pose", channels=tuple(pose), rate_hz=PROPRIOCEPTION_HZ),
        StreamSpec(name="wrist_force", channels=tuple(force), rate_hz=PROPRIOCEPTION_HZ),
    )


def _pose_channels(prefix: str, side: Side, position: Vector3, rotation: np.ndarray) -> list[Channel]:
    """Return x, y, z and then the first two columns of the rotation matrix, column by column."""
    channels = [
        _tool_channel(f"{prefix}{name}", "position", side, _UNIT_AXES[row], position, position[row], row)
        for row, name in enumerate("xyz")
    ]
    for column in range(2):
        for row in range(3):
            name, value = f"{prefix}rotation_{row}{column}", round(float(rotation[row, column]), 9)
            channels.append(_tool_channel(name, "rotation", side, _UNIT_AXES[row], position, value, 3 * column + row))
    return channels


def _tool_channel(
    name: str,
    quantity: Literal["position", "rotation", "force"],
    side: Side,
    axis: Vector3,
    anchor: Vector3,
    reference: float,
    place: int,
) -> Channel:
    units: dict[str, Unit] = {"position": "m", "rotation": "1", "force": "N"}
    limit = 1.0 if quantity == "rotation" else np.inf
    return Channel(
        name=name,
        quantity=quantity,
        unit=units[quantity],
        lower=-limit,
        upper=limit,
        part="tool",
        side=side,
        chain_index=place,
        chain_length={"position": 3, "rotation": 6, "force": 3}[quantity],
        axis=axis,
        anchor=anchor,
        reference=reference,
    )
