"""The numeric features of a log and the robot mapping that fits them; shared by all readers.

A reader lists its features; `map_features` maps them to the given robot where it fits, and otherwise derives
a robot from the column names, for people to correct (`mapping.robot_mapping`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.errors import IngestError
from counterpoint.ingest.mapping.guess import guess_channels, unknown_channels
from counterpoint.ingest.mapping.robot_mapping import FeatureMap, RobotMapping
from counterpoint.ingest.recording.source import ReadOptions

Role = Literal["action", "state", "other"]


@dataclass(frozen=True, kw_only=True)
class LogFeature:
    """One numeric series of a log, before its values are read."""

    name: str
    """As the log calls it: `observation.state`, `/joint_states.position`, `observations/qpos`."""
    width: int
    """Numbers per sample."""
    names: tuple[str, ...] = ()
    """One per column; empty where the log has none."""
    role: Role = "other"
    """What it is to the robot: commands, its own joint state, or any other sensing."""
    rate_hz: float | None = None
    """Nominal; None for events."""
    channels: tuple[Channel, ...] = ()
    """What the reader knows about each column; empty to guess from the names."""


@dataclass(frozen=True, kw_only=True)
class LogRobot:
    """What a log says about its robot; used where a robot has to be derived."""

    name: str
    rate_hz: float
    description: str
    source: str


def map_features(
    features: Sequence[LogFeature], log: LogRobot, options: ReadOptions, where: str
) -> tuple[RobotMapping, list[str]]:
    """Return the mapping to use, and reason codes of what was left out or guessed.

    The first feature with the role `action` (or `state`) gets it; further ones count as `other`.
    A draft mapping uses the state as action where there is no action (`action_from_state`).

    Raises:
        IngestError: `no_action` where the log has no commands, `robot_not_fitting` where a mapping file
            names features or widths that the log does not have.
        ConfigError: a mapping file names channels that its own robot does not have.
    """
    robot, notes = options.robot, list[str]()
    features = [
        each for each in features if each.width > 0
    ]  # a damaged table may claim lists of zero or negative length
    if isinstance(robot, RobotMapping):
        _check_mapping(robot, features, log.rate_hz, where)
        return robot, _left_out(features, robot)
    action, state = _first(features, "action"), _first(features, "state")
    if action is None and options.is_draft and features:
        action = state or features[0]
        notes.append("action_from_state")
    if action is None:
        raise IngestError(
            f"{where}: found no commands among {', '.join(each.name for each in features) or 'no numeric features'}. "
            "Write a mapping with --write-mapping FILE.json, set which feature is the action, "
            "and pass it with --robot FILE.json",
            reason="no_action",
        )
    if state is None:
        notes.append("no_state")
    if robot is not None:
        fitted = _fit(robot, action, state)
        if fitted is not None:
            by_order = [] if action.names else ["channels_by_order"]
            return fitted, [*notes, *by_order, *_left_out(features, fitted)]
        notes.append(f"robot_not_fitting:{robot.name}")
    return _make(features, log, action, state), notes


def slug(text: str, most: int = 48) -> str:
    """Return `text` in lower case with `_` between words, at most `most` characters."""
    return "_".join(re.findall(r"[a-z0-9]+", text.lower()))[:most].rstrip("_")


def stream_name(feature: str) -> str:
    """Return the stream name of a feature that is neither action nor state."""
    return feature.strip("/").replace(".", "/") or "unnamed"


def _first(features: Sequence[LogFeature], role: Role) -> LogFeature | None:
    return next((each for each in features if each.role == role), None)


def _fit(robot: Embodiment, action: LogFeature, state: LogFeature | None) -> RobotMapping | None:
    """Map columns to the channels of a known robot by name, or by order where the log has no names."""
    names = action.names or robot.acting_names
    if len(names) != action.width or set(names) != set(robot.acting_names):
        return None
    features = [FeatureMap(feature=action.name, stream="action", channels=names)]
    sensed = {name for spec in robot.sensing if spec.name == "proprioception" for name in spec.channel_names}
    if state is not None:
        columns = state.names or (names if state.width == action.width else ())
        kept = tuple(name if name in sensed else None for name in columns)
        if any(kept):
            features.append(FeatureMap(feature=state.name, stream="proprioception", channels=kept))
    return RobotMapping(robot=robot, features=tuple(features))


def _make(features: Sequence[LogFeature], log: LogRobot, action: LogFeature, state: LogFeature | None) -> RobotMapping:
    fallback = state.names if state is not None and state.width == action.width else ()
    acting = action.channels or guess_channels(action.names or fallback or [f"joint_{i}" for i in range(action.width)])
    names = tuple(channel.name for channel in acting)
    maps = [FeatureMap(feature=action.name, stream="action", channels=names)]
    sensing = []
    if state is not None:
        columns = state.names or (names if state.width == action.width else [f"state_{i}" for i in range(state.width)])
        channels = state.channels or guess_channels(columns)
        sensing.append(StreamSpec(name="proprioception", channels=channels, rate_hz=state.rate_hz or log.rate_hz))
        maps.append(_by_name(state.name, sensing[-1]))
    for other in features:
        if other in (action, state):
            continue
        channels = other.channels or unknown_channels(other.names or [str(i) for i in range(other.width)])
        sensing.append(StreamSpec(name=stream_name(other.name), channels=channels, rate_hz=other.rate_hz))
        maps.append(_by_name(other.name, sensing[-1]))
    robot = Embodiment(
        name=log.name,
        sensing=tuple(sensing),
        acting=acting,
        control_rate_hz=log.rate_hz,
        description=log.description,
        source=log.source,
    )
    return RobotMapping(robot=robot, features=tuple(maps))


def _by_name(feature: str, spec: StreamSpec) -> FeatureMap:
    return FeatureMap(feature=feature, stream=spec.name, channels=spec.channel_names)


def _left_out(features: Sequence[LogFeature], mapping: RobotMapping) -> list[str]:
    used = {each.feature for each in mapping.features}
    return [f"left_out:{feature.name}" for feature in features if feature.name not in used]


def _check_mapping(mapping: RobotMapping, features: Sequence[LogFeature], rate_hz: float, where: str) -> None:
    known = {feature.name: feature for feature in features}
    for each in mapping.features:
        if each.feature not in known or known[each.feature].width != len(each.channels):
            found = f"width {known[each.feature].width}" if each.feature in known else f"only {', '.join(known)}"
            raise IngestError(
                f"{where}: the mapping expects feature {each.feature!r} with {len(each.channels)} columns; the log "
                f"has {found}",
                reason="robot_not_fitting",
            )
    if not any(each.stream == "action" for each in mapping.features):
        raise IngestError(f"{where}: the mapping has no stream 'action'", reason="no_action")
    mapping.specs(rate_hz)  # an unknown channel is an error in the mapping, not in the log
