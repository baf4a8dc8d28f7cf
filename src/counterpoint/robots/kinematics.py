"""The joints of a compiled model: their axes, anchors and places in the kinematic chain.

The base frame is the world's frame for robots that are bolted down, and the frame of the root body for robots
that float (a free joint at the root).
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from counterpoint.core.embodiment import Part, Side, Unit, Vector3
from counterpoint.robots.naming import guess_part, guess_side

_SCALAR = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
_ARM_CHAIN = 4
"""An unnamed chain of at least this many joints on a fixed base is treated as an arm."""


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One hinge or slide of a model, at the pose that the model's data were in."""

    index: int
    name: str
    unit: Unit
    """`rad` for hinges, `m` for slides."""
    lower: float
    upper: float
    axis: Vector3
    """Unit vector in the base frame."""
    anchor: Vector3
    """Metres, in the base frame."""
    chain_index: int
    chain_length: int
    part: Part
    side: Side
    position: float
    """Joint position at this pose, in `unit`."""


def joint_name(model: mujoco.MjModel, index: int) -> str:
    """Return the name of joint `index`, or `joint#<index>` where the file gave none."""
    return model.joint(index).name or f"joint#{index}"


def is_scalar(model: mujoco.MjModel, index: int) -> bool:
    """Tell whether joint `index` is a hinge or a slide, thus one number."""
    return int(model.jnt_type[index]) in _SCALAR


def read_joints(model: mujoco.MjModel, data: mujoco.MjData) -> dict[int, Joint]:
    """Return every hinge and slide of `model` by index; `data.qpos` gives the pose, and is run forward."""
    mujoco.mj_kinematics(model, data)
    depth = {index: _depth(model, index) for index in range(model.njnt) if is_scalar(model, index)}
    reach = {index: value + 1 for index, value in depth.items()}
    for index in depth:
        for ancestor in _ancestors(model, index):
            reach[ancestor] = max(reach[ancestor], depth[index] + 1)
    return {index: _read_joint(model, data, index, depth[index], reach[index]) for index in depth}


def _read_joint(model: mujoco.MjModel, data: mujoco.MjData, index: int, depth: int, reach: int) -> Joint:
    limited = bool(model.jnt_limited[index])
    hinge = int(model.jnt_type[index]) == int(mujoco.mjtJoint.mjJNT_HINGE)
    origin, rotation = _base_frame(model, data, int(model.jnt_bodyid[index]))
    names = _names_outwards(model, index)
    part = guess_part(names)
    floating = _floats(model, int(model.body_rootid[model.jnt_bodyid[index]]))
    return Joint(
        index=index,
        name=joint_name(model, index),
        unit="rad" if hinge else "m",
        lower=float(model.jnt_range[index, 0]) if limited else -np.inf,
        upper=float(model.jnt_range[index, 1]) if limited else np.inf,
        axis=as_vector3(rotation.T @ data.xaxis[index]),
        anchor=as_vector3(rotation.T @ (data.xanchor[index] - origin)),
        chain_index=depth,
        chain_length=reach,
        part="arm" if part in ("unknown", "base") and reach >= _ARM_CHAIN and not floating else part,
        side=guess_side(names),
        position=float(data.qpos[model.jnt_qposadr[index]]),
    )


def as_vector3(values: np.ndarray) -> Vector3:
    """Return three floats, rounded to a nanometre, so that descriptions are equal on every machine."""
    x, y, z = (round(float(value), 9) + 0.0 for value in values)
    return x, y, z


def _floats(model: mujoco.MjModel, body: int) -> bool:
    first = int(model.body_jntadr[body])
    return first >= 0 and int(model.jnt_type[first]) == int(mujoco.mjtJoint.mjJNT_FREE)


def _base_frame(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> tuple[np.ndarray, np.ndarray]:
    root = int(model.body_rootid[body])
    if _floats(model, root):
        return data.xpos[root], data.xmat[root].reshape(3, 3)
    return np.zeros(3), np.eye(3)


def _ancestors(model: mujoco.MjModel, index: int) -> list[int]:
    """Return the scalar joints between the base and joint `index`, not counting itself."""
    body = int(model.jnt_bodyid[index])
    found = [other for other in _joints_of(model, body) if other < index]
    while body := int(model.body_parentid[body]):
        found += _joints_of(model, body)
    return [other for other in found if is_scalar(model, other)]


def _joints_of(model: mujoco.MjModel, body: int) -> list[int]:
    first = int(model.body_jntadr[body])
    return list(range(first, first + int(model.body_jntnum[body])))


def _depth(model: mujoco.MjModel, index: int) -> int:
    return len(_ancestors(model, index))


def _names_outwards(model: mujoco.MjModel, index: int) -> list[str]:
    body = int(model.jnt_bodyid[index])
    names = [joint_name(model, index), model.body(body).name]
    while body := int(model.body_parentid[body]):
        names.append(model.body(body).name)
    return names
