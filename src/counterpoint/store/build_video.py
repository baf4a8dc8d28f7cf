"""Building the video training view from the masters: parallel, in bounded memory, resumable.

A task is a few episodes. It decodes their videos picture by picture, keeps the pictures nearest to the preset's rate,
scales and encodes them, and writes whole shards, which are then recorded (see `video_shards`). Re-running after a kill,
or with more episodes, builds only what is missing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.errors import StoreError, unknown_name
from counterpoint.engine import Engine, open_engine
from counterpoint.store.episodes.video import opened
from counterpoint.store.files.layout import episode_folder
from counterpoint.store.files.manifest import EpisodeInfo, StreamInfo
from counterpoint.store.files.mapped import locked
from counterpoint.store.reader import Store
from counterpoint.store.views.codec import DAMAGED, Encoder, Packet
from counterpoint.store.views.gops import VIEW, CodedStream, write_shard
from counterpoint.store.views.video_shards import record_left_behind, record_shards
from counterpoint.store.views.video_view import ViewFrames, nearest

logger = logging.getLogger(__name__)

SHARD_BYTES = 64 * 2**20
TASK_SECONDS = 1800.0
"""Robot time of one task, at most; two cameras at 5 Hz then fill about one shard."""
INTRA_CODECS = ("mjpeg", "png")
"""Codecs in which every picture stands alone, so that unneeded pictures are not decoded."""


@dataclass(frozen=True, kw_only=True)
class VideoPreset:
    """What the video view keeps of a camera."""

    name: str
    rate_hz: float
    """Pictures a second, chosen from the recorded ones; 0 keeps every picture."""
    longest_side: int = 224
    """Larger pictures are scaled down to it, pixels."""
    gop: int = 10
    crf: int = 23
    """x264's quality, lower is better."""


PRESETS = {
    preset.name: preset
    for preset in (
        VideoPreset(name="5hz", rate_hz=5.0),
        VideoPreset(name="10hz", rate_hz=10.0),
        VideoPreset(name="native", rate_hz=0.0, gop=2),
    )
}


@dataclass(frozen=True, kw_only=True)
class ViewReport:
    """What `build_video_view` did."""

    built: int
    """Image streams encoded now."""
    present: int
    """Image streams that were already in the view."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why an episode is missing from the view, or only partly in it: message by episode id."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    root: Path
    preset: VideoPreset
    episodes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Built:
    streams: int
    shards: tuple[str, ...]
    failed: dict[str, str]


def build_video_view(
    store: Store,
    episode_ids: Collection[str] | None = None,
    *,
    preset: str = "5hz",
    engine: Engine | None = None,
    progress: bool = False,
) -> ViewReport:
    """Add the image streams of episodes to the video view; streams already in it are skipped.

    Args:
        store: where the masters are and the view goes.
        episode_ids: which episodes; None for all.
        preset: `5hz`, `10hz` or `native`.
        engine: where the work is done; None for a process a core.
        progress: whether to show a bar.

    Raises:
        UnknownNameError: no such preset or episode. StoreError: the store cannot be written.
    """
    if preset not in PRESETS:
        raise unknown_name("video preset", preset, PRESETS)
    folder = store.root / VIEW / preset
    with locked(folder, math.inf) as is_builder:
        if not is_builder:
            raise StoreError(f"{folder}: cannot be written; is the store read-only?")
        view = ViewFrames(store.root, preset)
        record_left_behind(folder, view)
        infos = store.episodes if episode_ids is None else map(store.info, episode_ids)
        present = built = 0
        failed: dict[str, str] = {}
        missing: list[tuple[str, float]] = []
        for info in infos:
            there = [view.has(info.content_sha256, stream.name) for stream in _filmed(info)]
            present += sum(there)
            if not all(there):
                missing.append((info.episode_id, info.duration_s))
        tasks = [_Task(root=store.root, preset=PRESETS[preset], episodes=ids) for ids in _portions(missing)]
        for done in (engine or open_engine()).run(
            _build, tasks, label=f"video view {preset}", unit="task", progress=progress
        ):
            if done.result is None:
                failed |= dict.fromkeys(done.task.episodes, done.message)
            else:
                record_shards(folder, done.result.shards)
                built += done.result.streams
                failed |= done.result.failed
    for episode_id, message in failed.items():
        logger.warning("episode %r is missing from the video view, or only partly in it: %s", episode_id, message)
    return ViewReport(built=built, present=present, failed=failed)


def encode_stream(store: Store, info: EpisodeInfo, stream: StreamInfo, preset: VideoPreset) -> CodedStream:
    """Encode one image stream of an episode for the view.

    Raises:
        StoreError: the master is damaged.
    """
    capture_ns, arrival_ns = store.frame_times(info.episode_id, stream.name)
    kept = nearest_samples(capture_ns, preset.rate_hz)
    pts = store.frame_pts(info.episode_id, stream.name)[kept]
    path = episode_folder(store.root, info.episode_id) / stream.video
    encoder: Encoder | None = None
    packets: list[Packet] = []
    size = (0, 0)
    for picture in _decoded(path, pts):
        if encoder is None:
            size = _scaled(picture.height, picture.width, preset.longest_side)
            encoder = Encoder(*size, gop=preset.gop, crf=preset.crf)
        packets.extend(encoder.add(picture))
    assert encoder is not None  # a filmed stream has samples, and _decoded yields or raises
    packets.extend(encoder.finish())
    keys = np.flatnonzero([packet.is_key for packet in packets])
    if len(packets) != len(kept) or not len(keys) or keys[0] != 0:
        raise StoreError(f"{path}: expected {len(kept)} packets from the encoder, got {len(packets)}")
    return CodedStream(
        content_sha256=info.content_sha256,
        stream=stream.name,
        codec=Encoder.codec,
        extradata=encoder.extradata,
        height=size[0],
        width=size[1],
        samples=kept,
        capture_ns=capture_ns[kept],
        arrival_ns=arrival_ns[kept],
        keys=keys.astype(np.int64),
        ends=np.cumsum([len(packet.data) for packet in packets], dtype=np.int64),
        data=np.frombuffer(b"".join(packet.data for packet in packets), np.uint8),
    )


def nearest_samples(capture_ns: NDArray[np.int64], rate_hz: float) -> NDArray[np.int64]:
    """Return the samples nearest to a grid of `rate_hz` that starts at the first, each once, int64, increasing.

    Grid points in a gap, more than half a step from any sample, keep none; a rate of 0 keeps every sample, and so
    does one above the stream's own.
    """
    if not rate_hz or len(capture_ns) < 2:
        return np.arange(len(capture_ns))
    step = NS_PER_SECOND / rate_hz
    times = capture_ns - capture_ns[0]
    points = (np.arange(int(times[-1] / step + 0.1) + 1) * step).astype(np.int64)
    found = nearest(times, points)
    return np.unique(found[np.abs(times[found] - points) <= step / 2])


def _build(task: _Task) -> _Built:
    """Encode the episodes of a task into shards; return the number of streams, the shards, and the failures."""
    store = Store.open(task.root)
    view = ViewFrames(task.root, task.preset.name)
    pending: list[CodedStream] = []
    shards: list[str] = []
    streams = 0
    failed: dict[str, str] = {}
    for episode_id in task.episodes:
        info = store.info(episode_id)
        for stream in _filmed(info):
            if view.has(info.content_sha256, stream.name):
                continue
            try:
                pending.append(encode_stream(store, info, stream, task.preset))
                streams += 1
            except StoreError as error:
                failed[episode_id] = str(error)
        if sum(coded.num_bytes for coded in pending) >= SHARD_BYTES:
            shards.append(write_shard(view.folder, pending, task.preset.name))
            pending.clear()
    if pending:
        shards.append(write_shard(view.folder, pending, task.preset.name))
    return _Built(streams=streams, shards=tuple(shards), failed=failed)


def _filmed(info: EpisodeInfo) -> list[StreamInfo]:
    return [stream for stream in info.streams if stream.kind == "image" and stream.samples and stream.video]


def _portions(episodes: Sequence[tuple[str, float]]) -> Iterator[tuple[str, ...]]:
    """Cut (id, seconds) into tasks of equal work: enough of them to share, each large enough to fill a shard."""
    limit = min(TASK_SECONDS, max(60.0, sum(seconds for _, seconds in episodes) / 16))
    portion: list[str] = []
    total = 0.0
    for episode_id, seconds in episodes:
        portion.append(episode_id)
        total += seconds
        if total >= limit:
            yield tuple(portion)
            portion, total = [], 0.0
    if portion:
        yield tuple(portion)


def _decoded(path: Path, pts: NDArray[np.int64]) -> Iterator[VideoFrame]:
    """Yield the pictures at `pts` (increasing) of a master, in order; raises StoreError where one is missing."""
    wanted = set(pts.tolist())
    with opened(path) as (container, stream):
        stream.thread_count = 1
        container.seek(int(pts[0]), stream=stream, backward=True)
        skipping = stream.codec_context.name in INTRA_CODECS
        try:
            for packet in container.demux(stream):
                if skipping and packet.size and packet.pts not in wanted:
                    continue
                for picture in packet.decode():
                    if isinstance(picture, VideoFrame) and picture.pts in wanted:
                        wanted.discard(picture.pts)
                        yield picture
                if not wanted:
                    return
        except DAMAGED as error:
            raise StoreError(f"{path}: damaged video ({error})") from error
    raise StoreError(f"{path}: {len(wanted)} of {len(pts)} frames are missing")


def _scaled(height: int, width: int, longest_side: int) -> tuple[int, int]:
    """Return the size in the view: no side above the longest, even, at least 16."""
    scale = min(1.0, longest_side / max(height, width))
    even_height, even_width = (max(16, 2 * round(side * scale / 2)) for side in (height, width))
    return even_height, even_width
