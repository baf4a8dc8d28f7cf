"""Track: follow a moving marker; two arms have a marker each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from counterpoint.core.embodiment import Side
from counterpoint.sim.expert.motion import tools_within
from counterpoint.sim.task import Region, Sway, Task, ToolGoal, WorldState
from counterpoint.sim.tasks.reach import MARKER

RADIUS_M = 0.05
"""How near the tool must stay."""


def success(state: WorldState) -> bool:
    """Return whether every arm's tool is near its marker now; `hold_s` asks for that without a break."""
    return tools_within(state, "target", RADIUS_M)


def expert(state: WorldState) -> Mapping[Side, ToolGoal]:
    """Head for the marker with its own velocity fed forward, so that there is no lag."""
    goals: dict[Side, ToolGoal] = {}
    for side in state.arms:
        target = state.object("target", side)
        goals[side] = ToolGoal(position=target.position, velocity=target.velocity)
    return goals


TASK = Task(
    name="track",
    objects=(
        replace(
            MARKER,
            region=Region(x=(0.2, 0.8), y=(0.2, 0.8), z=(0.25, 0.75), clear_of_tool_m=0.08),
            motion=Sway(amplitude_m=((0.03, 0.06), (0.05, 0.1), (0.01, 0.04)), period_s=(4.5, 8.0)),
        ),
    ),
    instructions=(
        "follow the marker",
        "track the moving ball",
        "keep each hand on its marker",
        "stay with the target as it moves",
        "chase the floating ball",
    ),
    success=success,
    expert=expert,
    time_limit_s=7.0,
    hold_s=2.0,
)
