"""What one seed draws: where everything stands, how it looks and moves, and the instruction.

    seed --draw_layout--> SceneLayout --compile_scene--> MjModel

A layout is plain values; physics comes later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Side
from counterpoint.core.errors import ConfigError
from counterpoint.core.seeding import generator
from counterpoint.robots.robot import Robot
from counterpoint.sim.styles import TARGET_COLORS, Color, Site, draw_site
from counterpoint.sim.task import ObjectSpec, Range, Region, Task

Float = NDArray[np.float64]
MAX_DRAWS = 500
SHAPE_WORDS = {"box": "block", "cylinder": "can", "sphere": "ball"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """Sway drawn by seed: position = start + amplitude * (sin(rate * t + phase) - sin(phase))."""

    amplitude_m: Float
    rate_rad_s: Float
    phase_rad: Float

    def offset(self, time_s: float | Float) -> Float:
        """Return the offset from the start, [3] (or [n, 3] for times [n, 1])."""
        angle = self.rate_rad_s * time_s + self.phase_rad
        return np.asarray(self.amplitude_m * (np.sin(angle) - np.sin(self.phase_rad)))

    def velocity(self, time_s: float) -> Float:
        """Return the velocity [3], m/s."""
        return np.asarray(self.amplitude_m * self.rate_rad_s * np.cos(self.rate_rad_s * time_s + self.phase_rad))


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """One object of one episode, fully drawn."""

    name: str
    spec: ObjectSpec
    side: Side
    position: Float
    yaw_rad: float
    half_size: Float
    """[3], half extents."""
    mass_kg: float
    friction: float
    color: Color
    color_word: str
    motion: Motion | None


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneLayout:
    """Everything about a world that its seed decides, except noise."""

    objects: tuple[Placed, ...]
    belt_speed_m_s: float
    """Along y, signed; 0 without a belt."""
    instruction: str
    site: Site
    light_position: Float
    """[3], metres."""
    light_level: float
    camera_shift: Float
    """[2, 3], shift of the front camera's position and of the point it looks at, metres."""
    start_shift: Float
    """[joints], -1..1, shift of every arm joint from home before scaling."""


def draw_layout(robot: Robot, task: Task, seed: int) -> SceneLayout:
    """Return the layout that `seed` draws of `task` for `robot`.

    Raises:
        ConfigError: the task does not fit the robot, or its regions leave no room for an object.
    """
    if not task.fits(robot):
        raise ConfigError(f"task {task.name!r} does not fit robot {robot.name!r}: it needs other arms or grippers")
    site, random = draw_site(seed), generator(seed, "layout")
    objects = _draw_objects(robot, task, site, random)
    first = objects[0] if objects else None
    words = {"colour": first.color_word if first else "", "shape": SHAPE_WORDS[first.spec.shape] if first else ""}
    instruction = task.instructions[int(random.integers(len(task.instructions)))].format(**words)
    speed = 0.0
    if task.belt is not None:
        speed = float(random.uniform(*task.belt.speed_m_s)) * float(random.choice([-1.0, 1.0]))
    return SceneLayout(
        objects=tuple(objects),
        belt_speed_m_s=speed,
        instruction=instruction,
        site=site,
        light_position=np.array([0.5, 0.0, 2.4]) + random.uniform(-0.5, 0.5, 3),
        light_level=float(random.uniform(0.75, 1.1)),
        camera_shift=random.uniform(-1, 1, (2, 3)) * np.array([[0.06], [0.02]]),
        start_shift=random.uniform(-1, 1, sum(len(arm.joints) for arm in robot.arms)),
    )


def _draw_objects(robot: Robot, task: Task, site: Site, random: np.random.Generator) -> list[Placed]:
    sides = tuple(arm.side for arm in robot.arms)
    chosen: Side = sides[int(random.integers(len(sides)))]
    colors = [*site.objects.items()]
    random.shuffle(colors)
    targets = [*TARGET_COLORS.items()]
    placed: list[Placed] = []
    for spec in task.objects:
        match spec.placing:
            case "one_arm":
                owners: tuple[Side, ...] = (chosen,)
            case "each_arm":
                owners = sides
            case "both_arms":
                owners = ("center",)
        for side in owners:
            name = spec.name if len(owners) == 1 else f"{side}/{spec.name}"
            palette = colors if spec.movable else targets
            word, color = palette[sum(o.spec.movable == spec.movable for o in placed) % len(palette)]
            half = _half_size(spec, random)
            placed.append(
                Placed(
                    name=name,
                    spec=spec,
                    side=side,
                    position=_place(robot, task, spec, side, half, placed, random),
                    yaw_rad=_draw(spec.yaw_rad, random),
                    half_size=half,
                    mass_kg=_draw(spec.mass_kg, random),
                    friction=_draw(spec.friction, random),
                    color=color,
                    color_word=word,
                    motion=_motion(spec, random),
                )
            )
    return placed


def _place(
    robot: Robot,
    task: Task,
    spec: ObjectSpec,
    side: Side,
    half: Float,
    placed: list[Placed],
    random: np.random.Generator,
) -> Float:
    low, high = workspace_box(robot, side, both=spec.placing == "both_arms")
    region = spec.region
    ground = robot.table_height_m + (task.belt.height_m if task.belt is not None and spec.movable else 0.0)
    for _ in range(MAX_DRAWS):
        fractions = np.array([_draw(region.x, random), _draw(region.y, random), _draw(region.z or (0, 0), random)])
        position = low + fractions * (high - low)
        if region.z is None:
            position[2] = ground + half[2]
        near_tool = region.clear_of_tool_m > np.linalg.norm(position - _home_tool(robot, side))
        if not near_tool and _has_room(position, half, region, side, placed):
            return np.asarray(position)
    raise ConfigError(
        f"task {task.name!r} on robot {robot.name!r}: no room for object {spec.name!r} after {MAX_DRAWS} draws; "
        f"widen its region or lower apart_m ({region.apart_m})"
    )


def _has_room(position: Float, half: Float, region: Region, side: Side, placed: list[Placed]) -> bool:
    for other in placed:
        if other.side != side:
            continue
        distance = float(np.hypot(*(other.position - position)[:2]))
        gap = distance - float(np.hypot(*half[:2])) - float(np.hypot(*other.half_size[:2]))
        if region.apart_m > 0 and gap < region.apart_m:
            return False
        near, far = region.distance_m
        if other.spec.name == region.near and not near <= distance <= far:
            return False
    return True


def _home_tool(robot: Robot, side: Side) -> Float:
    """Return the tool's position [3] at the home pose: the references of its channels. Zero for side center of two."""
    spec = next(spec for spec in robot.embodiment.sensing if spec.name == "tool_pose")
    references = [c.reference for c in spec.channels if c.quantity == "position" and c.side == side]
    return np.array(references or [0.0, 0.0, 0.0])


def workspace_box(robot: Robot, side: Side, *, both: bool = False) -> tuple[Float, Float]:
    """Return the low and high corners [3] of an arm's workspace, or of the box around `both` arms'."""
    boxes = list(robot.workspace.values()) if both else [robot.workspace[side]]
    corners = np.array(boxes, dtype=np.float64)
    return corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)


def _half_size(spec: ObjectSpec, random: np.random.Generator) -> Float:
    x_range, y_range, z_range = spec.half_size_m
    x = _draw(x_range, random)
    y = x if y_range is None or spec.shape != "box" else _draw(y_range, random)
    z = x if z_range is None or spec.shape == "sphere" else _draw(z_range, random)
    return np.array([x, y, z])


def _motion(spec: ObjectSpec, random: np.random.Generator) -> Motion | None:
    if spec.motion is None:
        return None
    return Motion(
        amplitude_m=np.array([_draw(bounds, random) for bounds in spec.motion.amplitude_m]),
        rate_rad_s=2 * np.pi / random.uniform(*spec.motion.period_s, size=3),
        phase_rad=random.uniform(0, 2 * np.pi, size=3),
    )


def _draw(bounds: Range, random: np.random.Generator) -> float:
    return float(random.uniform(*bounds))
