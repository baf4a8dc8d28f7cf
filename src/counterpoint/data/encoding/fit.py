"""Fit a robot's normalisation from its episodes: one pass over a hash-ordered sample of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog.mixtures.statistics import StreamStatistics
from counterpoint.core.embodiment import Channel, Embodiment
from counterpoint.core.errors import StreamError, unknown_name
from counterpoint.core.seeding import generator
from counterpoint.core.stream import Stream
from counterpoint.data.encoding.acting import acting_track, base_at, knots
from counterpoint.data.encoding.episode import ACTION, PROPRIOCEPTION
from counterpoint.data.encoding.relation import OBJECT_PREFIX, position_columns
from counterpoint.data.encoding.statistics import FLOORS, ActingStatistics, ChannelStatistics, RobotStatistics
from counterpoint.data.encoding.tracks import arrivals_of
from counterpoint.data.encoding.windows import WindowConfig

Sums = NDArray[np.float64]

ROWS_PER_EPISODE = 2000
RELATIVE_FLOOR = 0.02
"""Knots that move less than this share of a channel's most moving knot are scaled by that share."""
ABSOLUTE_FLOOR = 1e-4


@dataclass(kw_only=True, eq=False)
class _RunningSums:
    """Sums of values and squares."""

    channels: tuple[Channel, ...]
    count: int = 0
    total: Sums = field(default_factory=lambda: np.zeros(()))
    square: Sums = field(default_factory=lambda: np.zeros(()))

    def add(self, values: NDArray[np.float32]) -> None:
        """Add rows [n, channels]."""
        rows = values[:: max(1, len(values) // ROWS_PER_EPISODE)].astype(np.float64)
        self.count += len(rows)
        self.total = self.total + rows.sum(axis=0)
        self.square = self.square + (rows**2).sum(axis=0)

    def statistics(self, stored: StreamStatistics | None = None) -> ChannelStatistics:
        """Return mean and floored spread: those of all training episodes where a mixture keeps them."""
        mean = self.total / self.count
        std = np.sqrt(np.maximum(self.square / self.count - mean**2, 0.0))
        if stored is not None and stored.names == tuple(channel.name for channel in self.channels):
            mean, std = stored.mean, stored.std
        floor = np.array([FLOORS[channel.quantity] for channel in self.channels])
        return ChannelStatistics(
            names=tuple(channel.name for channel in self.channels),
            mean=mean.astype(np.float32),
            std=np.maximum(std, floor).astype(np.float32),
        )


def fit_robot(
    config: WindowConfig,
    embodiment: Embodiment,
    episodes: Iterable[tuple[str, dict[str, Stream]]],
    *,
    decisions_per_episode: int,
    seed: int,
    stored: Mapping[str, StreamStatistics] | None = None,
) -> RobotStatistics:
    """Fit one robot from (episode id, streams) pairs, each read once.

    `stored` are statistics by stream that a mixture keeps: they take the place of those of the episodes given.

    Raises:
        UnknownNameError: an episode lacks proprioception or action.
        StreamError: no episode has samples of both.
    """
    sensing: dict[str, _RunningSums] = {}
    offsets: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
    for episode_id, streams in episodes:
        for required in (PROPRIOCEPTION, ACTION):
            if required not in streams:
                raise unknown_name("stream", required, streams, hint=f"(episode {episode_id} needs it)")
        for name, stream in streams.items():
            if stream.spec.kind == "vector" and name != ACTION and len(stream):
                sums = sensing.setdefault(name, _RunningSums(channels=stream.spec.channels))
                if stream.spec.channel_names != tuple(channel.name for channel in sums.channels):
                    raise StreamError(
                        f"stream {name!r} of robot {embodiment.name!r}: episode {episode_id} has other channels than "
                        "earlier ones; name such streams differently, or describe the robots as two"
                    )
                sums.add(np.asarray(stream.values, dtype=np.float32))
        rng = generator(seed, "fit", episode_id)
        if len(streams[PROPRIOCEPTION]) and len(streams[ACTION]):
            offsets.append(_offsets(config, embodiment, streams, decisions_per_episode, rng))
    if not offsets:
        raise StreamError(f"robot {embodiment.name!r}: no episode has samples of {PROPRIOCEPTION} and {ACTION}")
    objects = tuple(sorted(name for name in sensing if name.startswith(OBJECT_PREFIX)))
    return RobotStatistics(
        sensing={
            name: sensing[name].statistics((stored or {}).get(name)) for name in sorted(sensing) if name not in objects
        },
        acting=_acting_statistics(embodiment, offsets),
        workspace_centre=_workspace_centre(sensing, objects),
        objects=objects,
        num_decisions=sum(len(valid) for _, valid in offsets),
    )


def _offsets(
    config: WindowConfig,
    embodiment: Embodiment,
    streams: dict[str, Stream],
    count: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return action minus base [decisions, knots, channels] and validity [decisions, knots] at random times."""
    proprioception = streams[PROPRIOCEPTION]
    track = acting_track(embodiment, streams[ACTION], proprioception.spec.channel_names)
    assert track.arrivals is not None
    arrivals = arrivals_of(proprioception.capture_ns, proprioception.arrival_ns)
    low_ns = max(int(arrivals.sorted_arrival_ns[0]), int(track.arrivals.capture_ns[0]))
    high_ns = max(low_ns, int(track.arrivals.capture_ns[-1]))
    times = low_ns + (np.sort(rng.random(count)) * (high_ns - low_ns)).astype(np.int64)
    measured = np.asarray(proprioception.values, dtype=np.float32)[arrivals.newest_at(times)]
    values, valid = knots(track, times, config.knot_offset_ns)
    return values - base_at(track, measured, times)[:, None, :], valid


def _acting_statistics(
    embodiment: Embodiment, offsets: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]]
) -> ActingStatistics:
    """Scale joints by their RMS a knot, others by their spread over all knots."""
    values = np.concatenate([offset for offset, _ in offsets]).astype(np.float64)
    weight = np.concatenate([valid for _, valid in offsets]).astype(np.float64)[:, :, None]
    if not weight.any():
        weight = np.ones_like(weight)
    count = weight.sum(axis=0)
    square = (weight * values**2).sum(axis=0)
    rms = np.sqrt(square / np.maximum(count, 1.0))
    for knot in range(1, len(rms)):
        if not count[knot]:
            rms[knot] = rms[knot - 1]
    scale = np.maximum(np.maximum(rms, RELATIVE_FLOOR * rms.max(axis=0)), ABSOLUTE_FLOOR)
    mean = (weight * values).sum(axis=(0, 1)) / count.sum()
    std = np.sqrt(np.maximum(square.sum(axis=0) / count.sum() - mean**2, 0.0))
    centre = np.zeros_like(scale)
    for column, channel in enumerate(embodiment.acting):
        if channel.quantity != "joint_position":
            centre[:, column] = mean[column]
            scale[:, column] = max(std[column], FLOORS[channel.quantity])
    return ActingStatistics(
        names=embodiment.acting_names, centre=centre.astype(np.float32), scale=scale.astype(np.float32)
    )


def _workspace_centre(sensing: dict[str, _RunningSums], objects: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the mean tool position over arms, else the mean object position, else the origin."""
    for names in (("tool_pose",), objects):
        places = [
            (sums.total / sums.count)[columns]
            for name in names
            if (sums := sensing.get(name)) is not None
            for columns in position_columns(sums.channels).values()
            if len(columns) == 3
        ]
        if places:
            return np.asarray(np.mean(places, axis=0), dtype=np.float32)
    return np.zeros(3, dtype=np.float32)
