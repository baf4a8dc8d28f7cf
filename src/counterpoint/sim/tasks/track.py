"""Track: follow a moving marker; two arms have a marker each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from counterpoint.core.embodiment import Side
from counterpoint.sim.task import ObjectSpec, Region, Sway, Task, ToolGoal, WorldState

RADIUS_M = 0.05
"""How near the tool must stay."""


def success(state: WorldState) -> bool:
    """Return whether every arm's tool is near its marker now; `hold_s` asks for that without a break."""
    return all(
        float(np.linalg.norm(arm.position - state.object("target", side).position)) < RADIUS_M
        for side, arm in state.arms.items()
    )


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
        ObjectSpec(
            name="target",
            shape="sphere",
            half_size_m=((0.018, 0.022), None, None),
            movable=False,
            placing="each_arm",
            region=Region(x=(0.25, 0.75), y=(0.25, 0.75), z=(0.3, 0.7)),
            motion=Sway(amplitude_m=((0.05, 0.09), (0.06, 0.12), (0.02, 0.05)), period_s=(5.0, 9.0)),
        ),
    ),
    instructions=(
        "follow the {colour} marker",
        "track the moving {colour} ball",
        "keep the tool on the {colour} marker",
        "stay with the {colour} target as it moves",
        "chase the {colour} ball",
    ),
    success=success,
    expert=expert,
    time_limit_s=5.0,
    hold_s=2.0,
)
