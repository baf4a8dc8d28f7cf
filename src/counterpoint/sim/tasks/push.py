"""Push: slide a puck across the table into a goal, with the hand closed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from counterpoint.core.embodiment import Side
from counterpoint.sim.expert.motion import horizontal, ramp
from counterpoint.sim.task import ObjectSpec, Region, Task, ToolGoal, WorldState

RADIUS_M = 0.045
"""How near the puck's centre must be to the goal's."""
CONTACT_M = 0.015
"""Half thickness of closed fingers."""
HOVER_M = 0.08
"""Height of travel over the puck."""


def success(state: WorldState) -> bool:
    """Return whether the puck is in the goal."""
    return horizontal(state.object("goal").position - state.object("puck").position) < RADIUS_M


def expert(state: WorldState) -> Mapping[Side, ToolGoal]:
    """Go behind the puck, come down, and push along the line to the goal."""
    puck, goal = state.object("puck"), state.object("goal")
    arm = state.arms[puck.side]
    way = (goal.position - puck.position)[:2]
    remaining = float(np.hypot(*way))
    if remaining < 0.5 * RADIUS_M:
        return {puck.side: ToolGoal(position=arm.position, opening=0.0)}
    ahead = way / remaining
    reach = float(puck.half_size[0]) + CONTACT_M
    offset = (arm.position - puck.position)[:2]
    along = float(offset @ ahead)
    aside = offset - along * ahead
    lateral = float(np.hypot(*aside))
    low = max(float(puck.position[2]), state.table_height_m + 0.015)
    in_lane = along < -0.6 * reach and lateral < 0.025
    if in_lane and arm.position[2] - low < 0.02:
        speed = 0.25
        xy = puck.position[:2] + ahead * (along + min(remaining, 0.2)) - 2.0 * aside
        return {puck.side: ToolGoal(position=np.array([*xy, low]), opening=0.0, speed_m_s=speed)}
    behind = puck.position[:2] - ahead * (reach + 0.03)
    error = float(np.hypot(*(behind - arm.position[:2])))
    height = HOVER_M * ramp(error, 0.015, 0.04)
    return {puck.side: ToolGoal(position=np.array([*behind, low + height]), opening=0.0, speed_m_s=0.45)}


TASK = Task(
    name="push",
    objects=(
        ObjectSpec(
            name="puck",
            shape="cylinder",
            half_size_m=((0.035, 0.045), None, (0.018, 0.024)),
            mass_kg=(0.1, 0.3),
            friction=(0.3, 0.5),
            region=Region(x=(0.3, 0.7), y=(0.3, 0.7)),
        ),
        ObjectSpec(
            name="goal",
            shape="cylinder",
            half_size_m=((0.055, 0.065), None, (0.001, 0.0015)),
            movable=False,
            region=Region(x=(0.1, 0.9), y=(0.1, 0.9), near="puck", distance_m=(0.1, 0.2)),
        ),
    ),
    instructions=(
        "push the {colour} {shape} into the ring",
        "slide the {shape} to the goal",
        "push the {colour} {shape} onto the marked place",
        "move the {shape} into the goal without lifting it",
        "shove the {colour} {shape} to the target",
    ),
    success=success,
    expert=expert,
    time_limit_s=7.0,
    hold_s=0.2,
)
