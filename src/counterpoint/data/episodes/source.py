"""Where episodes come from: a store on disk, one in object storage, or a list in memory, all through one protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode
from counterpoint.core.errors import EmbodimentError, unknown_name
from counterpoint.core.stream import Stream
from counterpoint.store.views.pictures import CameraPictures, pictures_of_stream


class EpisodeSource(Protocol):
    """Anything that lists episodes and reads them; it must survive pickling, for background processes.

    `counterpoint.store.Store`, `RemoteStore` and `MemorySource` are three.
    """

    @property
    def root(self) -> Path | None:
        """Local folder of the marks that leave ranges out (`catalog.marks`); None for a source without marks."""
        ...

    @property
    def block_rows(self) -> Sequence[int]:
        """Rows of `flat` at which another block begins that is fetched whole, from 0 to the end; empty for none."""
        ...

    def flat(self) -> pa.Table:
        """Return one row an episode: at least episode_id, robot, content_sha256, start_ns, end_ns, duration_s."""
        ...

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name; raises UnknownNameError."""
        ...

    def low(self, episode_id: str) -> dict[str, Stream]:
        """Return the vector and text streams of an episode, not copied where they can be mapped.

        Raises:
            StoreError: the episode is damaged. UnknownNameError: no such episode.
        """
        ...

    def cameras(self, episode_id: str) -> tuple[str, ...]:
        """Return the names of the cameras of which an episode has pictures, sorted; raises UnknownNameError."""
        ...

    def pictures(self, episode_id: str, stream: str, view: str) -> CameraPictures | None:
        """Return the pictures of a camera, decoded on demand; None where the episode has no such camera.

        `view` is a preset of the video view, empty for pictures of full size.

        Raises:
            StoreError: the view is not built, or the episode is damaged. UnknownNameError: no such episode.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """An opened episode: its streams, and its pictures on demand."""

    source: EpisodeSource
    episode_id: str
    robot: str
    """Name of the embodiment."""
    streams: dict[str, Stream]

    @property
    def embodiment(self) -> Embodiment:
        """The robot; raises UnknownNameError."""
        return self.source.embodiment(self.robot)

    @property
    def cameras(self) -> tuple[str, ...]:
        """The names of the cameras of which there are pictures, sorted."""
        return self.source.cameras(self.episode_id)

    def pictures(self, stream: str, view: str) -> CameraPictures | None:
        """Return the pictures of a camera; see `EpisodeSource.pictures`."""
        return self.source.pictures(self.episode_id, stream, view)


def open_recording(source: EpisodeSource, episode_id: str, robot: str) -> Recording:
    """Open an episode of a source; raises StoreError, UnknownNameError."""
    return Recording(source=source, episode_id=episode_id, robot=robot, streams=source.low(episode_id))


class MemorySource:
    """Episodes in memory, seen as a source."""

    root = None
    block_rows: Sequence[int] = ()

    def __init__(self, episodes: Iterable[Episode]) -> None:
        """File the episodes by id; raises EmbodimentError where two robots share a name."""
        self._episodes = {episode.episode_id: episode for episode in episodes}
        self._embodiments: dict[str, Embodiment] = {}
        for episode in self._episodes.values():
            known = self._embodiments.setdefault(episode.embodiment.name, episode.embodiment)
            if known != episode.embodiment:
                raise EmbodimentError(f"robot {known.name!r}: two descriptions under one name; rename one of them")

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """The episodes in the order given."""
        return tuple(self._episodes.values())

    def flat(self) -> pa.Table:
        """Return one row an episode; `content_sha256` is empty."""
        return self._table

    @cached_property
    def _table(self) -> pa.Table:
        rows = [
            {
                "episode_id": each.episode_id,
                "robot": each.embodiment.name,
                "content_sha256": "",
                "start_ns": each.start_ns,
                "end_ns": each.start_ns + round(1e9 * each.duration_s),
                "duration_s": each.duration_s,
            }
            for each in self._episodes.values()
        ]
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name; raises UnknownNameError."""
        if name not in self._embodiments:
            raise unknown_name("robot", name, self._embodiments)
        return self._embodiments[name]

    def low(self, episode_id: str) -> dict[str, Stream]:
        """Return the vector and text streams of an episode; raises UnknownNameError."""
        return {name: each for name, each in self._streams(episode_id).items() if each.spec.kind != "image"}

    def cameras(self, episode_id: str) -> tuple[str, ...]:
        """Return the names of the cameras of which an episode has pictures, sorted; raises UnknownNameError."""
        streams = self._streams(episode_id)
        return tuple(sorted(name for name, each in streams.items() if each.spec.kind == "image" and len(each)))

    def pictures(self, episode_id: str, stream: str, view: str) -> CameraPictures | None:
        """Return the pictures of a camera, whatever the view; None where there are none."""
        found = self._streams(episode_id).get(stream)
        if found is None or found.spec.kind != "image" or not len(found):
            return None
        return pictures_of_stream(found)

    def _streams(self, episode_id: str) -> dict[str, Stream]:
        if episode_id not in self._episodes:
            raise unknown_name("episode", episode_id, self._episodes)
        return self._episodes[episode_id].streams


class SubsetSource:
    """A source of which only some episodes are seen."""

    def __init__(self, source: EpisodeSource, episode_ids: Collection[str]) -> None:
        """Show only these episodes."""
        self.source = source
        """The whole."""
        self.root = source.root
        table = source.flat()
        is_chosen = pc.is_in(table["episode_id"], value_set=pa.array(episode_ids, pa.string()))
        self._table = table.filter(is_chosen)
        before = np.concatenate([[0], np.cumsum(is_chosen.to_numpy())])
        self.block_rows: Sequence[int] = before[list(source.block_rows)].tolist()

    def flat(self) -> pa.Table:
        """Return the facts of the chosen episodes."""
        return self._table

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name; raises UnknownNameError."""
        return self.source.embodiment(name)

    def low(self, episode_id: str) -> dict[str, Stream]:
        """Return the vector and text streams of an episode; raises UnknownNameError."""
        return self.source.low(episode_id)

    def cameras(self, episode_id: str) -> tuple[str, ...]:
        """Return the cameras of an episode; see `EpisodeSource.cameras`."""
        return self.source.cameras(episode_id)

    def pictures(self, episode_id: str, stream: str, view: str) -> CameraPictures | None:
        """Return the pictures of a camera; see `EpisodeSource.pictures`."""
        return self.source.pictures(episode_id, stream, view)


_SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("robot", pa.string()),
        ("content_sha256", pa.string()),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("duration_s", pa.float64()),
    ]
)
