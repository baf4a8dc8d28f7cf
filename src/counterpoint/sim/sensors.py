"""Sensors: what each one reports of the true state, with noise, on its own schedule.

    proprioception  tool_pose  wrist_force     100 Hz, 2 ms late
    object/0, object/1, ...                     25 Hz, 30 ms late, noise, drop-outs, gaps
    camera/<name>                            1-60 Hz, 40 ms late

All random numbers are drawn from the seed before the episode; values are filled in as time passes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Channel, Quantity, Side, StreamSpec, Unit, Vector3
from counterpoint.core.seeding import generator
from counterpoint.core.stream import Stream
from counterpoint.robots.robot import Robot
from counterpoint.sim.bindings import Bindings
from counterpoint.sim.layout import SceneLayout
from counterpoint.sim.log import TICK_NS, TICK_S, Log
from counterpoint.sim.schedule import STATE_TIMING, TRACKER_TIMING, Schedule, Timing, draw_schedule

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Reader = Callable[[Log, Int, slice], Float]
"""`read(log, capture_ns, rows)`: what was captured then, float64 [samples, channels]; `rows` of the schedule."""

JOINT_NOISE = 0.0005
"""Rad, or share of the gripper's travel."""
VELOCITY_NOISE = 0.01
TOOL_NOISE_M = 0.0003
FORCE_NOISE_N = 0.3
TRACKER_NOISE_M = 0.001
TRACKER_NOISE_RAD = 0.0087
_AXES: tuple[Vector3, Vector3, Vector3] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class Sensor:
    """One stream of a running episode: a schedule drawn beforehand, values filled in up to now."""

    def __init__(self, spec: StreamSpec, schedule: Schedule, values: NDArray[np.float32] | NDArray[np.uint8]) -> None:
        """`values` is the buffer [samples, ...] for the whole episode."""
        self.spec = spec
        self.schedule = schedule
        self.values = values
        self.count = 0

    def advance(self, log: Log, now_ns: int) -> None:
        """Fill in what was captured up to `now_ns`."""

    def captured(self) -> Stream:
        """Return everything captured so far, arrived or not."""
        return Stream(
            spec=self.spec,
            capture_ns=self.schedule.capture_ns[: self.count],
            arrival_ns=self.schedule.arrival_ns[: self.count],
            values=self.values[: self.count],
        )


class VectorSensor(Sensor):
    """Reads the log at its capture times and adds noise [samples, channels]."""

    def __init__(self, spec: StreamSpec, schedule: Schedule, read: Reader, noise: Float) -> None:
        """`read` gives the values without noise."""
        super().__init__(spec, schedule, np.zeros(noise.shape, dtype=np.float32))
        self._read = read
        self._noise = noise

    def advance(self, log: Log, now_ns: int) -> None:
        """Fill in what was captured up to `now_ns`."""
        count = int(np.searchsorted(self.schedule.capture_ns, now_ns, side="right"))
        if count > self.count:
            rows = slice(self.count, count)
            self.values[rows] = self._read(log, self.schedule.capture_ns[rows], rows) + self._noise[rows]
            self.count = count


def state_sensors(robot: Robot, bindings: Bindings, *, seed: int, duration_s: float) -> list[Sensor]:
    """Return the sensors of the robot itself, as its embodiment lists them."""
    noises = {"tool_pose": TOOL_NOISE_M, "wrist_force": FORCE_NOISE_N}
    readers: dict[str, Reader] = {
        "proprioception": _proprioception_reader(robot, bindings),
        "tool_pose": _read_tool_pose,
        "wrist_force": _read_force,
    }
    sensors: list[Sensor] = []
    for spec in robot.embodiment.sensing:
        random = generator(seed, "sensor", spec.name)
        schedule = draw_schedule(STATE_TIMING, duration_s, random, grid_s=TICK_S)
        spread = [
            VELOCITY_NOISE if channel.quantity == "joint_velocity" else noises.get(spec.name, JOINT_NOISE)
            for channel in spec.channels
        ]
        noise = random.standard_normal((len(schedule), len(spread))) * np.array(spread)
        sensors.append(VectorSensor(spec, schedule, readers[spec.name], noise))
    return sensors


def tracker_sensors(layout: SceneLayout, *, seed: int, duration_s: float) -> list[Sensor]:
    """Return one tracker an object, `object/<slot>`."""
    sensors: list[Sensor] = []
    for slot, placed in enumerate(layout.objects):
        random = generator(seed, "sensor", "object", slot)
        schedule = draw_schedule(TRACKER_TIMING, duration_s, random)
        noise = np.zeros((len(schedule), 12))
        noise[:, :3] = random.standard_normal((len(schedule), 3)) * TRACKER_NOISE_M
        noise[:, 9:] = placed.half_size + random.standard_normal(3) * TRACKER_NOISE_M  # measured once
        wobble = random.standard_normal((len(schedule), 3)) * TRACKER_NOISE_RAD
        spec = tracker_spec(slot, placed.side, len(layout.objects))
        reader = _tracker_reader(slot, wobble)
        sensors.append(VectorSensor(spec, schedule, reader, noise))
    return sensors


def tracker_spec(slot: int, side: Side, count: int) -> StreamSpec:
    """Return the stream of one object: centre, first two columns of its rotation, half sizes; base frame."""
    kinds: list[tuple[str, Quantity, Unit, float, float, Vector3]] = [
        *((name, "position", "m", -np.inf, np.inf, axis) for name, axis in zip("xyz", _AXES, strict=True)),
        *((f"rotation_{row}{column}", "rotation", "1", -1.0, 1.0, _AXES[row]) for column in (0, 1) for row in range(3)),
        *((f"half_{name}", "extent", "m", 0.0, np.inf, axis) for name, axis in zip("xyz", _AXES, strict=True)),
    ]
    channels = [
        Channel(
            name=name,
            quantity=quantity,
            unit=unit,
            lower=lower,
            upper=upper,
            part="object",
            side=side,
            chain_index=slot,
            chain_length=count,
            axis=axis,
        )
        for name, quantity, unit, lower, upper, axis in kinds
    ]
    return StreamSpec(name=f"object/{slot}", channels=tuple(channels), rate_hz=TRACKER_TIMING.rate_hz)


def _proprioception_reader(robot: Robot, bindings: Bindings) -> Reader:
    acting = robot.embodiment.acting_names
    spec = next(spec for spec in robot.embodiment.sensing if spec.name == "proprioception")
    columns = [acting.index(name) for name in spec.channel_names if "/velocity" not in name]
    speeds = [acting.index(name.removesuffix("/velocity")) for name in spec.channel_names if "/velocity" in name]
    dofs = bindings.channel_dof[speeds]

    def read(log: Log, capture_ns: Int, rows: slice) -> Float:
        ticks = _ticks(capture_ns)
        positions = robot.from_qpos(log.qpos[ticks][:, bindings.channel_qpos])[:, columns]
        return np.concatenate([positions, log.qvel[ticks][:, dofs]], axis=1)

    return read


def _read_tool_pose(log: Log, capture_ns: Int, rows: slice) -> Float:
    ticks = _ticks(capture_ns)
    pose = np.concatenate([log.tool_position[ticks], _two_columns(log.tool_rotation[ticks])], axis=-1)
    return np.asarray(pose.reshape(len(ticks), -1))


def _read_force(log: Log, capture_ns: Int, rows: slice) -> Float:
    ticks = _ticks(capture_ns)
    rotation = log.tool_rotation[ticks].reshape(len(ticks), -1, 3, 3)
    return np.asarray(np.einsum("nai,naij->naj", log.tool_force[ticks], rotation).reshape(len(ticks), -1))


def _tracker_reader(slot: int, wobble: Float) -> Reader:
    """Positions between ticks are interpolated; the rotation is the nearest tick's, turned by the noise."""

    def read(log: Log, capture_ns: Int, rows: slice) -> Float:
        exact = capture_ns / TICK_NS
        left = np.minimum(exact.astype(np.int64), log.count - 1)
        right = np.minimum(left + 1, log.count - 1)
        weight = (exact - left)[:, None]
        positions = log.object_position[:, slot]
        values = np.zeros((len(capture_ns), 12))
        values[:, :3] = (1 - weight) * positions[left] + weight * positions[right]
        columns = _two_columns(log.object_rotation[left, slot]).reshape(-1, 2, 3)
        columns = columns + np.cross(wobble[rows, None], columns)
        values[:, 3:9] = (columns / np.linalg.norm(columns, axis=-1, keepdims=True)).reshape(-1, 6)
        return values

    return read


def _ticks(capture_ns: Int) -> Int:
    return np.asarray(np.rint(capture_ns / TICK_NS), dtype=np.int64)


def _two_columns(matrices: Float) -> Float:
    """Return the first two columns of row-major matrices [..., 9], column by column, [..., 6]."""
    return matrices[..., [0, 3, 6, 1, 4, 7]]


class CameraSensor(Sensor):
    """Frames rendered at their capture instants, which lie on the log's grid."""

    def __init__(self, spec: StreamSpec, timing: Timing, *, seed: int, duration_s: float) -> None:
        """Draw the schedule; the camera's name is in `spec.name` after `camera/`."""
        schedule = draw_schedule(timing, duration_s, generator(seed, "sensor", spec.name), grid_s=TICK_S)
        super().__init__(spec, schedule, np.zeros((len(schedule), spec.height, spec.width, 3), dtype=np.uint8))
        self.camera = spec.name.removeprefix("camera/")

    def is_due(self, now_ns: int) -> bool:
        """Return whether a frame is to be captured at `now_ns`."""
        return self.count < len(self.schedule) and int(self.schedule.capture_ns[self.count]) == now_ns

    def keep(self, frame: NDArray[np.uint8]) -> None:
        """Take the frame that was due."""
        self.values[self.count] = frame
        self.count += 1
