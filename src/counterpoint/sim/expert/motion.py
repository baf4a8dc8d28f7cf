"""Small geometry that the experts share: ramps, funnels and grasps as functions of the state at one instant.

A funnel makes the goal's height a function of the horizontal error, so that descending, being pushed away
and returning need no phases:

    height of the goal
      hover |          ________
            |        /
      grasp |______/            horizontal error
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Side
from counterpoint.sim.task import ArmState, ObjectState, ToolGoal, WorldState

Float = NDArray[np.float64]

GRASP_RADIUS_M = 0.015
"""Fingers close when the tool is this near to the grasp point, horizontally and vertically."""
HOVER_M = 0.1
"""Height of the funnel over the grasp point."""
MAX_CHASE_M_S = 0.3
"""Faster objects are not followed with feed-forward: they were knocked away."""


def ramp(value: float, low: float, high: float) -> float:
    """Return 0 at or below `low`, 1 at or above `high`, linear between."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


def horizontal(vector: Float) -> float:
    """Return the length of `vector` [3] along x and y, m."""
    return float(np.hypot(vector[0], vector[1]))


def raised(position: Float, height_m: float) -> Float:
    """Return `position` [3] moved up by `height_m`."""
    return np.array([position[0], position[1], position[2] + height_m])


def tools_within(state: WorldState, name: str, radius_m: float) -> bool:
    """Return whether every arm's tool is within a radius of its own object of that name."""
    return all(
        float(np.linalg.norm(arm.position - state.object(name, side).position)) < radius_m
        for side, arm in state.arms.items()
    )


def is_held(arm: ArmState, thing: ObjectState) -> bool:
    """Return whether `thing` is between the fingers of `arm`: gripped, and near the tool."""
    offset = thing.position - arm.position
    return thing.name in arm.gripping and horizontal(offset) < 0.03 and abs(offset[2]) < 0.04


def is_lifted(thing: ObjectState, ground_m: float, clearance_m: float) -> bool:
    """Return whether the lowest corner of `thing` is `clearance_m` over the ground (base frame height)."""
    lowest = float(thing.position[2] - np.abs(thing.rotation[2]) @ thing.half_size)
    return lowest - ground_m >= clearance_m


def grasp_goal(arm: ArmState, thing: ObjectState, *, speed_m_s: float = 0.45) -> ToolGoal:
    """Return the goal of an arm that is to grasp `thing` from above, also while the thing moves.

    A hand that closed on nothing opens again high up, so a lost object is grasped again.
    """
    offset = thing.position - arm.position
    error = horizontal(offset)
    drift = _drift(thing)
    inside = error < GRASP_RADIUS_M and abs(offset[2]) < GRASP_RADIUS_M
    closing = arm.opening < 0.85 and error < 0.025 and abs(offset[2]) < 0.025
    if inside or (closing and thing.name in arm.touching):
        return ToolGoal(position=thing.position, opening=0.0, speed_m_s=speed_m_s, velocity=drift)
    narrow = ramp(0.9 - arm.opening, 0.0, 0.4)
    height = HOVER_M * max(ramp(error, 0.01, 0.045), narrow)
    return ToolGoal(position=raised(thing.position, height), opening=1.0, speed_m_s=speed_m_s, velocity=drift)


def carry_goal(arm: ArmState, height_m: float, *, speed_m_s: float = 0.4) -> ToolGoal:
    """Return the goal of an arm that lifts what it holds straight up to a tool height (base frame), m."""
    return ToolGoal(position=np.array([arm.position[0], arm.position[1], height_m]), opening=0.0, speed_m_s=speed_m_s)


def pick_up(state: WorldState, name: str, height_m: float) -> dict[Side, ToolGoal]:
    """Return the goal of the arm that an object belongs to: grasp it, then straight up to a tool height, m."""
    thing = state.object(name)
    arm = state.arms[thing.side]
    return {thing.side: carry_goal(arm, height_m) if is_held(arm, thing) else grasp_goal(arm, thing)}


def _drift(thing: ObjectState) -> Float:
    """Return the horizontal velocity [3] at which `thing` can be followed, m/s."""
    speed = horizontal(thing.velocity)
    scale = 1.0 if speed <= MAX_CHASE_M_S else 0.0
    return np.array([scale * thing.velocity[0], scale * thing.velocity[1], 0.0])
