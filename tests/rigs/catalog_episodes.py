"""Stores of small episodes whose motions, texts and places the tests choose."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.clock import NS_PER_SECOND, periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import Stream, vector_stream
from counterpoint.store import Store, StoreWriter

CAMERA = StreamSpec(name="camera/front", kind="image", height=32, width=32, rate_hz=5.0)


def robot(name: str = "arm", joints: int = 3) -> Embodiment:
    channels = tuple(Channel(name=f"joint_{i}", quantity="joint_position", unit="rad") for i in range(joints))
    sensing = (StreamSpec(name="proprioception", channels=channels, rate_hz=50.0),)
    return Embodiment(name=name, sensing=sensing, acting=channels, control_rate_hz=20.0)


def motion(seed: int, seconds: float, rate_hz: float, joints: int = 3) -> NDArray[np.float64]:
    """A smooth random walk [samples, joints], the same curve at every rate."""
    rng = np.random.default_rng(seed)
    knots = rng.normal(0, 0.6, (int(seconds) + 3, joints)).cumsum(axis=0)
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.stack([np.interp(times, np.arange(len(knots)), knots[:, joint]) for joint in range(joints)], axis=1)


def episode(
    name: str,
    *,
    seed: int = 0,
    seconds: float = 4.0,
    rate_hz: float = 50.0,
    noise: float = 0.0,
    embodiment: Embodiment | None = None,
    picture: int | None = None,
    **provenance: object,
) -> Episode:
    arm = embodiment or robot()
    joints = len(arm.acting)
    times = periodic_ns(0, rate_hz, int(seconds * rate_hz))
    values = motion(seed, seconds, rate_hz, joints)
    values = values + np.random.default_rng(seed + 1).normal(0, noise, values.shape)
    streams = [
        vector_stream(arm.sensing[0], times, values),
        vector_stream(arm.action_spec, times, values),
    ]
    if picture is not None:
        seen = periodic_ns(0, 5.0, int(5 * seconds))
        coarse = np.random.default_rng(picture).integers(0, 255, (4, 4, 1))
        frames = np.broadcast_to(np.kron(coarse, np.ones((8, 8, 3))), (len(seen), 32, 32, 3)).astype(np.uint8)
        streams.append(Stream(spec=CAMERA, capture_ns=seen, arrival_ns=seen, values=frames.copy()))
    return Episode(
        episode_id=name,
        embodiment=arm,
        provenance=Provenance(robot=arm.name, **provenance),  # type: ignore[arg-type]  # test shorthand
        streams={stream.spec.name: stream for stream in streams},
    )


def make_store(root: Path, episodes: Iterable[Episode] = ()) -> Store:
    with StoreWriter(root) as writer:
        for each in episodes:
            writer.add(each)
    return Store.open(root)


def flat_rows(count: int, seed: int = 0, **columns: list[str]) -> pa.Table:
    """A table with the columns of `Store.flat`, made up; lists are repeated."""
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(1, 100, count)
    words = {"robot": ["arm", "hand"], "task": ["lift", "push", "pour"], "site": ["a", "b", ""], "instruction": ["go"]}
    words |= {"environment": ["home"], "source": ["real", "simulation"], "operator": [""], "licence": [""]}
    words |= columns
    table: dict[str, pa.Array] = {"episode_id": pa.array([f"e{i:06d}" for i in range(count)])}
    for name, values in words.items():
        table[name] = pa.array((values * (count // len(values) + 1))[:count], pa.string())
    table["origin"] = pa.array([""] * count)
    table["content_hash"] = table["content_sha256"] = pa.array([f"{seed}-{i:06d}" for i in range(count)])
    start = 1_700_000_000 * NS_PER_SECOND + np.arange(count) * 3600 * NS_PER_SECOND
    table["success"] = pa.array(rng.random(count) < 0.5, mask=rng.random(count) < 0.2)
    table["start_ns"], table["end_ns"] = pa.array(start), pa.array(start + (seconds * 1e9).astype(np.int64))
    table["duration_s"], table["num_bytes"] = pa.array(seconds), pa.array(np.full(count, 10, np.int64))
    return pa.table(table)
