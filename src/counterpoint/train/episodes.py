"""What a run trains on: open stores, chosen episodes, the Processor fitted on them, batches in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from counterpoint.catalog.mixtures.mixture import check_mixture, read_mixture
from counterpoint.core.batch import Batch
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.core.seeding import stable_hash
from counterpoint.data.batches.loader import Loader
from counterpoint.data.batches.training import TrainingBatches, TrainingReader, training_windows
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.selection import ChosenEpisodes, select_episodes
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.data.episodes.views import build_missing_views
from counterpoint.store import open_store
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """Episodes of a run and how they become numbers."""

    sources: tuple[EpisodeSource, ...]
    episodes: ChosenEpisodes
    """Training episodes by robot, chosen once for the run."""
    embodiments: tuple[Embodiment, ...]
    processor: Processor
    windows: TrainingReader
    """The road from the sources to encoded windows."""

    @property
    def hours(self) -> dict[str, float]:
        """Hours of training episodes by robot."""
        return {
            robot: sum(reference.duration_s for reference in references) / 3600
            for robot, references in self.episodes.items()
        }

    def describe(self) -> dict[str, Json]:
        """Return counts, hours and a hash of the episodes' names; equal for equal data."""
        marks: dict[str, Json] = {"left_out_hours": self.windows.left_out_s / 3600} if self.windows.has_marks else {}
        names = sorted(reference.episode_id for references in self.episodes.values() for reference in references)
        return {
            "episodes": {robot: len(references) for robot, references in self.episodes.items()},
            "hours": {robot: hours for robot, hours in self.hours.items()},
            "names_hash": f"{stable_hash(*names):016x}",
            **marks,
        }


def open_sources(config: TrainConfig) -> tuple[EpisodeSource, ...]:
    """Open the stores of a run.

    Raises:
        ConfigError: none are named. StoreError: one of them is no store, or damaged, or lacks episodes of the mixture.
    """
    if config.data.mixture:
        mixture = read_mixture(config.data.mixture)
        stores = tuple(open_store(address) for address in config.data.stores or mixture.stores)
        check_mixture(mixture, stores)
        return stores
    if not config.data.stores:
        raise ConfigError(
            "data.stores: expected at least one store, got none; collect one with counterpoint collect, then give "
            "--data.stores PATH"
        )
    return tuple(open_store(address) for address in config.data.stores)


def open_data(
    config: TrainConfig,
    sources: Sequence[EpisodeSource] | None = None,
    processor: Processor | None = None,
    *,
    build_views: bool = True,
    progress: bool = True,
) -> TrainingData:
    """Choose episodes, build what is missing of their views, and fit the Processor.

    Args:
        config: the run.
        sources: instead of the stores that `config` names.
        processor: of the run that is resumed; fitted where None.
        build_views: whether views may be built; else a missing one is read from the masters, or an error.
        progress: show what is built on stderr.

    Raises:
        ConfigError: no episode is left. UnknownNameError: a robot that no store has.
        StoreError: a store is damaged.
    """
    opened = open_sources(config) if sources is None else tuple(sources)
    selection = config.data.selection()
    episodes = select_episodes(opened, selection)
    if build_views:
        build_missing_views(opened, episodes, config.window.cameras, config.data.view, progress=progress)
    fitted = processor or Processor.fit(opened, config.window, selection=selection, episodes=episodes, seed=config.seed)
    weights = config.data.weights or None
    return TrainingData(
        sources=opened,
        episodes=episodes,
        embodiments=tuple(opened[rows[0].source].embodiment(robot) for robot, rows in episodes.items()),
        processor=fitted,
        windows=training_windows(opened, fitted, episodes, weights=weights, view=config.data.view),
    )


def open_batches(config: TrainConfig, data: TrainingData, world: World, step: int) -> Loader[Batch]:
    """Return this process's microbatches of the batches of `step`, `step + 1`, ..., one after the other.

    Close it, or use it in a `with` block.
    """
    own = world.own_microbatches(config.num_microbatches)
    batches = TrainingBatches(
        reader=data.windows,
        seed=config.seed,
        batch_windows=config.batch_windows,
        num_microbatches=config.num_microbatches,
        own=own,
    )
    workers = min(config.loader_workers * len(own), os.cpu_count() or 1)
    return Loader(batches, start=step * len(own), workers=workers)
