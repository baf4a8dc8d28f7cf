"""Physics steps and control steps per second of every robot, one core, no rendering.

    OMP_NUM_THREADS=1 python benchmarks/physics.py [--seconds 2]

The robot stands at a table with a cube, and every driven joint sways about the home pose. A control step is a new
command and the physics steps until the next one. The real-time factor is simulated over real time.
"""

from __future__ import annotations

import argparse
import time

import mujoco
import numpy as np

from counterpoint.robots.library import load_robot, simulated_robot_names
from counterpoint.robots.robot import PHYSICS_STEP_S, Robot, set_physics


def build_world(robot: Robot) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """Return the robot at home beside a table with one cube for each arm."""
    spec = robot.spec()
    set_physics(spec)
    top = robot.table_height_m
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[1.0, 1.0, 0.02], pos=[0.7, 0.0, top - 0.02])
    for arm in robot.arms:
        low, high = np.asarray(robot.workspace[arm.side])
        x, y = (low + high)[:2] / 2
        cube = spec.worldbody.add_body(name=f"cube_{arm.side}", pos=[x, y, top + 0.02])
        cube.add_freejoint()
        cube.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02, 0.02, 0.02], mass=0.1)
    model = spec.compile()
    data = mujoco.MjData(model)
    for name, position in robot.home.items():
        data.joint(name).qpos[0] = position
    return model, data


def measure(robot: Robot, seconds: float) -> tuple[float, float]:
    """Return physics steps and control steps per second of one core."""
    model, data = build_world(robot)
    actuators = [model.actuator(robot.actuator_of[name]).id for name in robot.embodiment.acting_names]
    substeps = round(1.0 / (robot.embodiment.control_rate_hz * PHYSICS_STEP_S))
    home, control_steps = robot.home_command, 0
    sway = np.array([0.05 if channel.quantity == "joint_position" else 0.0 for channel in robot.embodiment.acting])
    start = time.process_time()
    while (spent := time.process_time() - start) < seconds:
        data.ctrl[actuators] = robot.to_ctrl(home + sway * np.sin(4.0 * data.time))
        mujoco.mj_step(model, data, substeps)
        control_steps += 1
    return control_steps * substeps / spent, control_steps / spent


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU seconds a robot")
    seconds = parser.parse_args().seconds
    print(f"{'robot':<16}{'control Hz':>11}{'physics steps/s':>17}{'control steps/s':>17}{'x real time':>13}")
    for name in simulated_robot_names():
        robot = load_robot(name)
        physics, control = measure(robot, seconds)
        rate = robot.embodiment.control_rate_hz
        print(f"{name:<16}{rate:>11.0f}{physics:>17,.0f}{control:>17,.0f}{physics * PHYSICS_STEP_S:>13.1f}")


if __name__ == "__main__":
    main()
