"""Video for other formats: coded frames are copied where they match the rows, and re-encoded otherwise.

Several episodes may share one mp4, as in LeRobot v3.0: each continues the clock of the previous one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from counterpoint.core.errors import ExportError
from counterpoint.store.episodes.video import opened

GROUP_OF_PICTURES = 10
CRF = 18
"""Quality of re-encoded frames; hardly any visible loss."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One episode's part of an mp4."""

    start_s: float
    end_s: float
    is_copied: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """The coded frames of one episode, in decoding order."""

    path: Path
    ranks: NDArray[np.int64]
    """[packets], position of each packet in presentation order."""
    leading: int
    """Frames before the first row, kept because later ones depend on them."""
    delay: int
    """By how many packets decoding runs ahead of presentation; 0 without B-frames."""
    parameters: tuple[object, ...]
    """Clips with equal parameters can share a file."""


def clip_of(path: Path, pts: NDArray[np.int64]) -> Clip | None:
    """Return the clip whose frames at `pts` (one row each) can be copied; None where rows skip or repeat frames.

    Raises:
        StoreError: not a readable video.
    """
    with opened(path) as (source, stream):
        times = [packet.pts for packet in source.demux(stream) if packet.size and packet.pts is not None]
        context = stream.codec_context
        parameters = (context.name, context.width, context.height, context.pix_fmt, bytes(context.extradata or b""))
    found = np.asarray(times, dtype=np.int64)
    ordered = np.sort(found)
    ranks = np.searchsorted(ordered, found)
    places = np.searchsorted(ordered, pts)
    if not len(pts) or places[-1] >= len(ordered) or not np.array_equal(ordered[places], pts):
        return None
    if not np.array_equal(places, places[0] + np.arange(len(pts))):
        return None
    delay = int(max(0, (np.arange(len(ranks)) - ranks).max()))
    return Clip(path=path, ranks=ranks, leading=int(places[0]), delay=delay, parameters=parameters)


class Mp4Writer:
    """Writes one mp4 with one or more episodes."""

    def __init__(self, path: Path, fps: int) -> None:
        """Write to `path`, at `fps` frames per second."""
        self.path = path
        self.fps = fps
        self.frames = 0
        """Frames so far, which is where the next episode starts."""
        self._parameters: tuple[object, ...] | None = None
        self._delay = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: OutputContainer = av.open(str(path), "w", format="mp4")
        self._stream: VideoStream | None = None

    def fits(self, clip: Clip | None) -> bool:
        """Whether the clip can follow what is in the file; only copied clips share a file."""
        if self._parameters is None:
            return self._stream is None
        return clip is not None and clip.parameters == self._parameters and clip.delay <= self._delay

    def copy(self, clip: Clip, rows: int) -> Segment:
        """Append a clip without encoding anything."""
        with opened(clip.path) as (source, stream):
            if self._stream is None:
                self._stream = self._file.add_stream_from_template(stream, opaque=True)
                self._parameters, self._delay = clip.parameters, clip.delay
            index = 0
            for packet in source.demux(stream):
                if not packet.size or packet.pts is None:
                    continue
                packet.time_base = Fraction(1, self.fps)
                packet.pts = self.frames + int(clip.ranks[index])
                packet.dts = self.frames + index - self._delay
                packet.duration = 1
                packet.stream = self._stream
                self._file.mux(packet)
                index += 1
        start = self.frames + clip.leading
        self.frames += index
        return Segment(start_s=start / self.fps, end_s=(start + rows) / self.fps, is_copied=True)

    def encode(self, frames: Iterator[NDArray[np.uint8]]) -> Segment:
        """Encode frames uint8 [height, width, 3] as H.264; odd sides lose their last row or column."""
        if self._stream is not None:
            raise ExportError(f"{self.path}: encoded frames need their own file")
        count = 0
        for frame in frames:
            height, width = (side - side % 2 for side in frame.shape[:2])
            if self._stream is None:
                self._stream = self._encoder(height, width)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            picture.pts, picture.time_base = count, Fraction(1, self.fps)
            self._file.mux(self._stream.encode(picture))
            count += 1
        if self._stream is None:
            raise ExportError(f"{self.path}: no frames")
        self._file.mux(self._stream.encode())
        self.frames = count
        return Segment(start_s=0.0, end_s=count / self.fps, is_copied=False)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    @property
    def num_bytes(self) -> int:
        """Size so far."""
        return self.path.stat().st_size

    def _encoder(self, height: int, width: int) -> VideoStream:
        stream = self._file.add_stream("libx264", rate=self.fps)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.time_base = Fraction(1, self.fps)
        stream.codec_context.gop_size = GROUP_OF_PICTURES
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "crf": str(CRF), "bf": "0", "sc_threshold": "0"}
        return stream
