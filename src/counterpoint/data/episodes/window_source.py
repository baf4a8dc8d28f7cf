"""What a dataset of windows asks of a store; one on disk and one in object storage both give it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.stream import Stream
from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.views.gops import CodedStream


class VideoView(Protocol):
    """Coded pictures of small size; see `store.video_view`."""

    def has(self, content_sha256: str, stream: str) -> bool:
        """Whether the stream of that episode is in the view."""
        ...

    def stream(self, content_sha256: str, stream: str) -> CodedStream:
        """Return the coded pictures of a stream; raises StoreError, UnknownNameError."""
        ...


class WindowSource(Protocol):
    """A store as windows see it; it must survive pickling."""

    @property
    def root(self) -> Path:
        """Folder whose `catalogue/marks.parquet`, if there is one, names ranges to leave out."""
        ...

    def flat(self) -> pa.Table:
        """Return one row an episode: at least episode_id, content_sha256, start_ns, end_ns."""
        ...

    @property
    def block_rows(self) -> Sequence[int]:
        """Rows of `flat` at which another shard begins, from 0 to the number of rows; empty where it is no matter."""
        ...

    @property
    def episodes(self) -> Sequence[EpisodeInfo]:
        """All episodes, in the order of `flat`."""
        ...

    def info(self, episode_id: str) -> EpisodeInfo:
        """Return what is known of an episode without its samples."""
        ...

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name."""
        ...

    def low(self, episode_id: str) -> dict[str, Stream]:
        """Return the vector and text streams of an episode, not copied."""
        ...

    def video_view(self, preset: str) -> VideoView:
        """Return the video training view in that preset."""
        ...

    def frame_times(self, episode_id: str, stream: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return capture and arrival times of a master's frames, int64 [samples] each."""
        ...

    def frames(self, episode_id: str, stream: str, samples: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode the chosen samples of a master (indices, increasing), uint8 [n, height, width, 3]."""
        ...
