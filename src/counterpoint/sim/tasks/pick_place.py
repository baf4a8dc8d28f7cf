"""Pick and place: carry a block to a pad on the table and let go."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from counterpoint.core.embodiment import Side
from counterpoint.sim.expert.motion import grasp_goal, horizontal, is_held, is_lifted, raised, ramp
from counterpoint.sim.task import ArmState, ObjectSpec, ObjectState, Region, Task, ToolGoal, WorldState
from counterpoint.sim.tasks.lift import BLOCK

RADIUS_M = 0.04
"""How near the block's centre must be to the pad's."""
CARRY_M = 0.08
"""Height of the carried block over the table."""


def success(state: WorldState) -> bool:
    """Return whether the block stands on the pad, out of the hand."""
    block = state.object("block")
    return _placed(state, block, RADIUS_M) and block.name not in state.arms[block.side].gripping


def expert(state: WorldState) -> Mapping[Side, ToolGoal]:
    """Grasp, carry over the pad, lower, open, and rise."""
    block, pad = state.object("block"), state.object("pad")
    arm = state.arms[block.side]
    if _placed(state, block, 0.75 * RADIUS_M):
        clear = arm.opening > 0.7
        return {block.side: ToolGoal(position=raised(arm.position, 0.1 if clear else 0.0), opening=1.0, speed_m_s=0.3)}
    if is_held(arm, block):
        return {block.side: _carry(state, arm, block, pad)}
    return {block.side: grasp_goal(arm, block)}


def _carry(state: WorldState, arm: ArmState, block: ObjectState, pad: ObjectState) -> ToolGoal:
    """Go up, across and down; the height follows from the distance to the pad, the crossing from the height."""
    away = pad.position - block.position
    distance = horizontal(away)
    bottom = float(block.position[2] - np.abs(block.rotation[2]) @ block.half_size) - state.table_height_m
    crossing = 1.0 if distance < 0.03 else ramp(bottom, 0.01, 0.05)
    wanted = CARRY_M * ramp(distance, 0.01, 0.05)
    position = arm.position + np.array([away[0] * crossing, away[1] * crossing, wanted - bottom - 0.004])
    return ToolGoal(position=position, opening=0.0, speed_m_s=0.4)


def _placed(state: WorldState, block: ObjectState, radius_m: float) -> bool:
    """Return whether the block stands on the table within `radius_m` of the pad's centre."""
    away = state.object("pad").position - block.position
    return horizontal(away) < radius_m and not is_lifted(block, state.table_height_m, 0.012)


TASK = Task(
    name="pick_place",
    objects=(
        BLOCK,
        ObjectSpec(
            name="pad",
            shape="cylinder",
            half_size_m=((0.045, 0.055), None, (0.001, 0.0015)),
            movable=False,
            region=Region(x=(0.1, 0.9), y=(0.1, 0.9), near="block", distance_m=(0.12, 0.35)),
        ),
    ),
    instructions=(
        "put the {colour} {shape} on the pad",
        "place the {shape} on the round pad",
        "move the {colour} {shape} to the pad",
        "pick up the {shape} and set it down on the pad",
        "bring the {colour} {shape} to the marked place",
    ),
    success=success,
    expert=expert,
    time_limit_s=7.0,
    hold_s=0.2,
    needs_gripper=True,
)
