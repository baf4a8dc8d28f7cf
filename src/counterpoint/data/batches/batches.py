"""Make the batch of any step: draw windows, prepare their episodes once, encode, pack."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from counterpoint.core.batch import Batch
from counterpoint.core.errors import ConfigError, StreamError, UnknownNameError
from counterpoint.data.batches.sampler import WindowSampler
from counterpoint.data.encoding.cameras import camera_tracks
from counterpoint.data.encoding.dropped import pick_stretch, stretches, usable_episodes
from counterpoint.data.encoding.episode import PreparedEpisode
from counterpoint.data.encoding.pack import EncodedWindow, pack
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import draw_decisions, draw_delays
from counterpoint.data.episodes.selection import EpisodeReference, Selection, select_episodes
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.store.build_video import PRESETS

DRAWS = 100
"""Episodes drawn for a window until one has a stretch that no mark spoils; one is nearly always enough."""


@dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """What batches are made of and how they are delivered.

    Raises:
        ConfigError: a value is out of range; the message starts with `loader.`.
    """

    batch_size: int = 32
    """Windows a batch (of this rank)."""
    seed: int = 0
    """With the step, decides everything random."""
    selection: Selection = field(default_factory=Selection)
    """Which episodes."""
    weights: dict[str, float] | None = None
    """Share of windows by robot, every selected robot named; by duration when None."""
    workers: int = 1
    """Background processes; 0 makes batches in the calling process."""
    prefetch: int = 4
    """Batches that a worker keeps ready."""
    cache_episodes: int = 4096
    """Episodes kept prepared; views of memory-mapped samples, a few kilobytes each."""
    view: str = "5hz"
    """Preset of the video view that pictures come from, where it is built; empty decodes the masters, slowly."""
    rank: int = 0
    """Which slice of the step's windows this loader makes, below `world`."""
    world: int = 1
    """Loaders that share a step; together they make the batch of one loader of world * batch_size."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, least in (("batch_size", 1), ("workers", 0), ("prefetch", 1), ("cache_episodes", 1), ("world", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"loader.{name}: expected at least {least}, got {getattr(self, name)}")
        if self.view and self.view not in PRESETS:
            raise ConfigError(f"loader.view: expected {', '.join(PRESETS)} or nothing, got {self.view!r}")
        if not 0 <= self.rank < self.world:
            raise ConfigError(f"loader.rank: expected 0 to {self.world - 1}, got {self.rank}")


class BatchMaker:
    """Makes the batch of any step; holds a cache and nothing that changes the result."""

    def __init__(self, sources: Sequence[EpisodeSource], processor: Processor, config: LoaderConfig) -> None:
        """Select episodes; raises ConfigError or UnknownNameError where nothing fits the selection."""
        self.processor = processor
        self.config = config
        usable = usable_episodes(sources, select_episodes(sources, config.selection), processor.config)
        self.episodes = usable.episodes
        self.left_out_s = usable.left_out_s
        """Robot time of the chosen episodes in which no decision is drawn because of marks, seconds."""
        self._ranges = usable.ranges
        for robot in self.episodes:
            processor.statistics(robot)
        self._sources = tuple(sources)
        self._sampler = WindowSampler(self.episodes, config.seed, config.weights)
        self._prepared: OrderedDict[tuple[int, str], PreparedEpisode] = OrderedDict()

    def batch(self, step: int) -> Batch:
        """Return the batch of `step`: a pure function of the seed, the step and the selected episodes."""
        first = self.config.rank * self.config.batch_size
        return pack([self.window(step, first + i) for i in range(self.config.batch_size)])

    def window(self, step: int, position: int) -> EncodedWindow:
        """Return one window of a step, encoded; raises StreamError naming an episode that cannot be used."""
        reference, rng = self._sampler.window(step, position)
        config = self.processor.config
        for _ in range(DRAWS):
            try:
                episode = self.prepared(reference)
                bounds_ns = episode.bounds_ns(config)
            except (StreamError, UnknownNameError) as error:
                raise type(error)(f"episode {reference.episode_id}: {error}") from error
            ranges = self._ranges.get((reference.source, reference.episode_id))
            parts = [bounds_ns] if ranges is None else stretches(*bounds_ns, ranges, config)
            if parts:
                low_ns, high_ns = parts[0] if len(parts) == 1 else pick_stretch(parts, rng)
                decision_ns = draw_decisions(config, low_ns, high_ns, rng)
                return self.processor.encode(episode, decision_ns, draw_delays(config, rng), rng=rng)
            reference = self._sampler.draw(rng)  # its commands begin late or end early: marks spoil all of it
        raise ConfigError(
            f"loader: {DRAWS} episodes in turn have no window that marked ranges do not touch; see "
            "'counterpoint check STORE', and take marks back with --unmark"
        )

    def prepared(self, reference: EpisodeReference) -> PreparedEpisode:
        """Return an episode ready for encoding, from the cache where it is there."""
        key = (reference.source, reference.episode_id)
        episode = self._prepared.get(key)
        if episode is None:
            source = self._sources[reference.source]
            streams = source.low(reference.episode_id)
            images = camera_tracks(self.processor.config, source, reference.episode_id, self.config.view)
            episode = self.processor.prepare(source.embodiment(reference.embodiment), streams, images)
            self._prepared[key] = episode
            if len(self._prepared) > self.config.cache_episodes:
                self._prepared.popitem(last=False)
        else:
            self._prepared.move_to_end(key)
        return episode

    @property
    def hours(self) -> dict[str, float]:
        """Hours of selected experience by robot."""
        return {name: sum(r.duration_s for r in references) / 3600 for name, references in self.episodes.items()}
