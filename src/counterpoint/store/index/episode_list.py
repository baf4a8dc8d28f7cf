"""All episodes of a store as a lazy sequence: an entry is read when it is accessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.index.episode_index import EpisodeIndex

READ_AHEAD = 1_024


class EpisodeList(Sequence[EpisodeInfo]):
    """Episodes in order of id; slices are lazy too. Equal to any sequence of equal episodes."""

    def __init__(self, index: EpisodeIndex, places: NDArray[np.int64] | range) -> None:
        """Show these places of the index."""
        self._index = index
        self._places = places

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> EpisodeInfo: ...

    @overload
    def __getitem__(self, at: slice) -> EpisodeList: ...

    def __getitem__(self, at: int | slice) -> EpisodeInfo | EpisodeList:
        """Return one episode, or a slice that shows the same index."""
        if isinstance(at, slice):
            return EpisodeList(self._index, self._places[at])
        return self._index.infos(np.asarray([self._places[at]], np.int64))[0]

    def __iter__(self) -> Iterator[EpisodeInfo]:
        """Yield all, some of them read ahead at once."""
        for first in range(0, len(self), READ_AHEAD):
            yield from self._index.infos(np.asarray(self._places[first : first + READ_AHEAD], np.int64))

    def __eq__(self, other: object) -> bool:
        """Whether `other` is a sequence of the same episodes."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # compared by content, as lists are

    def __repr__(self) -> str:
        """Return a line that says how many there are."""
        return f"<{len(self)} episodes>"
