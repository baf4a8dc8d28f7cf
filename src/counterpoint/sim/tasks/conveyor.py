"""Conveyor: pick a block off a moving belt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from counterpoint.core.embodiment import Side
from counterpoint.sim.expert.motion import is_lifted, pick_up
from counterpoint.sim.task import Belt, Region, Task, ToolGoal, WorldState
from counterpoint.sim.tasks.lift import BLOCK

LIFT_M = 0.08
"""How high the block must be over the belt."""
BELT = Belt(speed_m_s=(0.03, 0.08))


def success(state: WorldState) -> bool:
    """Return whether the block is high over the belt and in the hand."""
    block = state.object("block")
    in_hand = block.name in state.arms[block.side].touching
    return in_hand and is_lifted(block, state.table_height_m + BELT.height_m, LIFT_M)


def expert(state: WorldState) -> Mapping[Side, ToolGoal]:
    """Come down while moving along with the block, grasp, and go straight up."""
    return pick_up(state, "block", state.table_height_m + BELT.height_m + LIFT_M + 0.12)


TASK = Task(
    name="conveyor",
    objects=(replace(BLOCK, region=Region(x=(0.2, 0.8), y=(0.2, 0.8))),),
    instructions=(
        "pick the {colour} {shape} off the belt",
        "take the {shape} from the conveyor",
        "lift the moving {colour} {shape}",
        "catch the {shape} on the belt and lift it",
        "grab the {colour} {shape} from the moving belt",
    ),
    success=success,
    expert=expert,
    time_limit_s=6.0,
    hold_s=0.3,
    needs_gripper=True,
    belt=BELT,
)
