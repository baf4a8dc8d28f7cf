"""An episode (or what a robot has sensed so far) prepared for encoding: tracks, relations, commands, texts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from counterpoint.core.clock import seconds_to_ns
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import EmbodimentError, StreamError, unknown_name
from counterpoint.core.stream import Stream
from counterpoint.data.encoding.acting import ActingTrack, acting_track
from counterpoint.data.encoding.relation import OBJECT_PREFIX, Relation, relations_of
from counterpoint.data.encoding.statistics import ChannelStatistics, RobotStatistics, object_statistics
from counterpoint.data.encoding.tracks import Arrivals, Track, arrivals_of, layout_of
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.store.views.pictures import CameraPictures, pictures_of_stream

PROPRIOCEPTION, ACTION, INSTRUCTION = "proprioception", "action", "instruction"
NO_PICTURES: Mapping[str, CameraPictures] = MappingProxyType({})

_LOG = logging.getLogger(__name__)
_warned: set[tuple[str, str]] = set()


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTrack:
    """A camera with its arrivals."""

    name: str
    arrivals: Arrivals
    pictures: CameraPictures


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedEpisode:
    """Streams of one robot, ready for encoding at any decision; holds views, not copies, of the samples."""

    embodiment: Embodiment
    robot: RobotStatistics
    tracks: tuple[Track, ...]
    """Vector streams in order of name."""
    proprioception: int
    """Place of proprioception among the tracks."""
    relations: tuple[Relation, ...]
    acting: ActingTrack
    instruction: Arrivals | None
    instructions: tuple[str, ...]
    images: tuple[ImageTrack, ...] = ()

    def bounds_ns(self, config: WindowConfig) -> tuple[int, int]:
        """Return the first and last time a training decision may be at: something measured, something commanded.

        Raises:
            StreamError: the episode has no commands.
        """
        if self.acting.arrivals is None:
            raise StreamError(f"stream 'action' of robot {self.embodiment.name!r} is empty; there is nothing to learn")
        measured_ns = int(self.tracks[self.proprioception].arrivals.sorted_arrival_ns[0])
        command_ns = self.acting.arrivals.capture_ns
        low_ns = max(measured_ns + seconds_to_ns(config.latency_jitter_s), int(command_ns[0]))
        return low_ns, max(low_ns, int(command_ns[-1]))


def prepare_episode(
    config: WindowConfig,
    robot: RobotStatistics,
    embodiment: Embodiment,
    streams: dict[str, Stream],
    pictures: Mapping[str, CameraPictures] = NO_PICTURES,
) -> PreparedEpisode:
    """Prepare streams once for many windows; `pictures` are cameras that are not among the streams.

    Raises:
        UnknownNameError: there is no proprioception.
        EmbodimentError: the robot has other acting channels than in the fit.
        StreamError: proprioception is empty, or channels are not those of the fit.
    """
    if embodiment.acting_names != robot.acting.names:
        raise EmbodimentError(
            f"robot {embodiment.name!r}: expected the acting channels of the fit, {', '.join(robot.acting.names)}; got "
            f"{', '.join(embodiment.acting_names)}. Give the changed robot another name and adapt to it"
        )
    if PROPRIOCEPTION not in streams:
        hint = f"(robot {embodiment.name!r} needs it: actions are relative to it)"
        raise unknown_name("stream", PROPRIOCEPTION, streams, hint=hint)
    if not len(streams[PROPRIOCEPTION]):
        raise StreamError(f"stream {PROPRIOCEPTION!r} of robot {embodiment.name!r} is empty; expected measurements")
    tracks = tuple(
        track for name in sorted(streams) if (track := _track(streams[name], embodiment.name, robot)) is not None
    )
    instruction = streams.get(INSTRUCTION)
    return PreparedEpisode(
        embodiment=embodiment,
        robot=robot,
        tracks=tracks,
        proprioception=[track.name for track in tracks].index(PROPRIOCEPTION),
        relations=relations_of(tracks),
        acting=acting_track(embodiment, streams.get(ACTION), streams[PROPRIOCEPTION].spec.channel_names),
        instruction=arrivals_of(instruction.capture_ns, instruction.arrival_ns) if instruction is not None else None,
        instructions=tuple(str(text) for text in instruction.values) if instruction is not None else (),
        images=tuple(
            _image_track(name, pictures[name] if name in pictures else _pictures(streams[name]))
            for name in config.cameras
            if name in pictures or name in streams
        ),
    )


def _track(stream: Stream, robot_name: str, robot: RobotStatistics) -> Track | None:
    """Return the track of a vector stream; None for other kinds, for commands, and for streams without a fit."""
    name = stream.spec.name
    if stream.spec.kind != "vector" or name == ACTION:
        return None
    if name.startswith(OBJECT_PREFIX):
        statistics = object_statistics(stream.spec.channels, robot.workspace_centre)
    elif name in robot.sensing:
        statistics = robot.sensing[name]
    else:
        _warn_once(robot_name, name)
        return None
    _check_channels(stream, robot_name, statistics)
    return Track(
        name=name,
        layout=layout_of(stream.spec.channels),
        arrivals=arrivals_of(stream.capture_ns, stream.arrival_ns),
        values=np.asarray(stream.values, dtype=np.float32),
        mean=statistics.mean,
        inverse_std=np.reciprocal(statistics.std),
    )


def _check_channels(stream: Stream, robot_name: str, statistics: ChannelStatistics) -> None:
    if stream.spec.channel_names != statistics.names:
        raise StreamError(
            f"stream {stream.spec.name!r} of robot {robot_name!r}: expected the channels of the fit, "
            f"{', '.join(statistics.names)}; got {', '.join(stream.spec.channel_names)}"
        )


def _pictures(stream: Stream) -> CameraPictures:
    if stream.spec.kind != "image":
        raise StreamError(f"stream {stream.spec.name!r}: named in window.cameras but of kind {stream.spec.kind}")
    return pictures_of_stream(stream)


def _image_track(name: str, pictures: CameraPictures) -> ImageTrack:
    return ImageTrack(name=name, arrivals=arrivals_of(pictures.capture_ns, pictures.arrival_ns), pictures=pictures)


def _warn_once(robot_name: str, stream_name: str) -> None:
    if (robot_name, stream_name) not in _warned:
        _warned.add((robot_name, stream_name))
        _LOG.warning("robot %r: stream %r was not in the fit and is not encoded", robot_name, stream_name)
