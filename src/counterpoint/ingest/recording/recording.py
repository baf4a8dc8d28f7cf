"""The samples of one item of a log as its reader returns them.

reader --> Recording (series, videos, frames, texts as the log has them) --episode.build_episode--> Ingested
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import IngestError
from counterpoint.core.stream import Stream, TimeSource
from counterpoint.store import EncodedVideo

MAX_SECONDS = 1e8
"""Longest time from the first to the last sample of an episode; three years."""
LARGEST_ANGLE = 4 * np.pi
"""A joint position beyond this was probably not logged in rad."""
INSTRUCTION = StreamSpec(name="instruction", kind="text")


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """The samples of one numeric feature, in capture order."""

    values: NDArray[np.floating]
    """[samples, width], in the log's own units."""
    capture_ns: NDArray[np.int64]
    """[samples]."""
    arrival_ns: NDArray[np.int64] | None = None
    """[samples]; None where the log has one clock only."""
    time_source: TimeSource = "measured"


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One item of a log, as read."""

    series: dict[str, Series]
    """By feature; features that the mapping does not use are ignored."""
    videos: dict[str, EncodedVideo] = field(default_factory=dict)
    """By stream name (`camera/front`): coded frames of the log, unchanged."""
    frames: dict[str, Stream] = field(default_factory=dict)
    """By stream name: image streams that the log has uncompressed."""
    texts: tuple[tuple[int, str], ...] = ()
    """(capture_ns, instruction) wherever the instruction changes; empty where there is none."""
    success: bool | None = None
    notes: tuple[str, ...] = ()
    pixels: dict[str, bytes] = field(default_factory=dict)
    """By stream name of a video that was encoded by the reader: the SHA-256 of its pixels, hashed instead of its bytes,
    which depend on the encoder."""

    def content_hash(self) -> str:
        """Return the SHA-256 of times, values, pixels and texts."""
        digest = hashlib.sha256(json.dumps(self.texts).encode())
        for name, series in sorted(self.series.items()):
            digest.update(name.encode())
            digest.update(series.capture_ns.astype("<i8").tobytes())
            digest.update(np.ascontiguousarray(series.values, dtype="<f8").tobytes())
        for name, video in sorted(self.videos.items()):
            digest.update(name.encode() + video.capture_ns.astype("<i8").tobytes() + self.pixels.get(name, video.data))
        for name, stream in sorted(self.frames.items()):
            digest.update(name.encode() + stream.capture_ns.astype("<i8").tobytes() + stream.values.tobytes())
        return digest.hexdigest()


def merged_texts(times_ns: Sequence[int], texts: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """Return (time, text) wherever the text changes."""
    return tuple(
        (int(times_ns[row]), texts[row]) for row in range(len(texts)) if row == 0 or texts[row] != texts[row - 1]
    )


def num_rows(values: Mapping[str, NDArray[np.generic]], where: str) -> int:
    """Return the rows that all features share; raises IngestError `length_mismatch` or `no_rows`."""
    lengths = {len(each) for each in values.values()}
    if len(lengths) > 1:
        raise IngestError(
            f"{where}: the features have {sorted(lengths)} rows, expected equal lengths", reason="length_mismatch"
        )
    if lengths == {0}:
        raise IngestError(f"{where}: no rows", reason="no_rows")
    return lengths.pop()
