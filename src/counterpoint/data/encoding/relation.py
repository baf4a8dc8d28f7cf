"""Derived tokens `relation/<slot>`: where an object is as seen from the tools, and how it moves.

A network finds it hard to subtract two normalised inputs to a millimetre; these tokens do it in physical
units: difference / 0.3 m and tanh(difference / 0.05 m) for every arm, and the object's velocity
/ 0.1 m/s from two of its events at least 0.15 s apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Channel, Side, Vector3
from counterpoint.data.encoding.tracks import CLIP, Layout, Track, layout_of

Float = NDArray[np.float32]
Int = NDArray[np.int64]

OBJECT_PREFIX = "object/"
COARSE_M = np.float32(0.3)
FINE_M = np.float32(0.05)
VELOCITY_M_S = np.float32(0.1)
LOOK_BACK_NS = 150_000_000
AXES: tuple[Vector3, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Relation:
    """An object track and a tool track whose difference is a token."""

    object_index: int
    """Place of the object among the episode's tracks."""
    tool_index: int
    """Place of the tool poses among the episode's tracks."""
    object_columns: Int
    """[3], columns of the object's position."""
    tool_columns: Int
    """[arms, 3], columns of the tools' positions."""
    layout: Layout


def position_columns(channels: tuple[Channel, ...]) -> dict[Side, list[int]]:
    """Return the columns that hold positions, by side in order of appearance."""
    columns: dict[Side, list[int]] = {}
    for i, channel in enumerate(channels):
        if channel.quantity == "position":
            columns.setdefault(channel.side, []).append(i)
    return columns


def relations_of(tracks: tuple[Track, ...]) -> tuple[Relation, ...]:
    """Return the relations of an episode: one an object, none without tool poses."""
    names = [track.name for track in tracks]
    if "tool_pose" not in names:
        return ()
    tool_index = names.index("tool_pose")
    tools = {s: c for s, c in position_columns(tracks[tool_index].layout.channels).items() if len(c) == 3}
    relations = []
    for i, track in enumerate(tracks):
        places = [c for c in position_columns(track.layout.channels).values() if len(c) == 3]
        if track.name.startswith(OBJECT_PREFIX) and places and tools:
            slot = track.layout.channels[places[0][0]].chain_index
            relation = Relation(
                object_index=i,
                tool_index=tool_index,
                object_columns=np.array(places[0]),
                tool_columns=np.array(list(tools.values())),
                layout=layout_of(_channels(tuple(tools), slot)),
            )
            relations.append(relation)
    return tuple(relations)


def relation_values(relation: Relation, tracks: tuple[Track, ...], object_rows: Int, tool_rows: Int) -> Float:
    """Return float32 [n, arms * 6 + 3]: object minus tool, coarse xyz and fine xyz an arm; object velocity xyz."""
    places = tracks[relation.object_index].values[object_rows][:, relation.object_columns]
    tools = tracks[relation.tool_index].values[tool_rows][:, relation.tool_columns]
    difference = places[:, None, :] - tools
    coarse = np.clip(difference / COARSE_M, -CLIP, CLIP)
    both = np.concatenate([coarse, np.tanh(difference / FINE_M)], axis=2)
    velocity = _velocity(relation, tracks[relation.object_index], object_rows)
    return np.concatenate([both.reshape(len(both), -1), velocity], axis=1).astype(np.float32)


def _velocity(relation: Relation, track: Track, rows: Int) -> Float:
    """Return scaled object velocities [n, 3]; 0 where no earlier event had arrived with the newest one."""
    capture_ns, arrival_ns = track.arrivals.capture_ns, track.arrivals.arrival_ns
    earlier = capture_ns.searchsorted(capture_ns[rows] - LOOK_BACK_NS, side="right") - 1
    known = (earlier >= 0) & (arrival_ns[earlier] <= arrival_ns[rows])
    elapsed_s = np.where(known, (capture_ns[rows] - capture_ns[earlier]) * 1e-9, 1.0)[:, None]
    places = track.values[:, relation.object_columns]
    velocity = (places[rows] - places[earlier]) / (elapsed_s * VELOCITY_M_S)
    return np.clip(np.where(known[:, None], velocity, 0.0), -CLIP, CLIP).astype(np.float32)


def _channels(sides: tuple[Side, ...], slot: int) -> tuple[Channel, ...]:
    """Coarse channels have no limits, fine ones have: that is how their descriptors differ."""
    channels: list[Channel] = []
    for side in sides:
        for limit in (float("inf"), float(FINE_M)):
            kind = "coarse" if limit == float("inf") else "fine"
            channels += [
                Channel(
                    name=f"{side}/{kind}/{name}",
                    quantity="relative_position",
                    unit="m",
                    lower=-limit,
                    upper=limit,
                    part="object",
                    side=side,
                    chain_index=slot,
                    axis=axis,
                )
                for name, axis in zip("xyz", AXES, strict=True)
            ]
    channels += [
        Channel(
            name=f"velocity/{name}", quantity="linear_velocity", unit="m/s", part="object", chain_index=slot, axis=axis
        )
        for name, axis in zip("xyz", AXES, strict=True)
    ]
    return tuple(channels)
