"""Training's transform: decisions drawn in a window, encoded by the Processor; and batches of such windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from counterpoint.core.batch import Batch
from counterpoint.core.clock import seconds_to_ns
from counterpoint.data.batches.reader import Window, WindowReader
from counterpoint.data.batches.table import Cut
from counterpoint.data.encoding.episode import PreparedEpisode
from counterpoint.data.encoding.pack import EncodedWindow, pack
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import draw_decisions, draw_delays
from counterpoint.data.episodes.selection import ChosenEpisodes
from counterpoint.data.episodes.source import EpisodeSource, Recording

TrainingReader = WindowReader[PreparedEpisode, EncodedWindow]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingTransform:
    """Encodes a window: some decisions around a random moment in it.

    A window is one mean gap between decisions long, so every moment of an episode is drawn as often as any other.
    Its decisions reach beyond it, but not beyond what marks leave of the episode: no decision sees an event of a
    marked range, or has a knot in one.
    """

    processor: Processor
    view: str
    """Preset of the video view that pictures come from; empty for the masters, slowly."""

    @property
    def cut(self) -> Cut:
        """Windows side by side, clear of marked ranges by the horizon before them and the longest memory after."""
        config = self.processor.config
        return Cut(
            length_ns=seconds_to_ns(config.stride_s),
            stride_ns=None,
            shortest_ns=(config.branches - 1) * seconds_to_ns(config.min_gap_s),
            before_ns=seconds_to_ns(config.horizon_s),
            after_ns=seconds_to_ns(config.max_age_s),
        )

    def prepare(self, recording: Recording) -> PreparedEpisode:
        """Prepare an episode; cameras that it does not have are left out."""
        pictures = {name: recording.pictures(name, self.view) for name in self.processor.config.cameras}
        found = {name: each for name, each in pictures.items() if each is not None}
        return self.processor.prepare(recording.embodiment, recording.streams, found)

    def sample(self, prepared: PreparedEpisode, window: Window) -> EncodedWindow | None:
        """Draw decisions and delays and encode them; None where the stretch has no commands or measurements."""
        config, rng = self.processor.config, window.draws()
        first_ns, last_ns = prepared.bounds_ns(config)
        low_ns, high_ns = max(first_ns, window.first_ns), min(last_ns, window.last_ns - 1)
        if low_ns > high_ns:
            return None
        moment_ns = window.start_ns + rng.random() * (window.end_ns - window.start_ns)
        centre = (moment_ns - window.first_ns) / (window.last_ns - window.first_ns)
        decision_ns = draw_decisions(config, low_ns, high_ns, centre, rng)
        return self.processor.encode(prepared, decision_ns, draw_delays(config, rng), rng=rng)


def training_windows(
    sources: Sequence[EpisodeSource],
    processor: Processor,
    episodes: ChosenEpisodes,
    *,
    weights: Mapping[str, float] | None = None,
    view: str = "5hz",
) -> TrainingReader:
    """Return the road of a training run.

    Raises:
        ConfigError: no window is left, or weights do not fit.
        UnknownNameError: a robot that the processor does not know.
    """
    for robot in episodes:
        processor.statistics(robot)
    return WindowReader(sources, TrainingTransform(processor=processor, view=view), episodes, weights=weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingBatches:
    """The batches of a process by number, from 0 without end: one for each of its microbatches of each step.

    The windows of a step are those at the positions step * batch_windows and after, however many processes and
    microbatches share them.
    """

    reader: TrainingReader
    seed: int
    batch_windows: int
    """Windows of a step, over all processes."""
    num_microbatches: int = 1
    """Equal parts of a step, over all processes; they divide `batch_windows`."""
    own: range = range(1)
    """Which of them are this process's."""

    def __getitem__(self, number: int) -> Batch:
        """Return batch `number`: of step number // len(own), microbatch own[number % len(own)].

        Raises:
            CounterpointError: an episode cannot be used.
        """
        step, place = divmod(number, len(self.own))
        size = self.batch_windows // self.num_microbatches
        first = step * self.batch_windows + self.own[place] * size
        return pack([self.reader.sample(self.seed, position) for position in range(first, first + size)])
