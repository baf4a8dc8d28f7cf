"""A robot at a table, and a small inverse kinematics to check what is reachable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from counterpoint.robots.library import load_robot, simulated_robot_names
from counterpoint.robots.robot import Arm, Robot, set_physics

POINTING_DOWN = np.diag([1.0, -1.0, -1.0])


@dataclass
class Bench:
    """A robot at its table at home, its servos holding."""

    robot: Robot
    model: mujoco.MjModel
    data: mujoco.MjData
    actuators: list[int]

    def command(self, values: NDArray[np.floating]) -> None:
        """Send a command [acting] in channel units."""
        self.data.ctrl[self.actuators] = self.robot.to_ctrl(values)

    def measured(self) -> NDArray[np.float32]:
        """Return channel values [acting] read from the joints."""
        names = self.robot.embodiment.acting_names
        return self.robot.from_qpos([self.data.joint(self.robot.joint_of[name]).qpos[0] for name in names])

    def tool(self, arm: Arm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return position [3] and rotation [3, 3] of the tool now."""
        mujoco.mj_kinematics(self.model, self.data)
        site = self.data.site(arm.tool_site)
        return site.xpos.copy(), site.xmat.reshape(3, 3).copy()

    def run(self, seconds: float) -> None:
        """Step the physics."""
        mujoco.mj_step(self.model, self.data, round(seconds / self.model.opt.timestep))


def build_bench(
    robot: Robot, cube_at: Sequence[float] | None = None, half_m: float = 0.02, mass_kg: float = 0.1
) -> Bench:
    """Return the robot at a table, with a cube at `cube_at` if given."""
    spec = robot.spec()
    set_physics(spec)
    top = robot.table_height_m
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[1.0, 1.0, 0.02], pos=[0.7, 0.0, top - 0.02])
    if cube_at is not None:
        cube = spec.worldbody.add_body(name="cube", pos=list(cube_at))
        cube.add_freejoint()
        cube.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[half_m] * 3, mass=mass_kg)
    model = spec.compile()
    data = mujoco.MjData(model)
    for name, position in robot.home.items():
        data.joint(name).qpos[0] = position
    mujoco.mj_forward(model, data)
    names = robot.embodiment.acting_names
    bench = Bench(robot, model, data, [model.actuator(robot.actuator_of[name]).id for name in names])
    bench.command(robot.home_command)
    return bench


def solve_reach(bench: Bench, arm: Arm, goal: NDArray[np.float64], iterations: int = 250) -> tuple[float, float]:
    """Move `arm` toward `goal` pointing down by damped least squares with joint limits and a pull toward home.

    Returns the remaining errors in metres and radians.
    """
    model, data = bench.model, bench.data
    joints = [model.joint(name) for name in arm.joints]
    where = np.array([joint.qposadr[0] for joint in joints])
    dofs = np.array([joint.dofadr[0] for joint in joints])
    low, high = np.array([joint.range for joint in joints]).T
    home = np.array([bench.robot.home[name] for name in arm.joints])
    site = model.site(arm.tool_site).id
    jacobian, error, quat = np.zeros((6, model.nv)), np.zeros(6), np.zeros(4)
    for _ in range(iterations):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        turn = POINTING_DOWN @ data.site_xmat[site].reshape(3, 3).T
        mujoco.mju_mat2Quat(quat, turn.ravel())
        mujoco.mju_quat2Vel(error[3:], quat, 1.0)
        error[:3] = goal - data.site_xpos[site]
        if np.linalg.norm(error[:3]) < 5e-4 and np.linalg.norm(error[3:]) < 5e-3:
            break
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
        active = jacobian[:, dofs]
        inverse = active.T @ np.linalg.inv(active @ active.T + 1e-4 * np.eye(6))
        step = inverse @ (error * min(1.0, 0.2 / float(np.linalg.norm(error))))
        step += (np.eye(len(dofs)) - inverse @ active) @ (0.05 * (home - data.qpos[where]))
        data.qpos[where] = np.clip(data.qpos[where] + step, low, high)
    return float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:]))


@pytest.fixture(params=simulated_robot_names())
def robot(request: pytest.FixtureRequest) -> Robot:
    """Each of our robots in turn."""
    return load_robot(request.param)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """`build_bench`."""
    return build_bench


@pytest.fixture
def reach() -> Callable[..., tuple[float, float]]:
    """`solve_reach`."""
    return solve_reach
