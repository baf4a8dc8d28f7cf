"""The Processor: from streams to normalised windows, and from normalised values back to commands.

    fit -> statistics a robot
    training   prepare -> encode      -> pack -> Batch
    serving    encode_observation     -> pack -> Batch -> model -> decode -> ActionChunk

It is plain data: `to_dict` goes into a checkpoint, `from_dict` takes nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog.mixtures.mixture import read_mixture
from counterpoint.catalog.mixtures.statistics import StreamStatistics
from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.config import from_dict, to_dict
from counterpoint.core.descriptor import DESCRIPTOR_VERSION
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import CheckpointError, ConfigError, PolicyError, UnknownNameError, unknown_name
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.core.stream import Stream
from counterpoint.data.encoding.acting import denormalise, normalise
from counterpoint.data.encoding.encode import encode
from counterpoint.data.encoding.episode import NO_PICTURES, PreparedEpisode, prepare_episode
from counterpoint.data.encoding.fit import fit_robot
from counterpoint.data.encoding.pack import EncodedWindow
from counterpoint.data.encoding.statistics import RobotStatistics, exact_keys, robot_from_dict, robot_to_dict
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.marks import Ranges, outside, ranges_of
from counterpoint.data.episodes.selection import ChosenEpisodes, EpisodeReference, Selection, select_episodes
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.store.views.pictures import CameraPictures

PROCESSOR_VERSION = 2

Float = NDArray[np.float32]
Int = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Processor:
    """Encodes and decodes; the same code in training and in serving."""

    config: WindowConfig
    robots: dict[str, RobotStatistics]
    """By robot name."""

    @classmethod
    def fit(
        cls,
        sources: Sequence[EpisodeSource],
        config: WindowConfig | None = None,
        *,
        selection: Selection | None = None,
        episodes: ChosenEpisodes | None = None,
        num_decisions: int = 4096,
        max_episodes: int = 256,
        seed: int = 0,
    ) -> Processor:
        """Fit every robot of the sources on its training episodes.

        Args:
            sources: where the episodes are.
            config: shape of windows.
            selection: which episodes.
            episodes: the episodes of that selection, where a run has chosen them already.
            num_decisions: random decisions a robot that give the acting scale.
            max_episodes: how many episodes of a robot are read, in hash order.
            seed: with the other arguments, decides everything: the same give the same processor.

        Raises:
            ConfigError: nothing to fit on. UnknownNameError: an episode lacks a required stream.
        """
        window, chosen = config or WindowConfig(), selection or Selection()
        stored = read_mixture(chosen.mixture).statistics if chosen.mixture else {}
        found = select_episodes(sources, chosen) if episodes is None else episodes
        marked = [ranges_of(source) for source in sources]
        robots = {
            name: _fit_one(sources, marked, window, references[:max_episodes], num_decisions, seed, stored.get(name))
            for name, references in found.items()
        }
        return cls(config=window, robots=robots)

    def statistics(self, robot: str) -> RobotStatistics:
        """Return the statistics of a robot; raises UnknownNameError."""
        if robot not in self.robots:
            raise unknown_name("robot", robot, self.robots, hint="The processor was not fitted on it: adapt first.")
        return self.robots[robot]

    def prepare(
        self,
        embodiment: Embodiment,
        streams: dict[str, Stream],
        pictures: Mapping[str, CameraPictures] = NO_PICTURES,
    ) -> PreparedEpisode:
        """Prepare an episode once for many windows; `pictures` are cameras that are not among the streams.

        Raises:
            UnknownNameError: the robot was not fitted, or there is no proprioception.
            StreamError: channels are not those of the fit.
        """
        return prepare_episode(self.config, self.statistics(embodiment.name), embodiment, streams, pictures)

    def encode(
        self,
        episode: PreparedEpisode,
        decision_ns: Int,
        delay_s: Float,
        *,
        rng: np.random.Generator | None = None,
        targets: bool = True,
    ) -> EncodedWindow:
        """Encode one window of a prepared episode.

        Args:
            episode: from `prepare`.
            decision_ns: int64 [branches], non-decreasing.
            delay_s: float32 [branches].
            rng: draws latency jitter and dropping of past actions; None for neither.
            targets: whether to read the knots from the recorded commands.
        """
        return encode(self.config, episode, decision_ns, delay_s, rng=rng, targets=targets)

    def encode_observation(self, observation: Observation) -> EncodedWindow:
        """Encode the present moment: one decision at `now_ns`, with the history a window would have.

        Committed commands fill the knots that will have passed when the answer is ready.

        Raises:
            PolicyError: a required stream is missing, or committed commands have other channels.
            UnknownNameError: the robot was not fitted.
        """
        robot = self.statistics(observation.embodiment.name)
        try:
            episode = prepare_episode(self.config, robot, observation.embodiment, observation.streams)
        except UnknownNameError as error:
            raise PolicyError(f"observation of robot {observation.embodiment.name!r}: {error}") from error
        delay_s = (observation.ready_ns - observation.now_ns) / NS_PER_SECOND
        if delay_s < 0:
            raise PolicyError(f"observation: the answer is wanted {-delay_s} s before the present; check ready_ns")
        times = self.config.serving_times_ns(observation.now_ns)
        times = times[times >= int(episode.tracks[episode.proprioception].arrivals.sorted_arrival_ns[0])]
        if not len(times):
            raise PolicyError(f"observation of robot {observation.embodiment.name!r}: no proprioception has arrived")
        window = encode(self.config, episode, times, np.array([delay_s], np.float32), rng=None, targets=False)
        return self._with_committed(window, observation, robot)

    def decode(
        self,
        embodiment: Embodiment,
        values: Float,
        base: Float,
        now_ns: int,
    ) -> ActionChunk:
        """Turn normalised knots into commands; inverse of the acting side of encoding.

        Args:
            embodiment: the robot.
            values: float32 [knots, channels], normalised.
            base: float32 [channels], from `EncodedWindow.base`.
            now_ns: the decision's time.

        Raises:
            PolicyError: shapes do not fit the robot, or a value is not finite.
        """
        acting = self.statistics(embodiment.name).acting
        if values.shape != acting.scale.shape or base.shape != acting.scale.shape[1:]:
            raise PolicyError(
                f"decode for robot {embodiment.name!r}: expected values {acting.scale.shape} and base "
                f"{acting.scale.shape[1:]}, got {values.shape} and {base.shape}"
            )
        commands = denormalise(values, base, acting)
        lower = np.array([channel.lower for channel in embodiment.acting], dtype=np.float32)
        upper = np.array([channel.upper for channel in embodiment.acting], dtype=np.float32)
        return ActionChunk(
            time_ns=now_ns + self.config.knot_offset_ns,
            values=np.clip(commands, lower, upper),
            channel_names=embodiment.acting_names,
        )

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values that `from_dict` takes."""
        return {
            "version": PROCESSOR_VERSION,
            "descriptor_version": DESCRIPTOR_VERSION,
            "config": to_dict(self.config),
            "robots": {name: robot_to_dict(robot) for name, robot in sorted(self.robots.items())},
        }

    @classmethod
    def from_dict(cls, raw: dict[str, object]) -> Processor:
        """Rebuild what `to_dict` wrote.

        Raises:
            CheckpointError: another version, an unknown or missing key, or a wrong value.
        """
        for key, expected in (("version", PROCESSOR_VERSION), ("descriptor_version", DESCRIPTOR_VERSION)):
            if raw.get(key) != expected:
                raise CheckpointError(f"processor.{key}: expected {expected}, got {raw.get(key)!r}; retrain or convert")
        values = exact_keys(raw, ("version", "descriptor_version", "config", "robots"), "processor")
        robots = exact_keys(values["robots"], None, "processor.robots")
        return cls(
            config=_config_from_dict(values["config"]),
            robots={name: robot_from_dict(robot, f"processor.robots.{name}") for name, robot in robots.items()},
        )

    def _with_committed(self, window: EncodedWindow, observation: Observation, robot: RobotStatistics) -> EncodedWindow:
        """Fill knots up to the delay with what the robot will be doing; without commands it holds its start."""
        offsets = self.config.knot_offset_ns
        count = int((offsets < observation.ready_ns - observation.now_ns).sum())
        chunk = observation.committed
        raw = np.broadcast_to(window.start, (count, window.start.shape[1]))
        if chunk is not None:
            if chunk.channel_names != observation.embodiment.acting_names:
                raise PolicyError(
                    f"observation: committed commands have channels {', '.join(chunk.channel_names)}, expected "
                    f"{', '.join(observation.embodiment.acting_names)}"
                )
            raw = np.array([chunk.at(observation.now_ns + int(offset)) for offset in offsets[:count]])
            raw = raw.reshape(count, window.start.shape[1])
        values = window.values.copy()
        full = np.zeros_like(values)
        full[0, :count] = raw
        values[0, :count] = normalise(full, window.base, robot.acting)[0, :count]
        return replace(window, prefix=values)


def _fit_one(
    sources: Sequence[EpisodeSource],
    marked: Sequence[Mapping[str, Ranges]],
    config: WindowConfig,
    references: tuple[EpisodeReference, ...],
    num_decisions: int,
    seed: int,
    stored: Mapping[str, StreamStatistics] | None,
) -> RobotStatistics:
    embodiment = sources[references[0].source].embodiment(references[0].embodiment)
    episodes = ((r.episode_id, _unmarked(sources, r, marked)) for r in references)
    return fit_robot(
        config,
        embodiment,
        episodes,
        decisions_per_episode=-(-num_decisions // len(references)),
        seed=seed,
        stored=stored,
    )


def _unmarked(
    sources: Sequence[EpisodeSource], reference: EpisodeReference, marked: Sequence[Mapping[str, Ranges]]
) -> dict[str, Stream]:
    """Return the streams of an episode without what is marked to be left out."""
    streams = sources[reference.source].low(reference.episode_id)
    ranges = marked[reference.source].get(reference.episode_id)
    return streams if ranges is None else outside(streams, ranges)


def _config_from_dict(raw: object) -> WindowConfig:
    try:
        values = exact_keys(raw, tuple(f.name for f in fields(WindowConfig)), "processor.config")
        return from_dict(WindowConfig, values)
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"processor.config: {error}") from error
