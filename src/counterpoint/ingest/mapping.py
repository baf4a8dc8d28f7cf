"""A robot mapping: which column of a log is which channel of a robot, and in what unit it was logged.

As a JSON file it is written by `save_mapping`, edited by people, and read by `load_mapping`:

    {"format": "counterpoint-mapping", "version": 1,
     "robot": {... an embodiment ...},
     "features": [{"feature": "observation.state", "stream": "proprioception", "channels": ["left/joint_1", ...],
                   "scale": [0.017453292519943295, ...], "offset": [0.0, ...]}, ...]}

`channels` names the columns in order; a column named null is left out. The stored value is
column * scale + offset, which turns degrees, ticks or millimetres into the channel's unit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec, embodiment_from_dict, embodiment_to_dict
from counterpoint.core.errors import ConfigError

FORMAT = "counterpoint-mapping"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """How the columns of one feature become one stream."""

    feature: str
    """Name in the log, for example `observation.state`."""
    stream: str
    channels: tuple[str | None, ...]
    """Channel of each column; None leaves the column out."""
    scale: tuple[float, ...] = ()
    """Factor of each column; empty for 1."""
    offset: tuple[float, ...] = ()
    """Added after scaling, in the channel's unit; empty for 0."""

    def __post_init__(self) -> None:
        """Check that the lists are of one length."""
        for name, numbers in (("scale", self.scale), ("offset", self.offset)):
            if numbers and len(numbers) != len(self.channels):
                raise ConfigError(
                    f"mapping of {self.feature!r}: {len(self.channels)} channels, but {len(numbers)} values of {name}"
                )

    def convert(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the kept columns, float32 [rows, kept], in the units of their channels."""
        values = columns.astype(np.float64)
        if self.scale:
            values *= np.asarray(self.scale)
        if self.offset:
            values += np.asarray(self.offset)
        keep = [column for column, name in enumerate(self.channels) if name is not None]
        return np.ascontiguousarray(values[:, keep], dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class RobotMapping:
    """A robot, and where its channels are in a log."""

    robot: Embodiment
    features: tuple[FeatureMap, ...]

    def specs(self, rate_hz: float) -> dict[str, StreamSpec]:
        """Return the spec of each mapped stream.

        Raises:
            ConfigError: a stream or channel that the robot does not have.
        """
        return {each.stream: _spec(self.robot, each, rate_hz) for each in self.features}


def load_mapping(path: Path) -> RobotMapping:
    """Read a mapping file.

    Raises:
        ConfigError: missing, not JSON, of another version, or with keys that do not fit.
        EmbodimentError: the robot in it cannot be used.
    """
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot read this mapping file ({error})") from error
    if not isinstance(raw, dict) or (raw.get("format"), raw.get("version")) != (FORMAT, VERSION):
        raise ConfigError(f"{path}: expected a mapping file of format {FORMAT!r}, version {VERSION}")
    try:
        return RobotMapping(
            robot=embodiment_from_dict(raw["robot"]), features=tuple(_feature(each) for each in raw["features"])
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: a key is missing or unknown: {error}") from error


def save_mapping(mapping: RobotMapping, path: Path) -> None:
    """Write a mapping file for people to edit; every column's scale and offset is spelled out."""
    features = [
        {
            "feature": each.feature,
            "stream": each.stream,
            "channels": list(each.channels),
            "scale": list(each.scale or (1.0,) * len(each.channels)),
            "offset": list(each.offset or (0.0,) * len(each.channels)),
        }
        for each in mapping.features
    ]
    raw = {"format": FORMAT, "version": VERSION, "robot": embodiment_to_dict(mapping.robot), "features": features}
    path.write_text(json.dumps(raw, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _feature(raw: dict[str, object]) -> FeatureMap:
    values = dict(raw)
    for key in {"channels", "scale", "offset"} & set(values):
        values[key] = tuple(cast(Sequence[object], values[key]))
    return FeatureMap(**values)  # type: ignore[arg-type]  # keys are checked by the dataclass


def _spec(robot: Embodiment, feature: FeatureMap, rate_hz: float) -> StreamSpec:
    known: dict[str, Channel]
    if feature.stream == "action":
        known = {channel.name: channel for channel in robot.acting}
    else:
        known = {c.name: c for spec in robot.sensing if spec.name == feature.stream for c in spec.channels}
    missing = [name for name in feature.channels if name is not None and name not in known]
    if missing:
        raise ConfigError(
            f"mapping of {feature.feature!r}: robot {robot.name!r} has no channel {missing[0]!r} in stream "
            f"{feature.stream!r}; it has {', '.join(known) or 'none'}"
        )
    channels = tuple(known[name] for name in feature.channels if name is not None)
    return StreamSpec(name=feature.stream, channels=channels, rate_hz=rate_hz)
