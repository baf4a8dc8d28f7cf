"""A task as data, and the true state of the world that its two pure functions read.

    Task = objects (what, how big, where, how they move) + limits + paraphrases
           success(state) -> bool                 is the goal met at this instant
           expert(state)  -> {side: ToolGoal}     where each tool should be heading now

Positions are metres in the robot's base frame, z up; rotations are 3x3 matrices whose columns are the
axes of the tool or object in the base frame. A tool's z axis is its approach direction: pointing out
of the hand, so straight down on the table is `POINTING_DOWN`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Side
from counterpoint.core.errors import ConfigError
from counterpoint.robots.robot import Robot

Float = NDArray[np.float64]
Range = tuple[float, float]
Shape = Literal["box", "cylinder", "sphere"]
Placing = Literal["one_arm", "each_arm", "both_arms"]

POINTING_DOWN: Float = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
"""Tool rotation with the approach axis straight down and the tool's x axis along the base's."""
POINTING_DOWN.setflags(write=False)


@dataclass(frozen=True, kw_only=True)
class Region:
    """Where an object starts, drawn uniformly.

    `x`, `y`, `z` are fractions of the workspace box of the arm that the object is for (0 low, 1 high);
    for `both_arms` of the box around both arms' workspaces.
    """

    x: Range = (0.1, 0.9)
    y: Range = (0.1, 0.9)
    z: Range | None = None
    """None: standing on the table (or on the belt); otherwise the centre's height as a fraction."""
    near: str = ""
    """Name of an earlier object; if given, x and y are redrawn until the distance to it is in `distance_m`."""
    distance_m: Range = (0.0, 10.0)
    """Allowed horizontal distance between the centres of this object and `near`."""
    clear_of_tool_m: float = 0.0
    """Least distance of the centre to the arm's tool at the home pose, so that holding still achieves nothing."""
    apart_m: float = 0.0
    """Least horizontal gap between the edges of this object and all earlier ones of the same arm."""


@dataclass(frozen=True, kw_only=True)
class Sway:
    """Smooth motion of a marker about its start: one sine an axis, all drawn by seed."""

    amplitude_m: tuple[Range, Range, Range]
    """Amplitude in x, y and z."""
    period_s: Range
    """Period of each axis."""


@dataclass(frozen=True, kw_only=True)
class Belt:
    """A conveyor on the table that carries whatever stands on it along y, both ways by seed."""

    speed_m_s: Range
    height_m: float = 0.02
    """Top of the belt over the table."""


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """One kind of object; size, mass, friction and place vary by seed."""

    name: str
    """For example `block` or `target`; an `each_arm` object of a two-armed robot is named `left/target`."""
    shape: Shape = "box"
    half_size_m: tuple[Range, Range | None, Range | None] = ((0.02, 0.025), None, None)
    """Half sizes along x, y, z; None repeats the x draw. Cylinders: radius, None, half height. Spheres: radius."""
    mass_kg: Range = (0.05, 0.15)
    friction: Range = (0.9, 1.3)
    """Sliding friction; contacts take the larger of both partners."""
    movable: bool = True
    """False: a marker without collision, placed and moved by the world."""
    placing: Placing = "one_arm"
    """`one_arm`: one object, for one arm (drawn by seed on two-armed robots, the same arm for all of the
    episode's objects); `each_arm`: one copy an arm; `both_arms`: one object between two arms, side center."""
    region: Region = field(default_factory=Region)
    yaw_rad: Range = (0.0, 0.0)
    """Turn about the vertical at the start."""
    motion: Sway | None = None
    """Only for markers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmState:
    """True state of one arm."""

    side: Side
    position: Float
    """[3], tool site."""
    rotation: Float
    """[3, 3], tool site."""
    velocity: Float
    """[3], tool site, m/s."""
    opening: float
    """Measured gripper opening, 0 closed .. 1 open; 1 for arms without a gripper."""
    joints: Float
    """[joints of this arm], measured joint positions in the order of `Arm.joints`, rad."""
    touching: frozenset[str]
    """Names of the objects in contact with this arm's hand."""
    gripping: frozenset[str]
    """Names of the objects in contact with at least two bodies of this arm's hand (finger and finger)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectState:
    """True state of one object or marker."""

    name: str
    spec: ObjectSpec
    side: Side
    """The arm that the object is for; center for single-armed robots and for `both_arms`."""
    position: Float
    """[3], centre."""
    rotation: Float
    """[3, 3]."""
    velocity: Float
    """[3], m/s; markers and belts included."""
    half_size: Float
    """[3], half extents along the object's own axes, metres (cylinder: r, r, half height; sphere: r, r, r)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WorldState:
    """Ground truth at one instant; holds no memory of the past."""

    time_s: float
    """Since the episode's start. For sensors and records; experts must not read it."""
    table_height_m: float
    """Top of the table in the base frame."""
    arms: Mapping[Side, ArmState]
    objects: tuple[ObjectState, ...]
    """In the order of the task's specs; copies of an `each_arm` spec follow each other in the robot's arm order."""

    def object(self, name: str, side: Side | None = None) -> ObjectState:
        """Return the object made from the spec called `name` (for `side`, where there is one an arm)."""
        for candidate in self.objects:
            if candidate.spec.name == name and side in (None, candidate.side):
                return candidate
        raise ConfigError(f"no object {name!r} for side {side!r}; known: {[o.name for o in self.objects]}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ToolGoal:
    """Where a tool should be heading now."""

    position: Float
    """[3]."""
    rotation: Float = field(default_factory=lambda: POINTING_DOWN)
    """[3, 3]."""
    opening: float = 1.0
    """Wanted gripper opening, 0..1."""
    speed_m_s: float = 0.4
    """Cap of the speed toward `position`."""
    turn_rad_s: float = 2.0
    """Cap of the turning speed toward `rotation`."""
    velocity: Float = field(default_factory=lambda: np.zeros(3))
    """[3], velocity of the goal itself, fed forward."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task: what stands where, when it counts as done, and what an expert would do.

    `success` and `expert` are pure functions of the true state at one instant: no clocks, no counters.
    """

    name: str
    objects: tuple[ObjectSpec, ...]
    instructions: tuple[str, ...]
    """Paraphrases; one is drawn by seed. `{colour}` and `{shape}` stand for the first object's."""
    success: Callable[[WorldState], bool]
    expert: Callable[[WorldState], Mapping[Side, ToolGoal]]
    """Goals for the arms that should move; an arm without a goal holds still."""
    time_limit_s: float
    hold_s: float = 0.3
    """How long `success` must stay true without a break before the episode counts as achieved."""
    arms: Literal["one", "two", "any"] = "any"
    """How many arms a robot must have."""
    needs_gripper: bool = False
    belt: Belt | None = None

    def __post_init__(self) -> None:
        """Check limits and names."""
        if not self.instructions:
            raise ConfigError(f"task {self.name!r}: needs at least one instruction")
        if not 0 <= self.hold_s < self.time_limit_s:
            raise ConfigError(
                f"task {self.name!r}: hold_s {self.hold_s} must be below time_limit_s {self.time_limit_s}"
            )
        names = [spec.name for spec in self.objects]
        if len(set(names)) != len(names):
            raise ConfigError(f"task {self.name!r}: object names must be unique, got {names}")
        for spec in self.objects:
            if spec.movable and spec.motion is not None:
                raise ConfigError(f"task {self.name!r}: object {spec.name!r} is movable, so it cannot have a motion")

    def fits(self, robot: Robot) -> bool:
        """Return whether `robot` has the arms and grippers that this task needs."""
        count = {"one": len(robot.arms) == 1, "two": len(robot.arms) == 2, "any": True}[self.arms]
        return count and (not self.needs_gripper or all(arm.gripper is not None for arm in robot.arms))
