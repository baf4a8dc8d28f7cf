"""A replay buffer as a log: the rows of all arrays, cut into episodes by `meta/episode_ends`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, Quantity, Unit
from counterpoint.core.errors import IngestError
from counterpoint.core.stream import TimeSource
from counterpoint.ingest.files.columns import widened
from counterpoint.ingest.mapping.guess import unknown_channels
from counterpoint.ingest.recording.features import LogFeature, LogRobot, Role, map_features, slug
from counterpoint.ingest.recording.pictures import camera_names, frame_stream, is_picture_shape
from counterpoint.ingest.recording.recorded_log import RecordedLog, choose_rate
from counterpoint.ingest.recording.recording import Recording, Series
from counterpoint.ingest.recording.source import ReadOptions
from counterpoint.ingest.table.times import clock_ns
from counterpoint.ingest.zarr.array import ZarrArray, load_array
from counterpoint.ingest.zarr.hierarchy import ENDS, open_hierarchy

MAX_WIDTH = 4096
MAX_ROWS = 2**28
USUAL_RATE_HZ = 10.0
"""Of Diffusion Policy."""
UMI_RATE_HZ = 60.0
"""Frame rate of the GoPro, UMI's only clock."""
ACTIONS = ("action", "actions")
STATES = ("state", "robot_state", "agent_pos", "robot_eef_pose", "robot_joint", "qpos", "joint_pos")
CLOCK = "timestamp"
POSE = "robot_pose"
_POSE_PART = re.compile(r"(robot\d+)_(eef_pos|eef_rot_axis_angle|gripper_width)$")
_PARTS: dict[str, tuple[int, Quantity, Unit]] = {
    "eef_pos": (3, "position", "m"),
    "eef_rot_axis_angle": (3, "rotation", "rad"),
    "gripper_width": (1, "gripper_opening", "m"),
}


class ZarrLog(RecordedLog):
    """A folder or a zip; see `recording.source.LogSource`."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Read the metadata of all arrays and the ends of the episodes; raises IngestError."""
        self._hierarchy = open_hierarchy(path)
        self._ends = self._read_ends(path)
        self._arrays: dict[str, ZarrArray] = {}
        notes: list[str] = []
        for name in self._hierarchy.arrays("data"):
            array = load_array(self._hierarchy, f"data/{name}")
            if array is None or not (len(array.shape) <= 2 or is_picture_shape(array.shape)):
                notes.append(f"left_out:{name}")
            else:
                self._arrays[name] = array
        self._pictures = tuple(name for name, array in self._arrays.items() if len(array.shape) > 2)
        features, self._made_of, derived = _features(self._arrays)
        is_umi = POSE in self._made_of
        rate, assumed = choose_rate(None, options.robot, UMI_RATE_HZ if is_umi else USUAL_RATE_HZ)
        log = LogRobot(
            name=slug(path.resolve().name.removesuffix(".zip").removesuffix(".zarr")) or "robot",
            rate_hz=rate,
            description="Made from the array names of a Zarr replay buffer; what no name says is unknown.",
            source=f"Zarr {path.name}",
        )
        mapping, mapped = map_features(features, log, options, str(path))
        assumed = [] if CLOCK in self._arrays else assumed
        super().__init__(path, options, mapping, [*assumed, *derived, *mapped, *notes], rate)

    def items(self) -> Sequence[str]:
        """Return `episode_000003`."""
        return [f"episode_{index:06d}" for index in range(len(self._ends))]

    def load(self, item: str) -> Recording:
        """Read one episode; raises IngestError."""
        index = int(item.removeprefix("episode_"))
        start, stop = (int(self._ends[index - 1]) if index else 0), int(self._ends[index])
        where = f"{self.path}, {item}"
        if stop <= start:
            raise IngestError(
                f"{where}: the episode ends at row {stop}, before its start at row {start}", reason="bad_episode_index"
            )
        most = max((array.shape[0] for array in self._arrays.values()), default=0)
        if stop > most:
            raise IngestError(
                f"{where}: the episode ends at row {stop}, but no array has more than {most} rows",
                reason="length_mismatch",
            )
        if stop - start > MAX_ROWS:
            raise IngestError(f"{where}: {stop - start} rows", reason="absurd_size")
        capture, source = self._clock(start, stop, where)
        notes: list[str] = []
        series = {}
        for each in self.mapping.features:
            parts = [
                self._numbers(name, start, stop, notes) for name in self._made_of.get(each.feature, (each.feature,))
            ]
            series[each.feature] = Series(values=np.concatenate(parts, axis=1), capture_ns=capture, time_source=source)
        frames = {}
        for feature, name in camera_names(self._pictures).items():
            array = self._arrays[feature]
            if array.shape[0] < stop:
                raise IngestError(
                    f"{where}: {feature}: {array.shape[0]} pictures, expected at least {stop}", reason="short_video"
                )
            pictures = array.rows(self._hierarchy, start, stop, notes)
            frames[name] = frame_stream(name, pictures, capture, self.rate_hz, f"{where}: {feature}")
        return Recording(series=series, frames=frames, notes=tuple(dict.fromkeys(notes)))

    def _clock(self, start: int, stop: int, where: str) -> tuple[NDArray[np.int64], TimeSource]:
        if CLOCK not in self._arrays:
            return periodic_ns(0, self.rate_hz, stop - start), "nominal"
        times = self._arrays[CLOCK].rows(self._hierarchy, start, stop).reshape(-1)
        return clock_ns(pa.table({CLOCK: widened(times)}), CLOCK, "", where)

    def _numbers(self, name: str, start: int, stop: int, notes: list[str]) -> NDArray[np.float64]:
        values = self._arrays[name].rows(self._hierarchy, start, stop, notes)
        return widened(values.reshape(stop - start, -1))

    def _read_ends(self, path: Path) -> NDArray[np.int64]:
        array = load_array(self._hierarchy, ENDS)
        if array is None or array.dtype.kind not in "iu" or len(array.shape) != 1:
            raise IngestError(f"{path}: expected a list of integers in {ENDS}", reason="wrong_type")
        return np.asarray(array.rows(self._hierarchy, 0, array.shape[0]), dtype=np.int64)


def _features(
    arrays: Mapping[str, ZarrArray],
) -> tuple[list[LogFeature], dict[str, tuple[str, ...]], list[str]]:
    """Return the features, the arrays that make up each of UMI's features, and notes.

    UMI records a hand-held gripper without commands; its motion becomes the action.
    """
    widths = {
        name: array.shape[1] if len(array.shape) == 2 else 1
        for name, array in arrays.items()
        if len(array.shape) <= 2 and name != CLOCK
    }
    wide = [name for name, width in widths.items() if width > MAX_WIDTH]
    if wide:
        raise IngestError(f"{wide[0]}: {widths[wide[0]]} numbers per row", reason="absurd_size")
    action = next((name for name in ACTIONS if name in widths), None)
    state = next((name for name in STATES if name in widths), None)
    parts = tuple(name for name in widths if (part := _POSE_PART.match(name)) and widths[name] == _PARTS[part[2]][0])
    if action is None and parts:
        channels = tuple(channel for name in sorted(parts) for channel in _channels(name, widths[name]))
        names = tuple(channel.name for channel in channels)
        poses: tuple[tuple[str, Role], ...] = ((POSE, "state"), (f"{POSE}/action", "action"))
        made = [
            LogFeature(name=name, width=len(names), names=names, role=role, channels=channels) for name, role in poses
        ]
        made += [_feature(name, widths[name], "other") for name in widths if name not in parts]
        return made, {name: tuple(sorted(parts)) for name, _ in poses}, ["action_from_state"]
    roles: dict[str | None, Role] = {state: "state", action: "action"}
    return [_feature(name, width, roles.get(name, "other")) for name, width in widths.items()], {}, []


def _feature(name: str, width: int, role: Role) -> LogFeature:
    channels = _channels(name, width)
    names = tuple(channel.name for channel in channels)
    return LogFeature(name=name, width=width, names=names, role=role, channels=channels)


def _channels(name: str, width: int) -> tuple[Channel, ...]:
    part = _POSE_PART.match(name)
    columns = [f"{name}_{index}" if width > 1 else name for index in range(width)]
    if part is None or _PARTS[part[2]][0] != width:
        return unknown_channels(columns)
    _, quantity, unit = _PARTS[part[2]]
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)) if width == 3 else ((0.0, 0.0, 0.0),)
    return tuple(
        Channel(
            name=column,
            quantity=quantity,
            unit=unit,
            part="gripper" if part[2] == "gripper_width" else "tool",
            axis=axis,
        )
        for column, axis in zip(columns, axes, strict=True)
    )
