"""The robot of a LeRobot dataset: which of its features are commands, state and other senses."""

from __future__ import annotations

from pathlib import Path

from counterpoint.ingest.lerobot.info import ACTION_NAMES, BOOKKEEPING, STATE_NAMES, Feature, Info
from counterpoint.ingest.mapping.robot_mapping import RobotMapping
from counterpoint.ingest.recording.features import LogFeature, LogRobot, Role, map_features, slug
from counterpoint.ingest.recording.source import ReadOptions


def map_robot(info: Info, root: Path, options: ReadOptions) -> tuple[RobotMapping, list[str]]:
    """Return the mapping to use, and reason codes of what was left out or guessed.

    Raises:
        IngestError: `no_action` or `robot_not_fitting`, as `map_features`.
        ConfigError: a mapping file names channels that its own robot does not have.
    """
    action, state = info.first(ACTION_NAMES), info.first(STATE_NAMES)
    vectors = [feature for feature in info.features if feature.is_vector and feature.name not in BOOKKEEPING]
    unused = () if isinstance(options.robot, RobotMapping) else ("next.",)
    features = [
        LogFeature(
            name=feature.name,
            width=feature.width,
            names=feature.names,
            role=_role(feature, action, state),
            rate_hz=info.fps,
        )
        for feature in vectors
        if not feature.name.startswith(unused)
    ]
    log = LogRobot(
        name=robot_name(info, root),
        rate_hz=info.fps,
        description=f"Made from the column names of a LeRobot {info.version} dataset; part, side, axis and unit are "
        "guesses from words in the names.",
        source=f"LeRobot dataset {root.name}",
    )
    mapping, notes = map_features(features, log, options, str(root))
    kept = [note for note in notes if not note.startswith("left_out:")]
    return mapping, [*kept, *_left_out(info, mapping)]


def robot_name(info: Info, root: Path) -> str:
    """Return the dataset's robot type as a plain name, or the folder's name where there is none."""
    plain = slug(info.robot_type)
    return plain if plain not in ("", "unknown", "none") else slug(root.resolve().name) or "robot"


def _role(feature: Feature, action: Feature | None, state: Feature | None) -> Role:
    if feature is action:
        return "action"
    return "state" if feature is state else "other"


def _left_out(info: Info, mapping: RobotMapping) -> list[str]:
    """Return a note for each feature that does not become a stream; episode-end flags are read elsewhere."""
    used = {each.feature for each in mapping.features} | BOOKKEEPING | set(info.videos) | set(info.images)
    return [f"left_out:{feature.name}" for feature in info.features if feature.name not in used]
