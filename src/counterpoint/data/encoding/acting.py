"""The acting side of a window: knots of the logged action, and the base that joint targets are relative to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Channel, Embodiment
from counterpoint.core.errors import StreamError
from counterpoint.core.stream import Stream
from counterpoint.data.encoding.statistics import ActingStatistics
from counterpoint.data.encoding.tracks import CLIP, Arrivals, Layout, arrivals_of, layout_of

Float = NDArray[np.float32]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class ActingTrack:
    """A robot's executed commands, ready for asking for knots; empty where nothing was commanded yet."""

    embodiment: Embodiment
    layout: Layout
    past_layout: Layout
    """Layout of past-action tokens."""
    arrivals: Arrivals | None
    values: Float
    """[samples, channels], physical units."""
    relative: Bool
    """[channels], True for joint positions: they act relative to a base."""
    measured: Int
    """[channels], column of the same name in proprioception, -1 for none."""


def acting_track(embodiment: Embodiment, action: Stream | None, measured_names: tuple[str, ...]) -> ActingTrack:
    """Prepare the stream `action` (None: nothing was commanded yet).

    Raises:
        StreamError: its channels are not the robot's acting channels.
    """
    if action is not None and action.spec.channel_names != embodiment.acting_names:
        raise StreamError(
            f"stream 'action': expected the acting channels of robot {embodiment.name!r}, "
            f"{', '.join(embodiment.acting_names)}; got {', '.join(action.spec.channel_names)}"
        )
    columns = {name: i for i, name in enumerate(measured_names)}
    return ActingTrack(
        embodiment=embodiment,
        layout=layout_of(embodiment.acting),
        past_layout=layout_of(tuple(_past(channel) for channel in embodiment.acting)),
        arrivals=arrivals_of(action.capture_ns, action.arrival_ns) if action is not None and len(action) else None,
        values=_values(action, len(embodiment.acting)),
        relative=np.array([channel.quantity == "joint_position" for channel in embodiment.acting]),
        measured=np.array([columns.get(name, -1) for name in embodiment.acting_names], dtype=np.int64),
    )


def knots(track: ActingTrack, decision_ns: Int, knot_offset_ns: Int) -> tuple[Float, Bool]:
    """Return the logged action at the knots, interpolated linearly and held at the ends.

    Returns:
        values float32 [n, knots, channels] in physical units, and valid bool [n, knots], False after the
        last action.
    """
    assert track.arrivals is not None
    time_ns = track.arrivals.capture_ns
    wanted = (decision_ns[:, None] + knot_offset_ns).ravel()
    shape = (len(decision_ns), len(knot_offset_ns))
    valid = (wanted <= time_ns[-1]).reshape(shape)
    if len(time_ns) == 1:
        return np.broadcast_to(track.values[0], (*shape, track.values.shape[1])).copy(), valid
    right = np.minimum(np.maximum(time_ns.searchsorted(wanted), 1), len(time_ns) - 1)
    left = right - 1
    before = time_ns[left]
    span = np.maximum(time_ns[right] - before, 1)
    weight = ((wanted - before) / span).clip(0.0, 1.0).astype(np.float32)[:, None]
    start = track.values[left]
    values = start + weight * (track.values[right] - start)
    return values.reshape(*shape, -1), valid


def newest_action(track: ActingTrack, time_ns: Int) -> tuple[Float, Bool]:
    """Return the newest command executed before each time, float32 [n, channels], and whether there was one.

    Strictly before: what is decided at `time_ns` is not known at `time_ns`.
    """
    if track.arrivals is None:
        return np.zeros((len(time_ns), track.values.shape[1]), np.float32), np.zeros(len(time_ns), np.bool_)
    rows = track.arrivals.newest_before(time_ns)
    return track.values[rows], np.asarray(rows >= 0)


def base_at(track: ActingTrack, measured: Float, time_ns: Int) -> Float:
    """Return what actions decided at `time_ns` are relative to, float32 [n, channels], physical units.

    `measured` float32 [n, proprioception channels] are the newest arrived measurements. Joint positions:
    the measured position, else the newest command, else 0. Other channels: 0.
    """
    base = measured[:, track.measured]
    if (track.measured < 0).any():
        command, known = newest_action(track, time_ns)
        base = np.where(track.measured >= 0, base, np.where(known[:, None], command, np.float32(0)))
    base *= track.relative
    return base


def start_at(track: ActingTrack, measured: Float, time_ns: Int, acting: ActingStatistics) -> Float:
    """Return what the robot is commanded at `time_ns`, float32 [n, channels], physical units.

    The newest command, else the measured value of the same name, else the centre of the fit.
    """
    command, known = newest_action(track, time_ns)
    idle = np.where(track.measured >= 0, measured[:, track.measured], acting.centre[0])
    return np.where(known[:, None], command, idle)


def normalise(values: Float, base: Float, acting: ActingStatistics) -> Float:
    """Return knots [n, knots, channels] in physical units as clipped normalised values of the same shape."""
    out = values - base[:, None, :]
    out -= acting.centre
    out /= acting.scale
    return out.clip(-CLIP, CLIP, out=out)


def denormalise(values: Float, base: Float, acting: ActingStatistics) -> Float:
    """Invert `normalise`: [..., knots, channels] with base [..., channels] to physical units."""
    return np.asarray(values * acting.scale + acting.centre + base[..., None, :], dtype=np.float32)


def _values(action: Stream | None, num_channels: int) -> Float:
    if action is None:
        return np.zeros((0, num_channels), dtype=np.float32)
    return np.asarray(action.values, dtype=np.float32)


def _past(channel: Channel) -> Channel:
    """A past command must not look like a measurement: other quantity, same place in the body."""
    quantity = channel.quantity
    return replace(channel, quantity="relative_position" if quantity == "joint_position" else "unknown")
