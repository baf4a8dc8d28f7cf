"""Builds the MuJoCo model of an episode: table, belt, objects, lights and cameras around the robot.

The robot keeps its own names and stands at the origin. What we add:

    bodies   table, belt, object/<name>      joints  belt, object/<name> (free)
    cameras  front, side, and wrist (left/wrist, right/wrist) where the robot has none

Markers are mocap bodies without collision. Nothing has a mesh or a texture, so that one graphics
context serves all models (see `cameras`).
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from counterpoint.robots.robot import Robot, set_physics
from counterpoint.sim.layout import Placed, SceneLayout, workspace_box
from counterpoint.sim.task import Task

Float = NDArray[np.float64]
TABLE_THICKNESS_M = 0.04
TABLE_MARGIN_M = 0.12
STANDING_TABLE_M = 0.3
"""Robots whose table is higher stand on the floor; others are bolted to a pedestal as high as the table."""
BELT_MASS_KG = 1000.0
"""Heavy, so that friction with what stands on it does not slow it: it moves by inertia."""
_GEOM = mujoco.mjtGeom
_SHAPES = {"box": _GEOM.mjGEOM_BOX, "cylinder": _GEOM.mjGEOM_CYLINDER, "sphere": _GEOM.mjGEOM_SPHERE}


def compile_scene(robot: Robot, task: Task, layout: SceneLayout) -> mujoco.MjModel:
    """Return the model of one episode, with the objects where the layout puts them."""
    spec = robot.spec()
    set_physics(spec)
    _set_look(spec)
    low, high = workspace_box(robot, robot.arms[0].side, both=True)
    _add_room(spec, robot, layout, low, high)
    if task.belt is not None:
        _add_belt(spec, layout, robot.table_height_m, task.belt.height_m, low, high, task.time_limit_s)
    for placed in layout.objects:
        _add_object(spec, placed)
    _add_cameras(spec, robot, layout, low, high)
    return spec.compile()


def _set_look(spec: mujoco.MjSpec) -> None:
    spec.visual.headlight.ambient[:] = 0.5
    spec.visual.headlight.diffuse[:] = 0.18
    spec.visual.headlight.specular[:] = 0.05
    spec.stat.extent = 2.0
    spec.visual.map.znear = 0.004  # of the extent: wrist cameras see what is between the fingers


def _add_room(spec: mujoco.MjSpec, robot: Robot, layout: SceneLayout, low: Float, high: Float) -> None:
    feet = [body.pos + (body.frame.pos if body.frame else np.zeros(3)) for body in spec.worldbody.bodies]
    site, top = layout.site, robot.table_height_m
    corner, far = low[:2] - TABLE_MARGIN_M, high[:2] + TABLE_MARGIN_M
    table = spec.worldbody.add_body(name="table", pos=[*(corner + far) / 2, top - TABLE_THICKNESS_M / 2])
    half = (far - corner) / 2
    table.add_geom(
        name="table",
        type=_GEOM.mjGEOM_BOX,
        size=[*half, TABLE_THICKNESS_M / 2],
        rgba=[*site.table, 1],
        contype=1,
        conaffinity=1,
        friction=[0.6, 0.005, 0.0001],
    )
    floor = 0.0 if top > STANDING_TABLE_M else top - 0.75
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        leg = (top - TABLE_THICKNESS_M - floor) / 2
        _add_scenery(table, [x * (half[0] - 0.04), y * (half[1] - 0.04), -leg - 0.02], [0.025, 0.025, leg], site.floor)
    room = spec.worldbody.add_body(name="room")
    for foot in feet if floor < 0 else ():
        half_height = (foot[2] - floor) / 2
        _add_scenery(room, [foot[0], foot[1], floor + half_height], [0.12, 0.12, half_height], (0.30, 0.31, 0.33))
    _add_scenery(room, [0.4, 0, floor - 0.01], [4, 4, 0.01], site.floor)
    _add_scenery(room, [-1.6, 0, floor + 1.5], [0.02, 4, 1.6], site.wall)
    _add_scenery(room, [0.4, 2.6, floor + 1.5], [4, 0.02, 1.6], site.wall)
    _add_scenery(room, [-1.58, 0, floor + 0.05], [0.02, 4, 0.06], site.floor)
    light = np.array(site.light) * layout.light_level
    spec.worldbody.add_light(
        pos=layout.light_position, dir=[0.0, 0.0, -1.0], diffuse=0.32 * light, specular=0.12 * light, castshadow=False
    )
    spec.worldbody.add_light(
        pos=[1.8, -1.2, 1.6], dir=[-0.7, 0.5, -0.5], diffuse=0.22 * light, specular=[0, 0, 0], castshadow=False
    )


def _add_scenery(body: mujoco.MjsBody, pos: list[float], size: list[float], color: tuple[float, float, float]) -> None:
    body.add_geom(type=_GEOM.mjGEOM_BOX, pos=pos, size=size, rgba=[*color, 1], contype=0, conaffinity=0, group=1)


def _add_belt(
    spec: mujoco.MjSpec, layout: SceneLayout, top: float, height: float, low: Float, high: Float, time_limit_s: float
) -> None:
    travel = abs(layout.belt_speed_m_s) * (time_limit_s + 2.0)
    half_length = (high[1] - low[1]) / 2 + travel
    half_width = (high[0] - low[0]) / 2 + 0.02
    middle = (low + high) / 2
    belt = spec.worldbody.add_body(name="belt", pos=[middle[0], middle[1], top + height / 2], gravcomp=1.0)
    belt.add_joint(name="belt", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, 1, 0])
    belt.add_geom(
        name="belt",
        type=_GEOM.mjGEOM_BOX,
        size=[half_width, half_length, height / 2],
        rgba=[0.16, 0.17, 0.18, 1],
        mass=BELT_MASS_KG,
        contype=1,
        conaffinity=1,
        friction=[1.0, 0.005, 0.0001],
    )
    spec.add_exclude(bodyname1="belt", bodyname2="table")
    for y in np.arange(-half_length + 0.05, half_length, 0.1):
        _add_scenery(belt, [0.0, float(y), height / 2], [half_width, 0.004, 0.0006], (0.42, 0.43, 0.44))


def _add_object(spec: mujoco.MjSpec, placed: Placed) -> None:
    half_yaw = placed.yaw_rad / 2
    movable = placed.spec.movable
    body = spec.worldbody.add_body(
        name=f"object/{placed.name}",
        pos=placed.position,
        quat=[np.cos(half_yaw), 0, 0, np.sin(half_yaw)],
        mocap=not movable,
    )
    size = placed.half_size
    if placed.spec.shape == "cylinder":
        size = np.array([size[0], size[2], 0.0])
    geom = body.add_geom(
        name=f"object/{placed.name}",
        type=_SHAPES[placed.spec.shape],
        size=size,
        rgba=[*placed.color, 1.0 if movable else 0.55],
        contype=int(movable),
        conaffinity=int(movable),
    )
    if movable:
        body.add_freejoint(name=f"object/{placed.name}")
        geom.mass = placed.mass_kg
        geom.friction = [placed.friction, 0.01, 0.001]
        geom.condim = 4


def _add_cameras(spec: mujoco.MjSpec, robot: Robot, layout: SceneLayout, low: Float, high: Float) -> None:
    center = (low + high) / 2
    middle = np.array([0.65 * center[0], center[1], robot.table_height_m + 0.23])
    span = float(np.hypot(*(high - low)[:2]))
    shift = layout.camera_shift
    front = middle + np.array([0.75 + 0.55 * span, -0.45 * span, 0.32 + 0.4 * span]) + shift[0]
    side = middle + np.array([0.3, -(0.7 + 0.65 * span), 0.3 + 0.35 * span]) + shift[0]
    for name, position in (("front", front), ("side", side)):
        spec.worldbody.add_camera(name=name, pos=position, quat=_look_at(position, middle + shift[1]), fovy=53)
    known = {camera.name for camera in spec.cameras}
    for arm in robot.arms:
        name = "wrist" if arm.side == "center" else f"{arm.side}/wrist"
        if name not in known:
            _add_wrist_camera(spec, name, arm.tool_site)


def _add_wrist_camera(spec: mujoco.MjSpec, name: str, tool_site: str) -> None:
    """Put a camera beside the hand, looking along the approach axis at the point between the fingers."""
    hand = spec.site(tool_site)
    position = np.array([0.07, 0.0, -0.12])
    turn, quat = np.zeros(9), np.zeros(4)
    attitude = np.asarray(hand.quat, dtype=np.float64)
    mujoco.mju_quat2Mat(turn, attitude)
    mujoco.mju_mulQuat(quat, attitude, _look_at(position, np.array([0.0, 0.0, 0.06])))
    hand.parent.add_camera(name=name, pos=np.asarray(hand.pos) + turn.reshape(3, 3) @ position, quat=quat, fovy=75)


def _look_at(position: Float, target: Float) -> Float:
    """Return the quaternion [4] of a camera at `position` whose view (-z) points at `target`, image up along +z."""
    back = (position - target) / np.linalg.norm(position - target)
    up = np.array([0.0, 0.0, 1.0]) if abs(back[2]) < 0.9 else np.array([-1.0, 0.0, 0.0])
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    matrix = np.stack([right, np.cross(back, right), back], axis=1)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, matrix.reshape(-1))
    return quat
