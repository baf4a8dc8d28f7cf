"""Reach: bring the tool to a still marker; two arms have a marker each."""

from __future__ import annotations

from collections.abc import Mapping

from counterpoint.core.embodiment import Side
from counterpoint.sim.expert.motion import tools_within
from counterpoint.sim.task import ObjectSpec, Region, Task, ToolGoal, WorldState

RADIUS_M = 0.03
"""How near the tool must be."""


def success(state: WorldState) -> bool:
    """Return whether every arm's tool is at its marker."""
    return tools_within(state, "target", RADIUS_M)


def expert(state: WorldState) -> Mapping[Side, ToolGoal]:
    """Head for the marker."""
    return {side: ToolGoal(position=state.object("target", side).position) for side in state.arms}


MARKER = ObjectSpec(
    name="target",
    shape="sphere",
    half_size_m=((0.018, 0.022), None, None),
    movable=False,
    placing="each_arm",
    region=Region(x=(0.0, 1.0), y=(0.0, 1.0), z=(0.0, 1.0), clear_of_tool_m=0.12),
)
"""A floating ball for each arm."""

TASK = Task(
    name="reach",
    objects=(MARKER,),
    instructions=(
        "reach for the marker",
        "bring each hand to its marker",
        "move the tool to the ball",
        "go to the target and stay there",
        "touch the floating ball",
    ),
    success=success,
    expert=expert,
    time_limit_s=4.0,
    hold_s=0.5,
)
