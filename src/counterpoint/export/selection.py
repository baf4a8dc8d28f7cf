"""Which episodes an export takes from a store, and the features that all of them have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import ExportError
from counterpoint.core.stream import Stream
from counterpoint.export.rows import ACTION, Rows, align
from counterpoint.store import EpisodeInfo, Store
from counterpoint.store.files.layout import episode_folder


@dataclass(kw_only=True)
class Conversions:
    """What a row-based format could not keep unchanged."""

    resampled: set[str] = field(default_factory=set)
    """Streams whose samples are not exactly one per row."""
    encoded: int = 0
    """Number of videos that were re-encoded."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Episodes of one robot, and the streams that all of them have."""

    store: Store
    episodes: tuple[EpisodeInfo, ...]
    robot: Embodiment
    streams: tuple[str, ...]
    """Vector and text streams that every episode has, in the order of the first."""
    cameras: tuple[str, ...]
    """Image streams that every episode has."""
    left_out: dict[str, int]
    """Streams that only some episodes have, with the number of episodes."""
    fps: int
    conversions: Conversions = field(default_factory=Conversions)

    def low(self, info: EpisodeInfo) -> dict[str, Stream]:
        """Return the exported vector and text streams of an episode."""
        streams = self.store.low(info.episode_id)
        return {name: streams[name] for name in self.streams}

    def rows(self, info: EpisodeInfo) -> Rows:
        """Return an episode on one clock; raises ExportError."""
        cameras = {name: self.store.frame_times(info.episode_id, name)[0] for name in self.cameras}
        where = f"episode {info.episode_id!r}"
        rows = align(self.low(info), cameras, self.fps, where, info.provenance.instruction)
        self.conversions.resampled |= set(rows.resampled)
        return rows

    def video(self, info: EpisodeInfo, stream: str) -> Path:
        """Return the file of an image stream."""
        found = info.stream(stream)
        assert found is not None  # `streams` and `cameras` are those that every episode has
        return episode_folder(self.store.root, info.episode_id) / found.video


def select(
    store: Store,
    *,
    robot: str | None = None,
    task: str | None = None,
    episodes: Sequence[str] = (),
    with_cameras: bool = False,
    fps: int | None = None,
) -> Selection:
    """Select episodes of one robot.

    Args:
        store: the store to export from.
        robot: whose episodes; optional where the store has one robot.
        task: only episodes of this task.
        episodes: only these; empty for all.
        with_cameras: drop episodes that lack a camera of the others, instead of dropping the camera.
        fps: rows per second; None for the robot's control rate, rounded.

    Raises:
        ExportError: nothing to export, or several robots.
        UnknownNameError: an episode that the store does not have.
    """
    wanted = [store.info(name) for name in episodes] if episodes else list(store.episodes)
    wanted = [each for each in wanted if task is None or each.provenance.task == task]
    robots = Counter(each.embodiment for each in wanted)
    if robot is None and len(robots) > 1:
        counts = ", ".join(f"{name} ({count})" for name, count in robots.most_common())
        raise ExportError(f"{store.root}: expected one robot, found several; choose one with --robot: {counts}")
    kept = [each for each in wanted if robot is None or each.embodiment == robot]
    if with_cameras:
        cameras = {name for each in kept for name in _filled(each, image=True)}
        kept = [each for each in kept if cameras <= set(_filled(each, image=True))]
    if not kept:
        known = ", ".join(robots) or "none"
        wanted_flags = [f"--{flag} {value}" for flag, value in (("robot", robot), ("task", task)) if value]
        raise ExportError(
            f"{store.root}: no episode matches {' '.join(wanted_flags) or 'the selection'}; robots: {known}"
        )
    have = Counter(name for each in kept for name in _filled(each, image=None))
    described = {each.embodiment_sha256 for each in kept}
    if len(described) > 1:
        raise ExportError(
            f"{store.root}: robot {kept[0].embodiment!r} has {len(described)} descriptions among these episodes; "
            "choose episodes that share one with --episodes"
        )
    embodiment = store.read(kept[0].episode_id, 0, 0, streams=()).embodiment
    return Selection(
        store=store,
        episodes=tuple(kept),
        robot=embodiment,
        streams=tuple(name for name in _filled(kept[0], image=False) if have[name] == len(kept)),
        cameras=tuple(name for name in _filled(kept[0], image=True) if have[name] == len(kept)),
        left_out={name: count for name, count in sorted(have.items()) if count < len(kept)},
        fps=fps or max(1, round(embodiment.control_rate_hz)),
    )


def check_has_action(selection: Selection) -> None:
    """Raise ExportError where some episode has no commands."""
    if ACTION not in selection.streams:
        raise ExportError(
            f"{selection.store.root}: some episodes have no stream {ACTION!r}; choose others with --episodes"
        )


def _filled(info: EpisodeInfo, *, image: bool | None) -> list[str]:
    """Return the streams with samples: image streams, others, or (None) all."""
    return [each.name for each in info.streams if each.samples and (image is None or (each.kind == "image") == image)]
