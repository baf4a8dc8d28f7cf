"""A window of an episode as it was recorded: every stream at its own times, each camera on a regular grid.

    proprioception  |  |  |  |  |  |  |  |  |      samples captured in [start, end), their own times, not copied
    action          .   .   .   .   .   .
    camera/front    #       #       #       #      pictures nearest to start, start + 1 / rate, ..., end
    instruction  -----o-------------               the text that held at the start, and those that came after

Nothing is resampled. What a model makes of it is left to `processor` and to users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.stream import Stream
from counterpoint.store.views.codec import Pixels

Times = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class StreamSlice:
    """Samples of a vector or text stream in a window; arrays point into mapped files and are read-only.

    Not frozen, because making a frozen object costs three times as much and a window has several.
    """

    name: str
    capture_ns: Times
    """[samples], non-decreasing."""
    arrival_ns: Times
    """[samples]."""
    values: NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.object_]
    """Vector float32 [samples, channels], text object [samples]."""


@dataclass(slots=True, eq=False)
class ImageSlice:
    """Pictures of a camera in a window, one a grid point; a picture may be the nearest to two."""

    name: str
    capture_ns: Times
    """[pictures], of the pictures, not of the grid; non-decreasing."""
    arrival_ns: Times
    """[pictures]."""
    pixels: Pixels
    values: NDArray[np.uint8]
    """yuv420 [pictures, height * 3 / 2, width] (I420, see `store.codec.yuv420_to_rgb`), rgb [pictures, height,
    width, 3], or luma [pictures, height, width]."""


@dataclass(slots=True, eq=False)
class StreamWindow:
    """A stretch of one episode with all its streams."""

    store: int
    """Number of the store."""
    episode_id: str
    robot: str
    part: str
    """Part of the mixture; empty without one."""
    index: int
    """Number of the window in the dataset: `dataset[index]` gives it again."""
    position: int
    """Place in the order that `stream` follows; -1 for a window that was asked for by number."""
    start_ns: int
    end_ns: int
    """Not included. Shorter than asked for where the episode is."""
    streams: dict[str, StreamSlice]
    images: dict[str, ImageSlice]

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return (self.end_ns - self.start_ns) / NS_PER_SECOND


def cut_stream(name: str, stream: Stream, start_ns: int, end_ns: int) -> StreamSlice:
    """Return the samples captured in [start, end); of a text stream also the one that held at the start."""
    capture_ns = stream.capture_ns
    first, last = capture_ns.searchsorted((start_ns, end_ns))
    if stream.spec.kind == "text" and first and (first == len(capture_ns) or capture_ns[first] > start_ns):
        first -= 1
    return StreamSlice(name, capture_ns[first:last], stream.arrival_ns[first:last], stream.values[first:last])


def grid_ns(start_ns: int, end_ns: int, rate_hz: float) -> Times:
    """Return start, start + 1 / rate, ... up to the end (included), int64 [points]."""
    count = int((end_ns - start_ns) * rate_hz / NS_PER_SECOND + 1e-6) + 1
    return np.asarray(start_ns + np.rint(np.arange(count) * (NS_PER_SECOND / rate_hz)), dtype=np.int64)
