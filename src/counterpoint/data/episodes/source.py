"""Where episodes come from: a store on disk, or a list in memory; `data` reads both through one protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.errors import EmbodimentError, unknown_name
from counterpoint.core.stream import Stream


class EpisodeEntry(Protocol):
    """What is known of an episode without reading its samples."""

    @property
    def episode_id(self) -> str:
        """Unique in its source."""
        ...

    @property
    def embodiment(self) -> str:
        """Name of the robot."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Where the episode comes from."""
        ...

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last sample."""
        ...


class EpisodeSource(Protocol):
    """Anything that lists episodes and gives their low-dimensional streams.

    A source that is loaded in a background process must survive pickling.
    """

    @property
    def episodes(self) -> Sequence[EpisodeEntry]:
        """All episodes, in any stable order."""
        ...

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name; raises UnknownNameError."""
        ...

    def low(self, episode_id: str) -> dict[str, Stream]:
        """Return the vector and text streams of an episode; raises UnknownNameError."""
        ...


@runtime_checkable
class FrameSource(Protocol):
    """A source that decodes single frames; one without it may hold image streams in `low`."""

    def frame_times(self, episode_id: str, stream: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return capture and arrival times, int64 [samples] each; raises UnknownNameError where there is none."""
        ...

    def frames(self, episode_id: str, stream: str, samples: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode the chosen samples (indices, increasing), uint8 [n, height, width, 3]."""
        ...


@dataclass(frozen=True, kw_only=True)
class MemoryEntry:
    """Entry of an episode that lies in memory."""

    episode_id: str
    embodiment: str
    provenance: Provenance
    duration_s: float


class MemorySource:
    """Episodes in memory, seen as a source; images included in `low`."""

    def __init__(self, episodes: Iterable[Episode]) -> None:
        """File the episodes by id; raises EmbodimentError where two robots share a name."""
        self._episodes = {episode.episode_id: episode for episode in episodes}
        self._embodiments: dict[str, Embodiment] = {}
        for episode in self._episodes.values():
            known = self._embodiments.setdefault(episode.embodiment.name, episode.embodiment)
            if known != episode.embodiment:
                raise EmbodimentError(f"robot {known.name!r}: two descriptions under one name; rename one of them")

    @property
    def episodes(self) -> list[MemoryEntry]:
        """Entries in the order given."""
        return [
            MemoryEntry(
                episode_id=episode.episode_id,
                embodiment=episode.embodiment.name,
                provenance=episode.provenance,
                duration_s=episode.duration_s,
            )
            for episode in self._episodes.values()
        ]

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name; raises UnknownNameError."""
        if name not in self._embodiments:
            raise unknown_name("robot", name, self._embodiments)
        return self._embodiments[name]

    def low(self, episode_id: str) -> dict[str, Stream]:
        """Return all streams of an episode; raises UnknownNameError."""
        if episode_id not in self._episodes:
            raise unknown_name("episode", episode_id, self._episodes)
        return self._episodes[episode_id].streams
