"""A store as a sequence of episodes: `store[0]`, `store["its id"]`, `store[:10]`, `for episode in store`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import pyarrow.compute as pc
from pyarrow import Table

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError
from counterpoint.store.files.manifest import EpisodeInfo

SHOWN_ROBOTS = 5


class EpisodeSequence(ABC):
    """What a store on disk and one in object storage offer alike; episodes are read when asked for."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Folder or URL, for people."""

    @property
    @abstractmethod
    def episodes(self) -> Sequence[EpisodeInfo]:
        """What is known of each episode without its samples."""

    @property
    @abstractmethod
    def embodiments(self) -> Mapping[str, Embodiment]:
        """The robots of all episodes, by name."""

    @abstractmethod
    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name; raises UnknownNameError."""

    @abstractmethod
    def episode(self, episode_id: str) -> Episode:
        """Return an episode; raises StoreError, UnknownNameError."""

    @abstractmethod
    def flat(self) -> Table:
        """Return the plain facts of all episodes, one row each."""

    def robot(self, name: str = "") -> Embodiment:
        """Return the robot of that name, or the only one of the store.

        Raises:
            StoreError: no name is given, and the store has no robot or several.
            UnknownNameError: there is no such robot; offers the nearest.
        """
        if name:
            return self.embodiment(name)
        if len(self.embodiments) != 1:
            names = ", ".join(self.embodiments) or "no robots"
            raise StoreError(f"{self.place}: expected one robot, found {names}; name one: store.robot(NAME)")
        return next(iter(self.embodiments.values()))

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.episodes)

    @overload
    def __getitem__(self, at: int | str) -> Episode: ...

    @overload
    def __getitem__(self, at: slice) -> EpisodeSlice: ...

    def __getitem__(self, at: int | str | slice) -> Episode | EpisodeSlice:
        """Return the episode at a place (in order of id) or of an id, or a slice that reads its episodes when asked.

        Raises:
            IndexError: there is no such place. UnknownNameError: there is no such id; offers the nearest.
        """
        if isinstance(at, str):
            return self.episode(at)
        places = range(len(self))
        if isinstance(at, slice):
            return EpisodeSlice(self, places[at])
        try:
            return self.episode(self.episodes[places[at]].episode_id)
        except IndexError:
            raise IndexError(f"{self.place}: episode {at} does not exist; the store has {len(self)} episodes") from None

    def __iter__(self) -> Iterator[Episode]:
        """Read one episode after the other."""
        for info in self.episodes:
            yield self.episode(info.episode_id)

    def __contains__(self, episode_id: object) -> bool:
        """Whether there is an episode of that id."""
        return bool(pc.any(pc.equal(self.flat()["episode_id"], str(episode_id))).as_py())

    def __repr__(self) -> str:
        """Return a line: where, how many episodes and hours, which robots."""
        facts = self.flat()
        seconds = pc.sum(facts["duration_s"]).as_py() or 0.0
        length = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds:.0f} s"
        robots = Counter(facts["robot"].to_pylist()).most_common()
        named = ", ".join(f"{name} ({count})" for name, count in robots[:SHOWN_ROBOTS])
        more = f" and {len(robots) - SHOWN_ROBOTS} more" if len(robots) > SHOWN_ROBOTS else ""
        listed = f"; robots: {named}{more}" if robots else ""
        return f"<{type(self).__name__} {self.place}: {len(self)} episodes, {length}{listed}>"


class EpisodeSlice(Sequence[Episode]):
    """Some episodes of a store, read when asked for."""

    def __init__(self, store: EpisodeSequence, places: range) -> None:
        """Show these places of the store."""
        self._store = store
        self._places = places

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Episode: ...

    @overload
    def __getitem__(self, at: slice) -> EpisodeSlice: ...

    def __getitem__(self, at: int | slice) -> Episode | EpisodeSlice:
        """Read one episode, or return a slice of the slice."""
        if isinstance(at, slice):
            return EpisodeSlice(self._store, self._places[at])
        return self._store[self._places[at]]

    def __repr__(self) -> str:
        """Return a line that says how many there are."""
        return f"<{len(self)} episodes of {self._store.place}>"
