"""A robot that can be simulated: a model file, and the roles of its joints, tools and hands.

acting channel  --to_ctrl-->  actuator      joint_3 [rad]  -> joint_3 [rad]
                <-from_qpos-  joint         gripper [0..1] -> gripper [m of finger travel]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoint.core.embodiment import Embodiment, Side, Vector3

PHYSICS_STEP_S = 0.002
"""Step at which the servo gains of our models are tested."""


@dataclass(frozen=True, kw_only=True)
class Gripper:
    """The gripper at the end of an arm: a parallel jaw, or the driven fingers of a hand.

    `open` and `closed` hold a value for each of `channels`, in the units of the channels.
    """

    actuators: tuple[str, ...]
    channels: tuple[str, ...]
    open: tuple[float, ...]
    closed: tuple[float, ...]
    aperture_m: float
    """Gap between the pads when open."""
    side_offset_m: float
    """From the tool axis to the outer face of a closed finger, along the tool's y axis: flat, firm and rough,
    so that two arms can press a box between them."""

    def opening(self, values: ArrayLike) -> float:
        """Return 0 (closed) .. 1 (open) for channel values [channels]; the mean over channels, clipped."""
        closed, opened = np.asarray(self.closed), np.asarray(self.open)
        return float(np.clip(np.mean((np.asarray(values) - closed) / (opened - closed)), 0.0, 1.0))

    def values(self, opening: float) -> NDArray[np.float64]:
        """Return channel values [channels] for an opening of 0 (closed) .. 1 (open)."""
        closed, opened = np.asarray(self.closed), np.asarray(self.open)
        return np.asarray(closed + float(np.clip(opening, 0.0, 1.0)) * (opened - closed), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A serial chain with a tool at its end."""

    side: Side
    """`center` for robots with one arm."""
    joints: tuple[str, ...]
    """Joints that place the tool, base first; acting channels of the same names drive them."""
    tool_site: str
    """Site between the fingertips; its z axis points out of the hand, the fingers close along its y axis."""
    gripper: Gripper | None


@dataclass(frozen=True, kw_only=True)
class Robot:
    """One of our own robots: its description, its model and what a simulator needs to know.

    Torque limits of the model are those of the real robot. Push an arm by adding an offset to its joint
    targets (at most the torque limit then acts), rather than by an external force of stiffness x offset,
    which the servo could not hold.
    """

    name: str
    embodiment: Embodiment
    mjcf: Path
    arms: tuple[Arm, ...]
    home: Mapping[str, float]
    """Joint name -> rad (m for sliding joints), for every joint of the model; tools point straight down."""
    actuator_of: Mapping[str, str]
    """Acting channel -> actuator."""
    joint_of: Mapping[str, str]
    """Acting channel -> joint by which it is measured (one finger of a parallel jaw)."""
    workspace: Mapping[Side, tuple[Vector3, Vector3]]
    """Side of the arm -> low and high corner of a box of tool positions in the base frame, metres, all of it
    reachable from `home` with the tool pointing down and its y axis across."""
    table_height_m: float
    """Top of the table in the base frame."""
    travel: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Gripper channels alone: joint and actuator value at 0 (closed) and at 1 (open)."""

    def spec(self) -> mujoco.MjSpec:
        """Return a fresh editable model: the robot alone, base frame at the origin, gravity compensated."""
        spec = mujoco.MjSpec.from_file(str(self.mjcf))
        for body in spec.bodies:
            body.gravcomp = 1.0
        return spec

    def to_ctrl(self, command: ArrayLike) -> NDArray[np.float64]:
        """Return actuator values for a command [..., acting], in the order of the acting channels."""
        low, high = self._scale()
        return np.asarray(low + np.asarray(command, dtype=np.float64) * (high - low), dtype=np.float64)

    def from_qpos(self, positions: ArrayLike) -> NDArray[np.float32]:
        """Return channel values for joint positions [..., acting] of the joints in `joint_of`, in acting order."""
        low, high = self._scale()
        return np.asarray((np.asarray(positions, dtype=np.float64) - low) / (high - low), dtype=np.float32)

    @property
    def home_command(self) -> NDArray[np.float32]:
        """The command that holds the home pose, float32 [acting]."""
        return self.from_qpos([self.home[self.joint_of[name]] for name in self.embodiment.acting_names])

    def _scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        travel = np.asarray([self.travel.get(name, (0.0, 1.0)) for name in self.embodiment.acting_names])
        return travel[:, 0], travel[:, 1]


def set_physics(spec: mujoco.MjSpec) -> None:
    """Set the solver options that our grippers and servos are tuned for; a world calls it once.

    Elliptic cones with a high friction ratio keep a held object from creeping (MuJoCo documentation,
    "Preventing slip").
    """
    spec.option.timestep = PHYSICS_STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    spec.option.iterations = 20
    spec.option.ls_iterations = 50  # at 10 the solver stops early in a grasp and throws the object away
