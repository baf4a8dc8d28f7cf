"""The order of training: which episode each window comes from, a pure function of (seed, step, position).

Nothing is permuted and nothing is stored but cumulated durations, so any step can be drawn first:
stopping, resuming, and sharing a step among processes need no state.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError, unknown_name
from counterpoint.core.seeding import generator
from counterpoint.data.episodes.selection import EpisodeReference


class WindowSampler:
    """Draws episodes: a robot by weight, then an episode of it in proportion to its duration."""

    def __init__(
        self,
        episodes: Mapping[str, tuple[EpisodeReference, ...]],
        seed: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Keep the choice; `weights` by robot need not sum to one (default: durations, or a mixture's weights).

        Raises:
            UnknownNameError: a weight for a robot that has no episodes.
            ConfigError: a robot without a weight, or no positive weight.
        """
        self.seed = seed
        self._robots = tuple(sorted(episodes))
        self._episodes = episodes
        self._durations = {name: _cumulated([_drawn_s(r) for r in episodes[name]]) for name in self._robots}
        chosen = weights or {name: float(self._durations[name][-1]) for name in self._robots}
        for name in chosen:
            if name not in episodes:
                raise unknown_name("robot", name, self._robots, hint="(loader.weights; it has no selected episodes)")
        missing = [name for name in self._robots if name not in chosen]
        values = [chosen.get(name, 0.0) for name in self._robots]
        if missing:
            raise ConfigError(
                f"loader.weights: no weight for {', '.join(missing)}, got {dict(chosen)}; name every robot, with 0 for "
                "those that no window shall come from, or give no weights at all"
            )
        if min(values) < 0 or not 0 < sum(values) < float("inf"):
            raise ConfigError(f"loader.weights: expected a share from 0 up for each robot, got {dict(chosen)}")
        self._weights = np.cumsum(values)

    def window(self, step: int, position: int) -> tuple[EpisodeReference, np.random.Generator]:
        """Return the episode of a window, and the generator for everything else that is random in it."""
        rng = generator(self.seed, "window", step, position)
        return self.draw(rng), rng

    def draw(self, rng: np.random.Generator) -> EpisodeReference:
        """Return an episode; takes two numbers from `rng`."""
        robot = self._robots[_pick(self._weights, rng.random())]
        return self._episodes[robot][_pick(self._durations[robot], rng.random())]


def _drawn_s(reference: EpisodeReference) -> float:
    return reference.duration_s if reference.drawn_s is None else reference.drawn_s


def _cumulated(durations: list[float]) -> NDArray[np.float64]:
    """Cumulate durations; an episode of a single sample still counts a little."""
    return np.cumsum(np.maximum(durations, 1e-3))


def _pick(cumulated: NDArray[np.float64], share: float) -> int:
    place = int(cumulated.searchsorted(share * cumulated[-1], side="right"))
    return min(place, len(cumulated) - 1)
