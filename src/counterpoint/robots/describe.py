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
from xml.etree import ElementTree

import mujoco
import numpy as np

from counterpoint.core.embodiment import Channel, Embodiment, Quantity, StreamSpec, Unit
from counterpoint.core.errors import EmbodimentError
from counterpoint.robots.kinematics import Joint, is_scalar, joint_name, read_joints

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
        control_rate_hz: model files do not say at which rate a robot takes commands.

    Raises:
        EmbodimentError: the file is missing, cannot be parsed or lacks its meshes; nothing is actuated;
            an actuator drives what is not a hinge or slide. The message names file and joint.
    """
    if isinstance(source, mujoco.MjSpec):
        where, is_urdf, mimics = source.modelname or "model", False, frozenset[str]()
        model = _compile(source, where)
    else:
        where = str(source)
        is_urdf, mimics = _inspect(source)
        model = _compile(_parse(source), where)
    joints = read_joints(model, data := reference_data(model))
    acting = _servo_channels(model, joints, mimics, where) if is_urdf else acting_channels(model, joints, where)
    label = name or (source.modelname if isinstance(source, mujoco.MjSpec) else source.stem)
    return Embodiment(
        name=robot_label(label),
        sensing=(proprioception(driven_joints(model, joints, data, urdf=is_urdf, mimics=mimics)),),
        acting=acting,
        control_rate_hz=control_rate_hz,
        description=f"read from {Path(where).name}",
        source=Path(where).name,
        metadata={"format": "urdf" if is_urdf else "mjcf", "actuators": "assumed" if is_urdf else "given"},
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


def driven_joints(
    model: mujoco.MjModel,
    joints: Mapping[int, Joint],
    data: mujoco.MjData,
    *,
    urdf: bool,
    mimics: frozenset[str] = frozenset(),
) -> list[Joint]:
    """Return the joints that something drives, each once, in the order of what drives them."""
    if urdf:
        return [joint for joint in joints.values() if joint.name not in mimics]
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


def _servo_channels(
    model: mujoco.MjModel, joints: Mapping[int, Joint], mimics: frozenset[str], where: str
) -> tuple[Channel, ...]:
    driven = [joint for joint in joints.values() if joint.name not in mimics]
    if not driven:
        raise EmbodimentError(
            f"{where}: every joint is fixed, so there is nothing to command; is this the whole robot?"
        )
    return tuple(joint_channel(joint, "joint_position", joint.unit) for joint in driven)


def _some_names(joints: Mapping[int, Joint]) -> str:
    names = [joint.name for joint in joints.values()]
    return f"joints: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "it has no joints either"


def _inspect(path: Path) -> tuple[bool, frozenset[str]]:
    """Return whether the file is a URDF, and the names of the joints that mimic others."""
    if not path.is_file():
        raise EmbodimentError(f"{path}: no such file; expected an MJCF (.xml) or URDF (.urdf) robot description")
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise EmbodimentError(f"{path}: not well-formed XML ({error}); expected an MJCF or URDF file") from error
    if root.tag not in ("mujoco", "robot"):
        raise EmbodimentError(
            f"{path}: the outermost element is <{root.tag}>; expected <mujoco> (MJCF) or <robot> (URDF). "
            "Run xacro on a .xacro file first"
        )
    mimics = (joint.get("name", "") for joint in root.iter("joint") if joint.find("mimic") is not None)
    return root.tag == "robot", frozenset(mimics)


def _parse(path: Path) -> mujoco.MjSpec:
    try:
        return mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise _load_error(str(path), error) from error


def _compile(spec: mujoco.MjSpec, where: str) -> mujoco.MjModel:
    try:
        return spec.compile()
    except ValueError as error:
        raise _load_error(where, error) from error


def _load_error(where: str, error: Exception) -> EmbodimentError:
    text = " ".join(str(error).split())
    advice = "correct the file; MuJoCo's XML reference lists what is allowed"
    if re.search(r"opening file|open file|not found|could not|resource", text, re.IGNORECASE):
        advice = (
            "put the missing file where the description looks for it, or remove the visual mesh from the description"
        )
    return EmbodimentError(f"{where}: MuJoCo cannot load it: {text}; {advice}")
