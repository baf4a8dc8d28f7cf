"""What a run trains on: open stores, chosen episodes, the Processor fitted on them, batches in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

from counterpoint.catalog.mixtures.mixture import check_mixture, read_mixture
from counterpoint.core.batch import Batch
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.core.seeding import stable_hash
from counterpoint.data.batches.loader import Loader, LoaderConfig
from counterpoint.data.encoding.dropped import Usable, usable_episodes
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.selection import EpisodeReference, select_episodes
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.store import Store
from counterpoint.train.config import TrainConfig
from counterpoint.train.distributed import World


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """Episodes of a run and how they become numbers."""

    sources: tuple[EpisodeSource, ...]
    episodes: dict[str, tuple[EpisodeReference, ...]]
    """Training episodes by robot."""
    embodiments: tuple[Embodiment, ...]
    processor: Processor

    @property
    def hours(self) -> dict[str, float]:
        """Hours of training episodes by robot."""
        return {
            robot: sum(reference.duration_s for reference in references) / 3600
            for robot, references in self.episodes.items()
        }

    @cached_property
    def usable(self) -> Usable:
        """What marks leave of the episodes."""
        return usable_episodes(self.sources, self.episodes, self.processor.config)

    def describe(self) -> dict[str, Json]:
        """Return counts, hours and a hash of the episodes' names; equal for equal data."""
        usable = self.usable
        marks: dict[str, Json] = {"left_out_hours": usable.left_out_s / 3600} if usable.ranges else {}
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
        stores = tuple(Store.open(path) for path in config.data.stores or mixture.stores)
        check_mixture(mixture, stores)
        return stores
    if not config.data.stores:
        raise ConfigError(
            "data.stores: expected at least one store, got none; collect one with counterpoint collect, then give "
            "--data.stores PATH"
        )
    return tuple(Store.open(path) for path in config.data.stores)


def open_data(
    config: TrainConfig, sources: Sequence[EpisodeSource] | None = None, processor: Processor | None = None
) -> TrainingData:
    """Choose episodes and fit the Processor, unless one is given (resuming).

    Raises:
        ConfigError: no episode is left. UnknownNameError: a robot that no store has.
    """
    opened = open_sources(config) if sources is None else tuple(sources)
    selection = config.data.selection()
    episodes = select_episodes(opened, selection)
    return TrainingData(
        sources=opened,
        episodes=episodes,
        embodiments=tuple(opened[rows[0].source].embodiment(robot) for robot, rows in episodes.items()),
        processor=processor or Processor.fit(opened, config.window, selection=selection, seed=config.seed),
    )


@contextmanager
def open_batches(config: TrainConfig, data: TrainingData, world: World, step: int) -> Iterator[Iterator[Batch]]:
    """Yield this process's microbatches of the batches of `step`, `step + 1`, ..., one after the other."""
    with ExitStack() as stack:
        loaders = [
            stack.enter_context(Loader(data.sources, data.processor, _loader_config(config, piece), start_step=step))
            for piece in world.own_microbatches(config.num_microbatches)
        ]
        yield (next(loader) for _ in iter(int, 1) for loader in loaders)


def _loader_config(config: TrainConfig, piece: int) -> LoaderConfig:
    return LoaderConfig(
        batch_size=config.batch_windows // config.num_microbatches,
        seed=config.seed,
        selection=config.data.selection(),
        weights=config.data.weights or None,
        workers=config.loader_workers,
        view=config.data.view,
        rank=piece,
        world=config.num_microbatches,
    )
