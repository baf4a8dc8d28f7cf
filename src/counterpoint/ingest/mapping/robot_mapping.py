"""A robot mapping: which column of a log is which channel of a robot, and in which unit it was logged.

`save_mapping` writes it as a JSON file, people edit it, and `load_mapping` reads it back:

    {"format": "counterpoint-mapping", "version": 1,
     "robot": {... an embodiment ...},
     "features": [{"feature": "observation.state", "stream": "proprioception", "channels": ["left/joint_1", ...],
                   "scale": [0.017453292519943295, ...], "offset": [0.0, ...]}, ...]}

`channels` names the columns in order; a column named null is skipped. The stored value is
column * scale + offset, which turns degrees, ticks or millimetres into the channel's unit.
A file written by hand may omit `scale` and `offset`, and may have

    "unit": "deg"                     of all columns, or a list with one per column: deg, mm, percent, ticks:4096, ...
                                      (`ingest.units`); `scale` is then an extra factor, for example -1 for
                                      a joint that turns the other way
    "columns": ["q1", "q2"]           CSV, Parquet and Arrow tables: the columns that make up the feature, in order;
                                      `feature` is then any name, and a column may be used twice

and beside `features`

    "time": {"column": "t", "unit": "ms"}       tables: the clock; `unit` is s, ms, us or ns. Without `time`, and
                                                where no column is named like a clock, rows are
                                                1 / control_rate_hz apart
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec, embodiment_from_dict, embodiment_to_dict
from counterpoint.core.errors import ConfigError, unknown_name
from counterpoint.ingest.mapping.units import TIME_UNITS, unit_factor

FORMAT = "counterpoint-mapping"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """Maps the columns of one feature to one stream."""

    feature: str
    """Name in the log, for example `observation.state`."""
    stream: str
    channels: tuple[str | None, ...]
    """Channel of each column; None skips the column."""
    scale: tuple[float, ...] = ()
    """Factor of each column; empty for 1."""
    offset: tuple[float, ...] = ()
    """Added after scaling, in the channel's unit; empty for 0."""
    columns: tuple[str, ...] = ()
    """For tables: the columns that make up the feature; empty where the feature is one column."""

    def __post_init__(self) -> None:
        """Check that the lists have equal lengths."""
        for name, values in (("scale", self.scale), ("offset", self.offset), ("columns", self.columns)):
            if values and len(values) != len(self.channels):
                raise ConfigError(
                    f"mapping of {self.feature!r}: {len(self.channels)} channels, but {len(values)} values of {name}"
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
class TimeColumn:
    """The clock of a table."""

    column: str
    unit: str = "s"
    """s, ms, us or ns."""

    def __post_init__(self) -> None:
        """Check the unit."""
        if self.unit not in TIME_UNITS:
            raise unknown_name("unit of time", self.unit, TIME_UNITS)


@dataclass(frozen=True, kw_only=True)
class RobotMapping:
    """A robot, and where a log has its channels."""

    robot: Embodiment
    features: tuple[FeatureMap, ...]
    time: TimeColumn | None = None
    """For tables: the clock; None to look for one by name."""

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
        robot = embodiment_from_dict(raw["robot"])
        return RobotMapping(
            robot=robot,
            features=tuple(_feature(each, robot) for each in raw["features"]),
            time=TimeColumn(**raw["time"]) if raw.get("time") is not None else None,
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: a key is missing or unknown: {error}") from error


def save_mapping(mapping: RobotMapping, path: Path) -> None:
    """Write a mapping file for people to edit; it lists the scale and offset of every column."""
    features = [
        {
            "feature": each.feature,
            "stream": each.stream,
            **({"columns": list(each.columns)} if each.columns else {}),
            "channels": list(each.channels),
            "scale": list(each.scale or (1.0,) * len(each.channels)),
            "offset": list(each.offset or (0.0,) * len(each.channels)),
        }
        for each in mapping.features
    ]
    raw = {"format": FORMAT, "version": VERSION, "robot": embodiment_to_dict(mapping.robot), "features": features}
    if mapping.time is not None:
        raw["time"] = {"column": mapping.time.column, "unit": mapping.time.unit}
    path.write_text(json.dumps(raw, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _feature(raw: dict[str, object], robot: Embodiment) -> FeatureMap:
    values = dict(raw)
    unit = values.pop("unit", None)
    for key in {"channels", "scale", "offset", "columns"} & set(values):
        if isinstance(values[key], str):
            raise TypeError(f"{key!r} of {raw.get('feature')!r} is {values[key]!r}, expected a list")
        values[key] = tuple(cast(Sequence[object], values[key]))
    feature = FeatureMap(**values)  # type: ignore[arg-type]  # keys are checked by the dataclass
    return feature if unit is None else replace(feature, scale=_scale(feature, unit, robot))


def _scale(feature: FeatureMap, unit: object, robot: Embodiment) -> tuple[float, ...]:
    """Return the factor of each column: the factor of its unit times the `scale` in the file."""
    where = f"mapping of {feature.feature!r}"
    units = [unit] * len(feature.channels) if isinstance(unit, str) else unit
    if not isinstance(units, list) or len(units) != len(feature.channels):
        raise ConfigError(f"{where}: {len(feature.channels)} channels, but 'unit' is {unit!r}")
    known = _known_channels(robot, feature.stream)
    factors = [
        unit_factor(str(word), known[name].unit, where) if name is not None and name in known else 1.0
        for word, name in zip(units, feature.channels, strict=True)
    ]
    scale = feature.scale or (1.0,) * len(factors)
    return tuple(factor * float(extra) for factor, extra in zip(factors, scale, strict=True))


def _known_channels(robot: Embodiment, stream: str) -> dict[str, Channel]:
    if stream == "action":
        return {channel.name: channel for channel in robot.acting}
    return {c.name: c for spec in robot.sensing if spec.name == stream for c in spec.channels}


def _spec(robot: Embodiment, feature: FeatureMap, rate_hz: float) -> StreamSpec:
    known = _known_channels(robot, feature.stream)
    missing = [name for name in feature.channels if name is not None and name not in known]
    if missing:
        raise ConfigError(
            f"mapping of {feature.feature!r}: robot {robot.name!r} has no channel {missing[0]!r} in stream "
            f"{feature.stream!r}; it has {', '.join(known) or 'none'}"
        )
    channels = tuple(known[name] for name in feature.channels if name is not None)
    return StreamSpec(name=feature.stream, channels=channels, rate_hz=rate_hz)
