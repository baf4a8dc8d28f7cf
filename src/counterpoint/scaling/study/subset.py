"""Which episodes a run of a study trains on: nested subsets of what is neither validation nor evaluation.

all --holdout_fraction or the mixture's split--> evaluation | rest --hash--> validation | training
training --order by hash, of the seed where asked--> the first episodes (or hours) of each robot
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.seeding import stable_hash
from counterpoint.data.episodes.selection import EpisodeReference, select_episodes
from counterpoint.data.episodes.source import EpisodeSource, SubsetSource
from counterpoint.scaling.study.definition import Study, Unit
from counterpoint.train.config import TrainConfig
from counterpoint.train.episodes import open_sources

References = dict[str, tuple[EpisodeReference, ...]]
"""Episodes by robot."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """All episodes of a study, divided."""

    sources: tuple[EpisodeSource, ...]
    training: References
    validation: References
    evaluation: References

    def hashes(self) -> dict[str, str]:
        """Return a hash of the names of each part: equal for equal episodes."""
        parts = {"training": self.training, "validation": self.validation, "evaluation": self.evaluation}
        return {name: f"{stable_hash(*_names(part)):016x}" for name, part in parts.items()}

    def most(self, unit: Unit) -> float:
        """Return the largest amount that every robot has."""
        if unit == "episodes":
            return min(len(found) for found in self.training.values())
        return min(sum(one.duration_s for one in found) / 3600 for found in self.training.values())


def open_pool(training: TrainConfig, validation_fraction: float) -> Pool:
    """Open the stores and divide their episodes.

    Raises:
        ConfigError: no store, an empty store, or too few episodes for one of the parts.
        StoreError: a store is damaged.
    """
    sources = open_sources(training)
    whole = replace(training.data.selection(), limit_episodes=None, limit_hours=None)
    rest = select_episodes(sources, whole)
    edge = validation_fraction * 2**32
    is_validation = {
        one.episode_id: stable_hash("study validation", one.episode_id, bits=32) < edge
        for found in rest.values()
        for one in found
    }
    parts: list[References] = [
        {robot: tuple(one for one in found if is_validation[one.episode_id] is wanted) for robot, found in rest.items()}
        for wanted in (False, True)
    ]
    evaluation = select_episodes(sources, replace(training.data.selection("test"), limit_hours=None))
    for name, part in (("training", parts[0]), ("validation", parts[1]), ("evaluation", evaluation)):
        empty = [robot for robot in rest if not part.get(robot)]
        if empty and (name != "validation" or validation_fraction > 0):
            raise ConfigError(
                f"study: no episode for {name} of robot {', '.join(empty)} ({len(is_validation)} episodes beside those "
                "held out); collect more, or set another data.holdout_fraction or validation_fraction"
            )
    return Pool(sources=sources, training=parts[0], validation=parts[1], evaluation=evaluation)


def check_pool(study: Study, pool: Pool) -> None:
    """Raise ConfigError where the stores hold other episodes than when the study was planned."""
    found = pool.hashes()
    changed = [name for name, was in study.episodes_hash.items() if found[name] != was]
    if changed:
        raise ConfigError(
            f"study: the episodes of {', '.join(changed)} have changed in the stores since it was planned, so its runs "
            "would not compare; bring the stores back, or plan a new study"
        )


def take(pool: Pool, amount: float, unit: Unit, order: int | None) -> References:
    """Return the first episodes of each robot, by the hash of their names and of `order` where there is one.

    An amount of hours ends before the episode that would exceed it; the first is always taken.
    """
    return {robot: _first(_ordered(found, order), amount, unit) for robot, found in pool.training.items()}


def chosen_sources(pool: Pool, chosen: Mapping[str, Sequence[EpisodeReference]]) -> tuple[SubsetSource, ...]:
    """Return the pool's stores with only the chosen episodes in sight."""
    ids: list[list[str]] = [[] for _ in pool.sources]
    for references in chosen.values():
        for one in references:
            ids[one.source].append(one.episode_id)
    return tuple(SubsetSource(store, own) for store, own in zip(pool.sources, ids, strict=True))


def _ordered(found: Sequence[EpisodeReference], order: int | None) -> list[EpisodeReference]:
    if order is None:
        return list(found)
    return sorted(found, key=lambda one: (stable_hash("order", order, one.episode_id), one.source))


def _first(found: Sequence[EpisodeReference], amount: float, unit: Unit) -> tuple[EpisodeReference, ...]:
    if unit == "episodes":
        return tuple(found[: int(amount)])
    hours = np.cumsum([one.duration_s for one in found]) / 3600
    return tuple(found[: max(1, int((hours <= amount * (1 + 1e-9)).sum()))])


def _names(part: References) -> list[str]:
    return sorted(one.episode_id for found in part.values() for one in found)
