"""The cameras of an episode for training: small pictures of the video view where it has them, else the masters.

Either way a picture keeps its own capture and arrival times. The view has fewer pictures (five a second in its
usual preset), so that the newest one that had arrived at a decision may be a little older than the camera's own.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import UnknownNameError
from counterpoint.data.encoding.episode import ImageTrack
from counterpoint.data.encoding.tracks import arrivals_of
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.source import EpisodeSource, FrameSource
from counterpoint.data.episodes.window_source import VideoView
from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.views.gops import CodedStream
from counterpoint.store.views.video_view import decode_pictures

_LOG = logging.getLogger(__name__)
_told: set[tuple[str, str]] = set()


@runtime_checkable
class ViewSource(Protocol):
    """A source with a video training view, as a store is."""

    @property
    def root(self) -> Path:
        """Folder of the store."""
        ...

    def info(self, episode_id: str) -> EpisodeInfo:
        """Return what is known of an episode; raises UnknownNameError."""
        ...

    def video_view(self, preset: str) -> VideoView:
        """Return the view in that preset, however much of it is built."""
        ...


def camera_tracks(config: WindowConfig, source: EpisodeSource, episode_id: str, view: str) -> list[ImageTrack]:
    """Return the wanted cameras of an episode, decoded on demand; an episode without a camera is used without it.

    `view` is a preset of the video view, empty for the masters. Where a camera is not in the view its master is
    decoded, and the log says so once a store. Sources in memory have their pictures among their streams.

    Raises:
        StoreError: the episode is damaged, or has masters only where they cannot be read.
    """
    tracks = []
    for name in config.cameras:
        track = _of_view(source, episode_id, name, view) if view and isinstance(source, ViewSource) else None
        track = track or _of_master(source, episode_id, name)
        if track is not None:
            tracks.append(track)
    return tracks


def _of_view(source: ViewSource, episode_id: str, name: str, preset: str) -> ImageTrack | None:
    info = source.info(episode_id)
    stream = info.stream(name)
    if stream is None or stream.kind != "image" or not stream.samples:
        return None
    view = source.video_view(preset)
    if not view.has(info.content_sha256, name):
        _tell_once(source.root, preset, episode_id, name)
        return None
    coded = view.stream(info.content_sha256, name)
    return ImageTrack(
        name=name, arrivals=arrivals_of(coded.capture_ns, coded.arrival_ns), frames=partial(_decoded, coded)
    )


def _of_master(source: EpisodeSource, episode_id: str, name: str) -> ImageTrack | None:
    if not isinstance(source, FrameSource):
        return None
    if isinstance(source, ViewSource) and source.info(episode_id).stream(name) is None:
        return None
    try:
        times = source.frame_times(episode_id, name)
    except UnknownNameError:
        return None
    return ImageTrack(name=name, arrivals=arrivals_of(*times), frames=partial(source.frames, episode_id, name))


def _decoded(coded: CodedStream, samples: NDArray[np.int64]) -> NDArray[np.uint8]:
    return decode_pictures(coded, samples, "rgb")


def _tell_once(root: Path, preset: str, episode_id: str, name: str) -> None:
    key = str(root), preset
    if key not in _told:
        _told.add(key)
        _LOG.warning(
            "%s: %r of episode %r is not in the video view %r: such cameras are decoded from the masters, many times "
            "slower; build the view with: counterpoint prepare %s",
            root,
            name,
            episode_id,
            preset,
            root,
        )
