"""Index arrays from a robot's channels and a layout's objects into a compiled model, and the contacts of the hands."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from counterpoint.robots.robot import Arm, Robot
from counterpoint.sim.layout import SceneLayout

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Touches:
    """Contacts of the hands at one instant."""

    force: Float
    """[arms, 3], force of the world on each hand, N, base frame."""
    touching: tuple[frozenset[int], ...]
    """For each arm, objects that its hand touches."""
    gripping: tuple[frozenset[int], ...]
    """For each arm, objects that at least two bodies of its hand touch."""


class Bindings:
    """Index arrays into one model."""

    def __init__(self, model: mujoco.MjModel, robot: Robot, layout: SceneLayout) -> None:
        """Look everything up once."""
        self.model = model
        names = robot.embodiment.acting_names
        joints = [model.joint(robot.joint_of[name]).id for name in names]
        self.actuators: Int = np.array([model.actuator(robot.actuator_of[name]).id for name in names])
        self.channel_qpos: Int = np.asarray(model.jnt_qposadr[joints], dtype=np.int64)
        self.channel_dof: Int = np.asarray(model.jnt_dofadr[joints], dtype=np.int64)
        self.tool_sites: Int = np.array([model.site(arm.tool_site).id for arm in robot.arms])
        self.arm_qpos: list[Int] = [
            np.array([int(model.joint(name).qposadr[0]) for name in arm.joints]) for arm in robot.arms
        ]
        bodies = [int(model.body(f"object/{placed.name}").id) for placed in layout.objects]
        self.object_bodies: Int = np.array(bodies, dtype=np.int64)
        self.object_dof = [int(model.body_dofadr[body]) for body in bodies]
        self.object_mocap = [int(model.body_mocapid[body]) for body in bodies]
        self._geom_object = _owner(model, [{body} for body in bodies])
        self._geom_hand = _owner(model, [_hand_bodies(model, robot, arm) for arm in robot.arms])
        self._no_touch = self._touches([set() for _ in robot.arms], np.zeros((len(robot.arms), 3)))

    def touches(self, data: mujoco.MjData) -> Touches:
        """Return the hands' contacts as of the last physics step."""
        if not data.ncon:
            return self._no_touch
        geoms = data.contact.geom
        hands = self._geom_hand[geoms]
        rows = np.flatnonzero(hands[:, 0] != hands[:, 1])
        if not rows.size:
            return self._no_touch
        force, wrench = np.zeros((len(self.tool_sites), 3)), np.zeros(6)
        pairs: list[set[tuple[int, int]]] = [set() for _ in self.tool_sites]
        for row in rows:
            mujoco.mj_contactForce(self.model, data, int(row), wrench)
            push = wrench[:3] @ data.contact.frame[row].reshape(3, 3)  # on the second geom
            for which, sign in ((0, -1.0), (1, 1.0)):
                hand = int(hands[row, which])
                if hand >= 0:
                    force[hand] += sign * push
                    other = int(self._geom_object[geoms[row, 1 - which]])
                    if other >= 0:
                        pairs[hand].add((other, int(self.model.geom_bodyid[geoms[row, which]])))
        return self._touches(pairs, force)

    @staticmethod
    def _touches(pairs: list[set[tuple[int, int]]], force: Float) -> Touches:
        touching = [[thing for thing, _ in pair] for pair in pairs]
        return Touches(
            force=force,
            touching=tuple(frozenset(things) for things in touching),
            gripping=tuple(frozenset(thing for thing in things if things.count(thing) > 1) for things in touching),
        )


def _owner(model: mujoco.MjModel, groups: list[set[int]]) -> Int:
    """Return the index of the group that each geom's body belongs to, -1 for none; int64 [geoms]."""
    owner = np.full(model.ngeom, -1, dtype=np.int64)
    for index, bodies in enumerate(groups):
        owner[np.isin(model.geom_bodyid, list(bodies))] = index
    return owner


def _hand_bodies(model: mujoco.MjModel, robot: Robot, arm: Arm) -> set[int]:
    """Return the bodies that carry the tool site or fingers, and all that hang on them."""
    hand = {int(model.site_bodyid[model.site(arm.tool_site).id])}
    for channel in arm.gripper.channels if arm.gripper is not None else ():
        hand.add(int(model.jnt_bodyid[model.joint(robot.joint_of[channel]).id]))
    for body in range(1, model.nbody):  # parents come before children
        if int(model.body_parentid[body]) in hand:
            hand.add(body)
    return hand
