"""The robot of a LeRobot dataset: the one that was given where it fits, else one made from column names."""

from __future__ import annotations

import re
from pathlib import Path

from counterpoint.core.embodiment import Embodiment, StreamSpec
from counterpoint.core.errors import IngestError
from counterpoint.ingest.guess import guess_channels, unknown_channels
from counterpoint.ingest.lerobot.info import ACTION_NAMES, BOOKKEEPING, STATE_NAMES, Feature, Info
from counterpoint.ingest.mapping import FeatureMap, RobotMapping


def map_robot(info: Info, root: Path, robot: Embodiment | RobotMapping | None) -> tuple[RobotMapping, list[str]]:
    """Return the mapping to use and reason codes of what was left out or guessed.

    Raises:
        IngestError: `no_action` where nothing is commanded, `robot_not_fitting` where a mapping file
            names features or widths that the dataset does not have.
        ConfigError: a mapping file names channels that its own robot does not have.
    """
    action, state = info.first(ACTION_NAMES), info.first(STATE_NAMES)
    if isinstance(robot, RobotMapping):
        _check_mapping(robot, info, root)
        return robot, _left_out(info, robot)
    if action is None:
        raise IngestError(
            f"{root}: no vector feature named {' or '.join(ACTION_NAMES)}; give a mapping file that names it",
            reason="no_action",
        )
    notes = [] if state is not None else ["no_state"]
    if robot is not None:
        fitted = _fit(robot, action, state)
        if fitted is not None:
            by_order = [] if action.names else ["channels_by_order"]
            return fitted, [*notes, *by_order, *_left_out(info, fitted)]
        notes.append(f"robot_not_fitting:{robot.name}")
    made = _make(info, root, action, state)
    return made, [*notes, *_left_out(info, made)]


def _fit(robot: Embodiment, action: Feature, state: Feature | None) -> RobotMapping | None:
    """Tie columns to the channels of a known robot by name, or by order where the log has no names."""
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


def _make(info: Info, root: Path, action: Feature, state: Feature | None) -> RobotMapping:
    fallback = state.names if state is not None and state.width == action.width else ()
    acting = guess_channels(action.names or fallback or [f"joint_{i}" for i in range(action.width)])
    names = tuple(channel.name for channel in acting)
    features = [FeatureMap(feature=action.name, stream="action", channels=names)]
    sensing = []
    if state is not None:
        columns = state.names or (names if state.width == action.width else [f"state_{i}" for i in range(state.width)])
        channels = guess_channels(columns)
        sensing.append(StreamSpec(name="proprioception", channels=channels, rate_hz=info.fps))
        features.append(_by_name(state.name, sensing[-1]))
    for other in _other_vectors(info, {action.name, state.name if state is not None else ""}):
        channels = unknown_channels(other.names or [str(i) for i in range(other.width)])
        sensing.append(StreamSpec(name=other.name.replace(".", "/"), channels=channels, rate_hz=info.fps))
        features.append(_by_name(other.name, sensing[-1]))
    robot = Embodiment(
        name=robot_name(info, root),
        sensing=tuple(sensing),
        acting=acting,
        control_rate_hz=info.fps,
        description=f"Made from the column names of a LeRobot {info.version} dataset; part, side, axis and unit are "
        "guesses from words in the names.",
        source=f"LeRobot dataset {root.name}",
    )
    return RobotMapping(robot=robot, features=tuple(features))


def robot_name(info: Info, root: Path) -> str:
    """Return the dataset's robot type as a plain name, or the folder's name where it has none."""
    plain = slug(info.robot_type)
    return plain if plain not in ("", "unknown", "none") else slug(root.resolve().name) or "robot"


def slug(text: str, most: int = 48) -> str:
    """Return `text` in lower case with `_` between words, at most `most` characters."""
    return "_".join(re.findall(r"[a-z0-9]+", text.lower()))[:most].rstrip("_")


def _by_name(feature: str, spec: StreamSpec) -> FeatureMap:
    return FeatureMap(feature=feature, stream=spec.name, channels=spec.channel_names)


def _other_vectors(info: Info, used: set[str]) -> list[Feature]:
    return [
        feature
        for feature in info.features
        if feature.is_vector and feature.name not in used | BOOKKEEPING and not feature.name.startswith("next.")
    ]


def _left_out(info: Info, mapping: RobotMapping) -> list[str]:
    """Return a note for each feature that becomes no stream; episode-end flags are read elsewhere."""
    used = {each.feature for each in mapping.features} | BOOKKEEPING | set(info.videos)
    return [f"left_out:{feature.name}" for feature in info.features if feature.name not in used]


def _check_mapping(mapping: RobotMapping, info: Info, root: Path) -> None:
    known = {feature.name: feature for feature in info.features if feature.is_vector}
    for each in mapping.features:
        if each.feature not in known or known[each.feature].width != len(each.channels):
            found = f"width {known[each.feature].width}" if each.feature in known else f"only {', '.join(known)}"
            raise IngestError(
                f"{root}: the mapping wants feature {each.feature!r} with {len(each.channels)} columns; the dataset "
                f"has {found}",
                reason="robot_not_fitting",
            )
    if not any(each.stream == "action" for each in mapping.features):
        raise IngestError(f"{root}: the mapping fills no stream 'action'", reason="no_action")
    mapping.specs(info.fps)  # a channel that the robot does not have is the user's error, not the log's
