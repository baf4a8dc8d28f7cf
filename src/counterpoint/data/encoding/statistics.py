"""What normalisation needs to know of a robot: mean and spread of what it senses, scale of how it acts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Channel, Quantity
from counterpoint.core.errors import CheckpointError

Float = NDArray[np.float32]

FLOORS: dict[Quantity, float] = {
    "joint_position": 1e-3,
    "joint_velocity": 1e-2,
    "joint_effort": 1e-1,
    "gripper_opening": 0.05,
    "position": 1e-3,
    "relative_position": 1e-3,
    "rotation": 1e-2,
    "linear_velocity": 1e-2,
    "angular_velocity": 1e-2,
    "force": 0.1,
    "torque": 1e-2,
    "extent": 1e-3,
    "unknown": 1e-3,
}
"""Smallest spread of a quantity, in its unit: below it a channel is noise."""

OBJECT_SCALES: dict[Quantity, float] = {
    "position": 0.3,
    "relative_position": 0.3,
    "extent": 0.05,
    "linear_velocity": 0.3,
    "angular_velocity": 1.0,
}
"""Fixed scales of object channels (1 for others), so that tasks with other objects mix."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelStatistics:
    """Mean and spread of a sensing stream."""

    names: tuple[str, ...]
    """Channel names, in column order."""
    mean: Float
    """[channels], physical units."""
    std: Float
    """[channels], physical units, floored."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ActingStatistics:
    """Centre and scale of a robot's action knots."""

    names: tuple[str, ...]
    """Acting channel names, in column order."""
    centre: Float
    """[knots, channels]; 0 for channels that act relative to a base."""
    scale: Float
    """[knots, channels], floored."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RobotStatistics:
    """Everything that normalising one robot needs."""

    sensing: dict[str, ChannelStatistics]
    """By stream name; object streams have fixed scales and are not here."""
    acting: ActingStatistics
    workspace_centre: Float
    """[3], mean tool position in the base frame, metres; object positions are centred on it."""
    objects: tuple[str, ...] = ()
    """Object streams seen in the fit."""
    num_decisions: int = 0
    """Decisions behind the acting scale."""


def object_statistics(channels: tuple[Channel, ...], workspace_centre: Float) -> ChannelStatistics:
    """Return the fixed normalisation of an object stream around the robot's workspace centre."""
    mean = np.zeros(len(channels), dtype=np.float32)
    places = [i for i, channel in enumerate(channels) if channel.quantity == "position"]
    mean[places] = np.resize(workspace_centre, len(places))
    std = np.array([OBJECT_SCALES.get(channel.quantity, 1.0) for channel in channels], dtype=np.float32)
    return ChannelStatistics(names=tuple(channel.name for channel in channels), mean=mean, std=std)


def robot_to_dict(robot: RobotStatistics) -> dict[str, object]:
    """Return plain JSON values; float32 survives exactly."""
    return {
        "sensing": {
            name: {"names": list(s.names), "mean": s.mean.tolist(), "std": s.std.tolist()}
            for name, s in robot.sensing.items()
        },
        "acting": {
            "names": list(robot.acting.names),
            "centre": robot.acting.centre.tolist(),
            "scale": robot.acting.scale.tolist(),
        },
        "workspace_centre": robot.workspace_centre.tolist(),
        "objects": list(robot.objects),
        "num_decisions": robot.num_decisions,
    }


def robot_from_dict(raw: object, where: str) -> RobotStatistics:
    """Rebuild what `robot_to_dict` wrote; raises CheckpointError naming `where` on any deviation."""
    values = exact_keys(raw, ("sensing", "acting", "workspace_centre", "objects", "num_decisions"), where)
    acting = exact_keys(values["acting"], ("names", "centre", "scale"), f"{where}.acting")
    names = _names(acting["names"], f"{where}.acting.names")
    sensing_raw = exact_keys(values["sensing"], None, f"{where}.sensing")
    sensing = {name: _channel_statistics(s, f"{where}.sensing.{name}") for name, s in sensing_raw.items()}
    num_decisions = values["num_decisions"]
    if not isinstance(num_decisions, int):
        raise CheckpointError(f"{where}.num_decisions: expected a whole number, got {num_decisions!r}")
    return RobotStatistics(
        sensing=sensing,
        acting=ActingStatistics(
            names=names,
            centre=_array(acting["centre"], (-1, len(names)), f"{where}.acting.centre"),
            scale=_array(acting["scale"], (-1, len(names)), f"{where}.acting.scale"),
        ),
        workspace_centre=_array(values["workspace_centre"], (3,), f"{where}.workspace_centre"),
        objects=_names(values["objects"], f"{where}.objects"),
        num_decisions=num_decisions,
    )


def exact_keys(raw: object, keys: tuple[str, ...] | None, where: str) -> dict[str, object]:
    """Return `raw` as a dictionary that has exactly `keys` (any, if None); raises CheckpointError."""
    if not isinstance(raw, dict):
        raise CheckpointError(f"{where}: expected an object, got {type(raw).__name__}")
    if keys is not None and set(raw) != set(keys):
        unknown, missing = sorted(set(raw) - set(keys)), sorted(set(keys) - set(raw))
        raise CheckpointError(f"{where}: unknown keys {unknown}, missing keys {missing}; written by another version?")
    return raw


def _channel_statistics(raw: object, where: str) -> ChannelStatistics:
    values = exact_keys(raw, ("names", "mean", "std"), where)
    names = _names(values["names"], f"{where}.names")
    return ChannelStatistics(
        names=names,
        mean=_array(values["mean"], (len(names),), f"{where}.mean"),
        std=_array(values["std"], (len(names),), f"{where}.std"),
    )


def _names(raw: object, where: str) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(name, str) for name in raw):
        raise CheckpointError(f"{where}: expected a list of names, got {raw!r}")
    return tuple(raw)


def _array(raw: object, shape: tuple[int, ...], where: str) -> Float:
    try:
        array = np.asarray(raw, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: expected numbers: {error}") from error
    fits = array.ndim == len(shape) and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        raise CheckpointError(f"{where}: expected finite numbers of shape {shape}, got shape {array.shape}")
    return array
