"""Where a robot starts: near its home pose, never with a hand in the table or in an object."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from counterpoint.robots.robot import Robot

Float = NDArray[np.float64]
MAX_SHIFT_RAD = 0.15
CLEARANCE_M = 0.12
"""Least height of every tool over the table at the start."""


def set_start_pose(robot: Robot, model: mujoco.MjModel, data: mujoco.MjData, shift: Float) -> None:
    """Set the joints to home plus `shift` [arm joints] (-1..1), scaled down where a tool would come too low."""
    for name, position in robot.home.items():
        data.qpos[model.joint(name).qposadr[0]] = position
    joints = [model.joint(name).id for arm in robot.arms for name in arm.joints]
    where = model.jnt_qposadr[joints]
    home = data.qpos[where].copy()
    low, high = model.jnt_range[joints].T
    free = model.jnt_limited[joints] == 0
    sites = [model.site(arm.tool_site).id for arm in robot.arms]
    for scale in (1.0, 0.6, 0.3, 0.0):
        start = home + scale * MAX_SHIFT_RAD * shift
        data.qpos[where] = np.where(free, start, np.clip(start, low, high))
        mujoco.mj_forward(model, data)
        clear = data.site_xpos[sites, 2].min() >= robot.table_height_m + CLEARANCE_M
        if clear and not data.ncon:
            return
