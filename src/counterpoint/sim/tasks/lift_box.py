"""Lift a box that is too wide for one hand: two arms press it between them and raise it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from counterpoint.core.embodiment import Side
from counterpoint.sim.expert.motion import is_lifted, ramp
from counterpoint.sim.task import ArmState, ObjectSpec, ObjectState, Region, Task, ToolGoal, WorldState

LIFT_M = 0.08
"""How high the box must be over the table."""
CLEARANCE_M = 0.07
"""Gap between hand and box before pressing."""
HOVER_M = 0.12
"""Height of travel over the middle of the box, until a hand is past its edge."""
PRESS_M = 0.05
"""How far inside the box the pressing goals lie."""
_OUTWARD: Mapping[Side, float] = {"left": 1.0, "right": -1.0}


def success(state: WorldState) -> bool:
    """Return whether the box is high enough between both hands."""
    box = state.object("box")
    return is_lifted(box, state.table_height_m, LIFT_M) and all(box.name in a.touching for a in state.arms.values())


def expert(state: WorldState) -> Mapping[Side, ToolGoal]:
    """Come down beside the box, press from both sides together, and go up together."""
    box = state.object("box")
    ready = all(_beside(arm, box) for arm in state.arms.values())
    pressing = all(box.name in arm.touching and _beside(arm, box) for arm in state.arms.values())
    goals: dict[Side, ToolGoal] = {}
    for side, arm in state.arms.items():
        outward = _OUTWARD[side]
        width = float(box.half_size[1])
        if pressing or ready:
            reach = width - PRESS_M
            height = state.table_height_m + LIFT_M + 0.2 if pressing else float(box.position[2])
            position = np.array([box.position[0], box.position[1] + outward * reach, height])
            goals[side] = ToolGoal(position=position, opening=0.0, speed_m_s=0.25)
            continue
        reach = width + CLEARANCE_M
        beside = np.array([box.position[0], box.position[1] + outward * reach, box.position[2]])
        inward = outward * float(beside[1] - arm.position[1])
        is_on_top = box.name in arm.touching and arm.position[2] - box.position[2] > 0.03
        beside[2] += HOVER_M * (1.0 if is_on_top else ramp(inward, 0.0, 0.03))
        goals[side] = ToolGoal(position=beside, opening=0.0, speed_m_s=0.4)
    return goals


def _beside(arm: ArmState, box: ObjectState) -> bool:
    """Return whether the hand is level with the box, at its side."""
    offset = arm.position - box.position
    return bool(abs(offset[0]) < 0.03 and abs(offset[2]) < 0.03 and abs(offset[1]) < box.half_size[1] + 0.1)


TASK = Task(
    name="lift_box",
    objects=(
        ObjectSpec(
            name="box",
            shape="box",
            half_size_m=((0.06, 0.09), (0.1, 0.15), (0.05, 0.07)),
            mass_kg=(0.2, 0.5),
            friction=(1.0, 1.3),
            placing="both_arms",
            region=Region(x=(0.3, 0.6), y=(0.48, 0.52)),
        ),
    ),
    instructions=(
        "lift the {colour} box with both hands",
        "raise the box between your hands",
        "pick up the big {colour} box",
        "press the box from both sides and lift it",
        "lift the large box together",
    ),
    success=success,
    expert=expert,
    time_limit_s=6.0,
    hold_s=0.3,
    arms="two",
)
