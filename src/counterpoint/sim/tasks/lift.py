"""Lift: grasp a block or can from above and raise it."""

from __future__ import annotations

from collections.abc import Mapping

from counterpoint.core.embodiment import Side
from counterpoint.sim.expert.motion import is_lifted, pick_up
from counterpoint.sim.task import ObjectSpec, Region, Task, ToolGoal, WorldState

LIFT_M = 0.08
"""How high the block must be over the table."""


def success(state: WorldState) -> bool:
    """Return whether the block is high enough and in the hand."""
    block = state.object("block")
    return is_lifted(block, state.table_height_m, LIFT_M) and bool(block.name in state.arms[block.side].touching)


def expert(state: WorldState) -> Mapping[Side, ToolGoal]:
    """Grasp, then go straight up."""
    return pick_up(state, "block", state.table_height_m + LIFT_M + 0.12)


BLOCK = ObjectSpec(
    name="block",
    shape="box",
    half_size_m=((0.02, 0.024), None, (0.02, 0.03)),
    mass_kg=(0.05, 0.2),
    region=Region(x=(0.15, 0.85), y=(0.15, 0.85)),
    yaw_rad=(-0.35, 0.35),
)
"""What one hand can grasp from above."""

TASK = Task(
    name="lift",
    objects=(BLOCK,),
    instructions=(
        "lift the {colour} {shape}",
        "pick up the {colour} {shape}",
        "raise the {shape} off the table",
        "grasp the {colour} {shape} and lift it",
        "take the {shape} up",
    ),
    success=success,
    expert=expert,
    time_limit_s=5.0,
    hold_s=0.3,
    needs_gripper=True,
)
