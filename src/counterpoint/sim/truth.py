"""The true state of a world, read from the physics for experts and for judging success."""

from __future__ import annotations

import mujoco
import numpy as np

from counterpoint.core.embodiment import Side
from counterpoint.robots.robot import Robot
from counterpoint.sim.bindings import Bindings, Touches
from counterpoint.sim.layout import SceneLayout
from counterpoint.sim.task import ArmState, ObjectState, WorldState


def read_state(
    robot: Robot,
    layout: SceneLayout,
    bindings: Bindings,
    data: mujoco.MjData,
    touches: Touches,
    *,
    time_s: float,
    clock_s: float,
) -> WorldState:
    """Return the state now; `data` has current kinematics.

    `time_s` counts from when control started, `clock_s` from when the markers began to move.
    """
    names = [placed.name for placed in layout.objects]
    acting = robot.embodiment.acting_names
    measured = robot.from_qpos(data.qpos[bindings.channel_qpos])
    twist = np.zeros(6)
    arms: dict[Side, ArmState] = {}
    for index, arm in enumerate(robot.arms):
        site = int(bindings.tool_sites[index])
        mujoco.mj_objectVelocity(bindings.model, data, mujoco.mjtObj.mjOBJ_SITE, site, twist, 0)
        opening = 1.0
        if arm.gripper is not None:
            opening = arm.gripper.opening([measured[acting.index(name)] for name in arm.gripper.channels])
        arms[arm.side] = ArmState(
            side=arm.side,
            position=data.site_xpos[site].copy(),
            rotation=data.site_xmat[site].reshape(3, 3).copy(),
            velocity=twist[3:].copy(),
            opening=opening,
            joints=data.qpos[bindings.arm_qpos[index]],
            touching=frozenset(names[slot] for slot in touches.touching[index]),
            gripping=frozenset(names[slot] for slot in touches.gripping[index]),
        )
    objects = tuple(_object_state(layout, bindings, data, slot, clock_s) for slot in range(len(names)))
    return WorldState(time_s=time_s, table_height_m=robot.table_height_m, arms=arms, objects=objects)


def _object_state(
    layout: SceneLayout, bindings: Bindings, data: mujoco.MjData, slot: int, clock_s: float
) -> ObjectState:
    placed, body = layout.objects[slot], int(bindings.object_bodies[slot])
    velocity = np.zeros(3)
    if placed.spec.movable:
        dof = bindings.object_dof[slot]
        velocity = data.qvel[dof : dof + 3].copy()
    elif placed.motion is not None:
        velocity = placed.motion.velocity(clock_s)
    return ObjectState(
        name=placed.name,
        spec=placed.spec,
        side=placed.side,
        position=data.xpos[body].copy(),
        rotation=data.xmat[body].reshape(3, 3).copy(),
        velocity=velocity,
        half_size=placed.half_size,
    )
