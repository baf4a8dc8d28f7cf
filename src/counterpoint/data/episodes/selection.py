"""Which episodes a run sees: train or test by a stable hash, nested subsets for data-amount studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from counterpoint.catalog.mixtures.mixture import Mixture, read_mixture
from counterpoint.core.errors import ConfigError, unknown_name
from counterpoint.core.seeding import stable_hash
from counterpoint.data.episodes.source import EpisodeSource

Split = Literal["train", "test", "all"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Choice of episodes; the same on every machine, and stable when episodes are added.

    Raises:
        ConfigError: a value is out of range.
    """

    split: Split = "train"
    """`test` are the held-out episodes."""
    holdout_fraction: float = 0.1
    """Share of episodes whose hash puts them into `test`, 0 to below 1."""
    limit_episodes: int | None = None
    """At most so many episodes a robot; a smaller limit is a subset of a larger one."""
    limit_hours: float | None = None
    """At most so many hours a robot (the episode that crosses the limit is left out, the first never)."""
    robots: tuple[str, ...] = ()
    """Only these robots; all when empty."""
    without: tuple[str, ...] = ()
    """Not these robots, unless `robots` names them."""
    mixture: str = ""
    """Folder of a mixture: its episodes and its splits take the place of all episodes and of `holdout_fraction`."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.split not in ("train", "test", "all"):
            raise ConfigError(f"selection.split: expected train, test or all, got {self.split!r}")
        if not 0 <= self.holdout_fraction < 1:
            raise ConfigError(f"selection.holdout_fraction: expected 0 to below 1, got {self.holdout_fraction}")
        if self.limit_episodes is not None and self.limit_episodes < 1:
            raise ConfigError(f"selection.limit_episodes: expected at least 1, got {self.limit_episodes}")
        if self.limit_hours is not None and not self.limit_hours > 0:
            raise ConfigError(f"selection.limit_hours: expected a positive number, got {self.limit_hours}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeReference:
    """An episode of one of several sources."""

    source: int
    """Number of the source."""
    row: int
    """Its row in `flat` of the source."""
    episode_id: str
    embodiment: str
    duration_s: float
    drawn_s: float | None = None
    """Seconds for which the order of windows takes it, where a mixture weighs it otherwise than by its duration."""
    part: str = ""
    """Part of the mixture; empty without one."""


ChosenEpisodes = Mapping[str, tuple[EpisodeReference, ...]]
"""Episodes by robot, robots in order of name."""


def split_of(episode_id: str, holdout_fraction: float) -> Literal["train", "test"]:
    """Return the split of an episode: a pure function of its id."""
    return "test" if stable_hash("split", episode_id, bits=32) < holdout_fraction * 2**32 else "train"


def select_episodes(sources: Sequence[EpisodeSource], selection: Selection) -> dict[str, tuple[EpisodeReference, ...]]:
    """Return the chosen episodes by robot, robots in order of name, episodes in order of hash.

    Raises:
        ConfigError: nothing is left.
        UnknownNameError: a robot that no source has.
    """
    by_robot: dict[str, list[EpisodeReference]] = {}
    num_seen = 0
    for reference in _of_mixture(sources, selection) if selection.mixture else _of_sources(sources, selection):
        num_seen += 1
        kept = by_robot.setdefault(reference.embodiment, [])
        if _is_wanted(reference.embodiment, selection):
            kept.append(reference)
    for name in selection.robots:
        if name not in by_robot:
            raise unknown_name("robot", name, by_robot, hint="(selection.robots; no source has episodes of it)")
    chosen = {name: _limited(references, selection) for name, references in sorted(by_robot.items()) if references}
    if not chosen:
        left_out = sorted(set(by_robot) & set(selection.without))
        hint = f" Robots held out by default: {', '.join(left_out)}; name them to take them in." if left_out else ""
        raise ConfigError(
            f"selection: no episode left of {num_seen} in {len(sources)} source(s) for split {selection.split!r} with "
            f"holdout_fraction {selection.holdout_fraction}; add episodes or set another holdout_fraction.{hint}"
        )
    return chosen


def _of_sources(sources: Sequence[EpisodeSource], selection: Selection) -> Iterator[EpisodeReference]:
    """Yield the episodes of all sources that are in the split."""
    for number, source in enumerate(sources):
        columns = (column.to_pylist() for column in source.flat().select(["episode_id", "robot", "duration_s"]).columns)
        for row, (episode_id, robot, duration_s) in enumerate(zip(*columns, strict=True)):
            if selection.split in ("all", split_of(episode_id, selection.holdout_fraction)):
                yield EpisodeReference(
                    source=number, row=row, episode_id=episode_id, embodiment=robot, duration_s=duration_s
                )


def _of_mixture(sources: Sequence[EpisodeSource], selection: Selection) -> Iterator[EpisodeReference]:
    """Yield the episodes of a mixture's split that the sources have, in whatever order the sources are given.

    Training episodes are drawn by the weight of their part and, within it, by their duration; those of a part
    without weight are left out.
    """
    mixture = _read_mixture(selection.mixture, _changed_ns(selection.mixture))
    rows = mixture.table if selection.split == "all" else mixture.rows(selection.split)
    total_s = 3600 * sum(part.hours for part in mixture.parts)
    scale = {part.name: part.weight * total_s / (3600 * part.hours) if part.hours else 0.0 for part in mixture.parts}
    wanted = {
        content: (robot, duration_s, part)
        for content, robot, duration_s, part in zip(
            *(rows[name].to_pylist() for name in ("content_sha256", "robot", "duration_s", "part")), strict=True
        )
        if scale[part] > 0 or selection.split != "train"
    }
    for number, source in enumerate(sources):
        table = source.flat().select(["episode_id", "content_sha256"])
        columns = (column.to_pylist() for column in table.columns)
        for row, (episode_id, content) in enumerate(zip(*columns, strict=True)):
            if content in wanted:
                robot, duration_s, part = wanted.pop(content)
                yield EpisodeReference(
                    source=number,
                    row=row,
                    episode_id=episode_id,
                    embodiment=robot,
                    duration_s=duration_s,
                    drawn_s=duration_s * scale[part] if selection.split == "train" else None,
                    part=part,
                )


@lru_cache(maxsize=2)
def _read_mixture(folder: str, changed_ns: int) -> Mixture:
    return read_mixture(folder)


def _changed_ns(folder: str) -> int:
    path = Path(folder) / "mixture.json"
    return path.stat().st_mtime_ns if path.exists() else 0


def _is_wanted(robot: str, selection: Selection) -> bool:
    return robot in selection.robots if selection.robots else robot not in selection.without


def _limited(references: list[EpisodeReference], selection: Selection) -> tuple[EpisodeReference, ...]:
    ordered = sorted(references, key=lambda r: (stable_hash("order", r.episode_id), r.source))
    if selection.limit_episodes is not None:
        ordered = ordered[: selection.limit_episodes]
    if selection.limit_hours is None:
        return tuple(ordered)
    kept: list[EpisodeReference] = []
    seconds = 0.0
    for reference in ordered:
        seconds += reference.duration_s
        if kept and seconds > selection.limit_hours * 3600:
            break
        kept.append(reference)
    return tuple(kept)
