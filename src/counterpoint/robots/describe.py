"""An embodiment from any MJCF or URDF that MuJoCo can load.

Acting channels come from actuators: a position servo gives `joint_position`, a velocity servo `joint_velocity`,
a motor `joint_effort` (the channel's value is then the effort at the joint: gear and gain are multiplied in).
A URDF has no actuators: each joint that is neither fixed nor a mimic is taken for a position servo. Reference
pose: keyframe `home`, else the first keyframe, else the model's default pose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np

from counterpoint.core.embodiment import Channel, Embodiment, Quantity, StreamSpec, Unit
from counterpoint.core.errors import EmbodimentError
from counterpoint.robots.kinematics import Joint, is_scalar, joint_name, read_joints
from counterpoint.robots.loading import load_model

PROPRIOCEPTION_HZ = 100.0
_VELOCITY_UNIT: dict[Unit, Unit] = {"rad": "rad/s", "m": "m/s"}
_EFFORT_UNIT: dict[Unit, Unit] = {"rad": "Nm", "m": "N"}


def embodiment_from_mjcf(
    source: Path | mujoco.MjSpec, *, name: str | None = None, control_rate_hz: float = 50.0
) -> Embodiment:
    """Describe the robot in an MJCF or URDF file, or in an editable model.

    Args:
        source: a file (`.xml`, `.mjcf`, `.urdf`), or a model already loaded.
        name: of the robot; the file's stem or the model's name where left out.
        control_rate_hz: rate at which the robot accepts commands, which model files do not contain.

    Raises:
        EmbodimentError: the file is missing, cannot be parsed or lacks its meshes; nothing is actuated;
            an actuator drives what is not a hinge or slide. The message names file and joint.
    """
    loaded = load_model(source)
    model, where, urdf = loaded.model, loaded.where, loaded.is_urdf
    joints = read_joints(model, reference_data(model))
    if urdf:
        driven = [joint for joint in joints.values() if joint.name not in loaded.mimics]
        acting = _servo_channels(driven, where)
    else:
        driven = driven_joints(model, joints)
        acting = acting_channels(model, joints, where)
    return Embodiment(
        name=name or robot_label(loaded.name),
        sensing=(proprioception(driven, loaded.velocity_limits),),
        acting=acting,
        control_rate_hz=control_rate_hz,
        description=f"read from {Path(where).name}",
        source=Path(where).name,
        metadata={"format": "urdf" if urdf else "mjcf", "actuators": "assumed" if urdf else "given"},
    )


def robot_label(text: str) -> str:
    """Return `text` as a robot name: lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "robot"


def reference_data(model: mujoco.MjModel) -> mujoco.MjData:
    """Return data at the reference pose: keyframe `home`, else the first keyframe, else the default pose."""
    data = mujoco.MjData(model)
    if model.nkey:
        names = [model.key(index).name for index in range(model.nkey)]
        mujoco.mj_resetDataKeyframe(model, data, names.index("home") if "home" in names else 0)
    return data


def acting_channels(model: mujoco.MjModel, joints: Mapping[int, Joint], where: str) -> tuple[Channel, ...]:
    """Return a channel for each actuator, in the model's order, named after its joint where that is unique.

    Raises:
        EmbodimentError: no actuators, or one whose transmission is not a hinge, a slide or a fixed tendon.
    """
    if not model.nu:
        raise EmbodimentError(
            f"{where}: the model has no actuators, so there is nothing to command; add <actuator><position "
            f'joint="..."/></actuator> for each driven joint ({_some_names(joints)})'
        )
    channels = [_actuator_channel(model, index, joints, where) for index in range(model.nu)]
    names = [channel.name for channel in channels]
    return tuple(
        replace(channel, name=_actuator_name(model, index)) if names.count(channel.name) > 1 else channel
        for index, channel in enumerate(channels)
    )


def driven_joints(model: mujoco.MjModel, joints: Mapping[int, Joint]) -> list[Joint]:
    """Return the joints that actuators drive, each once, in the order of the actuators."""
    driven = dict.fromkeys(_driven_joint(model, index)[0] for index in range(model.nu))
    return [joints[index] for index in driven if index in joints]


def proprioception(joints: Sequence[Joint], velocity_limits: Mapping[str, float] | None = None) -> StreamSpec:
    """Return the stream of joint positions, then joint velocities, of `joints`."""
    limits = velocity_limits or {}
    positions = [joint_channel(joint, "joint_position", joint.unit) for joint in joints]
    velocities = []
    for joint in joints:
        limit = limits.get(joint.name, np.inf)
        channel = joint_channel(joint, "joint_velocity", _VELOCITY_UNIT[joint.unit], (-limit, limit))
        velocities.append(replace(channel, name=f"{joint.name}/velocity"))
    return StreamSpec(name="proprioception", channels=(*positions, *velocities), rate_hz=PROPRIOCEPTION_HZ)


def joint_channel(joint: Joint, quantity: Quantity, unit: Unit, limits: tuple[float, float] | None = None) -> Channel:
    """Return the channel of `joint` that carries `quantity`; limits default to those of its position."""
    lower, upper = limits or (joint.lower, joint.upper)
    return Channel(
        name=joint.name,
        quantity=quantity,
        unit=unit,
        lower=lower,
        upper=upper,
        part=joint.part,
        side=joint.side,
        chain_index=joint.chain_index,
        chain_length=joint.chain_length,
        axis=joint.axis,
        anchor=joint.anchor,
        reference=joint.position if quantity == "joint_position" else 0.0,
    )


def _actuator_name(model: mujoco.MjModel, index: int) -> str:
    return model.actuator(index).name or f"actuator#{index}"


def _driven_joint(model: mujoco.MjModel, index: int) -> tuple[int, bool]:
    """Return the joint driven by actuator `index` (the first of a tendon's; -1 if none), and if through a tendon."""
    kind, target = int(model.actuator_trntype[index]), int(model.actuator_trnid[index, 0])
    if kind in (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT)):
        return target, False
    if kind == int(mujoco.mjtTrn.mjTRN_TENDON):
        first = int(model.tendon_adr[target])
        if int(model.wrap_type[first]) == int(mujoco.mjtWrap.mjWRAP_JOINT):
            return int(model.wrap_objid[first]), True
    return -1, False


def _actuator_channel(model: mujoco.MjModel, index: int, joints: Mapping[int, Joint], where: str) -> Channel:
    target, is_tendon = _driven_joint(model, index)
    name = _actuator_name(model, index)
    if target < 0:
        kind = mujoco.mjtTrn(int(model.actuator_trntype[index])).name.removeprefix("mjTRN_").lower()
        raise EmbodimentError(
            f"{where}: actuator {name!r} drives a {kind}; expected a hinge, a slide or a fixed tendon of these. "
            "Replace it by actuators on the joints themselves, or remove it"
        )
    if not is_scalar(model, target):
        kind = mujoco.mjtJoint(int(model.jnt_type[target])).name.removeprefix("mjJNT_").lower()
        raise EmbodimentError(
            f"{where}: actuator {name!r} drives joint {joint_name(model, target)!r}, which is a {kind} joint; "
            "expected a hinge or a slide. Replace it by up to three hinges, or remove the actuator"
        )
    joint = joints[target]
    quantity, unit, limits = _command(model, index, joint)
    channel = joint_channel(joint, quantity, unit, limits)
    return replace(channel, name=name) if is_tendon else channel


def _command(model: mujoco.MjModel, index: int, joint: Joint) -> tuple[Quantity, Unit, tuple[float, float]]:
    """Return what the actuator's command means, after its gain and bias: servo or motor."""
    gain, bias = model.actuator_gainprm[index], model.actuator_biasprm[index]
    limited, low_high = bool(model.actuator_ctrllimited[index]), model.actuator_ctrlrange[index]
    ctrl = (float(low_high[0]), float(low_high[1])) if limited else (-np.inf, np.inf)
    gear = float(model.actuator_gear[index, 0])
    affine = int(model.actuator_biastype[index]) == int(mujoco.mjtBias.mjBIAS_AFFINE)
    if affine and gain[0] != 0 and np.isclose(bias[1], -gain[0]) and gear:
        low, high = sorted((ctrl[0] / gear, ctrl[1] / gear))
        return "joint_position", joint.unit, (max(low, joint.lower), min(high, joint.upper)) if limited else _own(joint)
    if affine and gain[0] != 0 and bias[1] == 0 and np.isclose(bias[2], -gain[0]) and gear:
        low, high = sorted((ctrl[0] / gear, ctrl[1] / gear))
        return "joint_velocity", _VELOCITY_UNIT[joint.unit], (low, high)
    if int(model.actuator_gaintype[index]) == int(mujoco.mjtGain.mjGAIN_FIXED) and gear * gain[0]:
        low, high = sorted((ctrl[0] * gear * float(gain[0]), ctrl[1] * gear * float(gain[0])))
        return "joint_effort", _EFFORT_UNIT[joint.unit], (low, high)
    return "unknown", "1", ctrl


def _own(joint: Joint) -> tuple[float, float]:
    return joint.lower, joint.upper


def _servo_channels(driven: Sequence[Joint], where: str) -> tuple[Channel, ...]:
    if not driven:
        raise EmbodimentError(
            f"{where}: every joint is fixed, so there is nothing to command; is this the whole robot?"
        )
    return tuple(joint_channel(joint, "joint_position", joint.unit) for joint in driven)


def _some_names(joints: Mapping[int, Joint]) -> str:
    names = [joint.name for joint in joints.values()]
    return f"joints: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "it has no joints either"
