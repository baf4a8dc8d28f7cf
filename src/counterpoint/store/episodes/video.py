"""Encoded video: simulated frames are encoded once; recorded video is copied and never re-encoded.

The store never trusts a container's clock: sample k of an image stream has its capture and arrival
time in `streams.parquet`, and beside them the presentation time (`pts`) of its frame in the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import StoreError
from counterpoint.core.stream import TimeSource

GROUP_OF_PICTURES = 10
TIME_BASE = Fraction(1, 1000)
MIN_SIDE = 16
"""Smallest side given to the encoder; smaller frames are padded and cropped again on reading."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedVideo:
    """An image stream that is already encoded and is stored unchanged; made by `copy_video`."""

    spec: StreamSpec
    data: bytes
    """An mp4."""
    pts: NDArray[np.int64]
    """[samples], presentation time of each sample's frame in `data`."""
    capture_ns: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    time_source: TimeSource = "measured"


def encode_frames(frames: NDArray[np.uint8], *, crf: int = 23) -> tuple[bytes, NDArray[np.int64]]:
    """Encode uint8 [samples, height, width, 3] as H.264 in mp4; return bytes and pts int64 [samples].

    A key frame every GROUP_OF_PICTURES, no B-frames, no extra key frames at scene cuts: any frame is
    decoded after at most nine others.
    """
    sink = io.BytesIO()
    height, width = frames.shape[1:3]
    coded = [max(MIN_SIDE, side + side % 2) for side in (height, width)]
    padding = ((0, coded[0] - height), (0, coded[1] - width), (0, 0))
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = coded
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        stream.codec_context.gop_size = GROUP_OF_PICTURES
        stream.codec_context.thread_count = 1
        stream.options = {
            "preset": "veryfast",
            "tune": "fastdecode",
            "crf": str(crf),
            "bf": "0",
            "sc_threshold": "0",
        }
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.pad(frame, padding, mode="edge"), format="rgb24")
            picture.pts, picture.time_base = index * 40, TIME_BASE
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    data = sink.getvalue()
    return data, list_pts(io.BytesIO(data))


def pack_pictures(
    pictures: Sequence[bytes], codec: Literal["mjpeg", "png"], height: int, width: int
) -> tuple[bytes, NDArray[np.int64]]:
    """Pack JPEG or PNG pictures of a log into one mp4, byte for byte; return the mp4 and its pts.

    Raises:
        StoreError: the container cannot hold them.
    """
    sink = io.BytesIO()
    try:
        with av.open(sink, "w", format="mp4") as container:
            stream = container.add_mux_stream(codec, rate=25, width=width, height=height, time_base=TIME_BASE)
            for index, picture in enumerate(pictures):
                packet = av.Packet(picture)
                packet.pts = packet.dts = index * 40
                packet.time_base, packet.stream, packet.is_keyframe = TIME_BASE, stream, True
                container.mux(packet)
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise StoreError(f"{len(pictures)} {codec} pictures of {height}x{width} do not fit an mp4: {error}") from error
    data = sink.getvalue()
    return data, list_pts(io.BytesIO(data))


def list_pts(source: Path | io.BytesIO) -> NDArray[np.int64]:
    """Return the pts of all frames in presentation order, without decoding.

    Raises:
        StoreError: not a readable mp4 with a video stream.
    """
    if isinstance(source, Path) and source.is_file():
        status = source.stat()
        return _file_pts(source, status.st_size, status.st_mtime_ns)
    return _demuxed_pts(source)


def copy_video(path: Path, count: int, start_s: float | None = None) -> tuple[bytes, NDArray[np.int64]]:
    """Return an mp4 with the first `count` frames at or after `start_s`, never re-encoded, and their pts.

    Without `start_s` the whole file is returned, byte for byte.

    Raises:
        StoreError: unreadable, or fewer frames than that.
    """
    if start_s is not None:
        return cut_video(path, start_s, count)
    pts = list_pts(path)
    if len(pts) < count:
        raise StoreError(f"{path}: expected {count} frames, got {len(pts)}: the video is shorter than its table")
    return path.read_bytes(), pts[:count]


def cut_video(path: Path, start_s: float, count: int) -> tuple[bytes, NDArray[np.int64]]:
    """Cut `count` frames from `start_s` out of an mp4 by copying packets from the key frame before.

    Returns the new mp4 and the pts of the wanted frames in it; frames between the key frame and the
    wanted ones stay in the file, unmapped.
    """
    sink = io.BytesIO()
    with opened(path) as (source, stream):
        all_pts = list_pts(path)
        base = stream.time_base or TIME_BASE
        wanted = all_pts[all_pts >= (start_s - _half_frame(all_pts, base)) / base][:count]
        if len(wanted) < count:
            raise StoreError(f"{path}: expected {count} frames from {start_s:.3f} s on, got {len(wanted)}")
        source.seek(int(wanted[0]), stream=stream, backward=True)
        kept = _copy_packets(source, stream, sink, set(wanted.tolist()))
    data = sink.getvalue()
    found = list_pts(io.BytesIO(data))
    if len(found) != len(kept) or not np.isin(wanted, kept).all():
        raise StoreError(f"{path}: {len(found)} of {len(kept)} frames can be cut out; its packets are damaged")
    return data, found[np.searchsorted(np.sort(np.asarray(kept, dtype=np.int64)), wanted)]


def decode_frames(source: Path, pts: NDArray[np.int64], height: int, width: int) -> NDArray[np.uint8]:
    """Decode the frames at `pts` (sorted), uint8 [samples, height, width, 3], cropping any padding.

    Raises:
        StoreError: unreadable, or a frame is missing.
    """
    frames = np.empty((len(pts), height, width, 3), np.uint8)
    if not len(pts):
        return frames
    rows = {int(value): row for row, value in enumerate(pts)}
    with opened(source) as (container, stream):
        stream.thread_count = 1
        container.seek(int(pts[0]), stream=stream, backward=True)
        for picture in container.decode(stream):
            if picture.pts is None or (row := rows.pop(int(picture.pts), None)) is None:
                continue
            frames[row] = picture.to_ndarray(format="rgb24")[:height, :width]
            if not rows:
                return frames
    raise StoreError(f"{source}: {len(rows)} of {len(pts)} frames are missing")


def video_size(path: Path) -> tuple[int, int, str]:
    """Return (height, width, codec: `h264`, `av1`, `mjpeg`, ...) of an mp4 without decoding; raises StoreError."""
    with opened(path) as (_, stream):
        return stream.height, stream.width, stream.codec_context.codec.canonical_name


@contextmanager
def opened(source: Path | io.BytesIO) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open an mp4 (no other format, so that no playlist can point elsewhere) and its video stream."""
    name = source if isinstance(source, Path) else "video"
    try:
        target = source if isinstance(source, io.BytesIO) else str(source)
        with av.open(target, mode="r", format="mp4", metadata_errors="replace") as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise StoreError(f"{name}: no video stream of a known codec")
            yield container, container.streams.video[0]
    except StoreError:
        raise
    except (av.error.FFmpegError, OSError, EOFError, ValueError, ArithmeticError, MemoryError) as error:
        raise StoreError(f"{name}: not a readable mp4 video ({error})") from error


@lru_cache(maxsize=16)
def _file_pts(path: Path, size: int, changed_ns: int) -> NDArray[np.int64]:
    """Cached, because many episodes share one file in LeRobot v3.0."""
    pts = _demuxed_pts(path)
    pts.flags.writeable = False
    return pts


def _demuxed_pts(source: Path | io.BytesIO) -> NDArray[np.int64]:
    with opened(source) as (container, stream):
        found = [packet.pts for packet in container.demux(stream) if packet.pts is not None and packet.size]
    return np.sort(np.asarray(found, dtype=np.int64))


def frames_between(path: Path, start_s: float, end_s: float) -> int:
    """Return how many frames of an mp4 lie in [start_s, end_s), give or take half a frame at the ends.

    Raises:
        StoreError: not a readable mp4 with a video stream.
    """
    pts = list_pts(path)
    with opened(path) as (_, stream):
        base = stream.time_base or TIME_BASE
    half = _half_frame(pts, base)
    first, last = np.searchsorted(pts, [(start_s - half) / base, (end_s - half) / base])
    return int(last - first)


def _half_frame(pts: NDArray[np.int64], base: Fraction) -> float:
    return float(np.median(np.diff(pts)) * base) / 2 if len(pts) > 1 else 0.0


def _copy_packets(source: InputContainer, stream: VideoStream, sink: io.BytesIO, wanted: set[int]) -> list[int]:
    """Copy packets in decoding order until every wanted pts is there; return the pts copied."""
    kept: list[int] = []
    with av.open(sink, "w", format="mp4") as container:
        copy = container.add_stream_from_template(stream, opaque=True)
        offset: int | None = None
        for packet in source.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            kept.append(int(packet.pts))
            wanted.discard(int(packet.pts))
            offset = int(packet.dts) if offset is None else offset
            packet.dts, packet.pts = packet.dts - offset, packet.pts - offset
            packet.stream = copy
            container.mux(packet)
            if not wanted:
                break
    return kept
