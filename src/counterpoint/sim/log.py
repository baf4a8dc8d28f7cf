"""The true history of a world on a 100 Hz grid; sensors read it through noise and delay.

Row i is the truth at i * TICK_S. The arrays are made once for the longest possible episode, so
logging a tick copies numbers and allocates nothing.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.sim.bindings import Bindings, Touches

Float = NDArray[np.float64]
TICK_S = 0.01
TICK_NS = round(TICK_S * NS_PER_SECOND)


class Log:
    """Truth of at most `rows` ticks; `count` of them have happened."""

    def __init__(self, bindings: Bindings, rows: int) -> None:
        """Reserve room for `rows` ticks."""
        self._bindings = bindings
        arms, objects = len(bindings.tool_sites), len(bindings.object_bodies)
        self.rows = rows
        self.count = 0
        self.qpos = np.zeros((rows, bindings.model.nq))
        self.qvel = np.zeros((rows, bindings.model.nv))
        self.tool_position = np.zeros((rows, arms, 3))
        self.tool_rotation = np.zeros((rows, arms, 9))
        self.tool_force = np.zeros((rows, arms, 3))
        self.object_position = np.zeros((rows, objects, 3))
        self.object_rotation = np.zeros((rows, objects, 9))

    def append(self, data: mujoco.MjData, touches: Touches) -> None:
        """Copy the present truth; `data` has current kinematics."""
        row, bindings = self.count, self._bindings
        self.qpos[row] = data.qpos
        self.qvel[row] = data.qvel
        self.tool_position[row] = data.site_xpos[bindings.tool_sites]
        self.tool_rotation[row] = data.site_xmat[bindings.tool_sites]
        self.tool_force[row] = touches.force
        self.object_position[row] = data.xpos[bindings.object_bodies]
        self.object_rotation[row] = data.xmat[bindings.object_bodies]
        self.count = row + 1
