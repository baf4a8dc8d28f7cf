"""Clean episodes that the checks must not flag: simulated ones, smooth synthetic ones, recordings of a real robot.

What simulated trackers of objects leave out is left out here: they drop samples on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, StreamSpec
from counterpoint.core.stream import Stream, vector_stream

Streams = dict[str, Stream]
Float = NDArray[np.float64]

SIMULATED = (("ur5e", "lift"), ("panda", "reach"), ("iiwa14", "push"), ("humanoid_upper", "reach"), ("ur5e", "track"))
LAG_NS = 80_000_000
RATE_HZ = 100.0


def joints(count: int) -> tuple[Channel, ...]:
    return tuple(
        Channel(name=f"joint_{i + 1}", quantity="joint_position", unit="rad", lower=-3.0, upper=3.0, part="arm")
        for i in range(count)
    )


TOOL = tuple(Channel(name=name, quantity="position", unit="m", part="tool") for name in "xyz")
STATE_SPEC = StreamSpec(name="proprioception", channels=joints(7), rate_hz=RATE_HZ)
TOOL_SPEC = StreamSpec(name="tool_pose", channels=TOOL, rate_hz=RATE_HZ)
ACTION_SPEC = StreamSpec(name="action", channels=joints(7), rate_hz=25.0)


def simulated(seed: int) -> Streams:
    from counterpoint.robots.library import load_robot
    from counterpoint.sim.demonstrate import Demonstrations, demonstrate
    from counterpoint.sim.tasks import load_task

    robot, task = SIMULATED[seed % len(SIMULATED)]
    series = Demonstrations(robot=load_robot(robot), task=load_task(task), seed=7)
    episode = demonstrate(series, seed).episode
    return {name: stream for name, stream in episode.streams.items() if not name.startswith("object")}


def synthetic(seed: int, *, seconds: float = 30.0) -> Streams:
    """Seven joints that never rest all at once, with noise of encoders, jittered arrivals and half a percent lost."""
    rng = np.random.default_rng(seed)
    amplitude, rate = rng.uniform(0.05, 0.25, (5, 7)), rng.uniform(0.5, 4.0, (5, 7))
    phase, centre = rng.uniform(0, 2 * np.pi, (5, 7)), rng.uniform(-1, 1, 7)

    def path(times_ns: NDArray[np.int64]) -> Float:
        angle = rate * times_ns[:, None, None] / 1e9 + phase
        return np.asarray(centre + (amplitude * np.sin(angle)).sum(axis=1))

    times = periodic_ns(0, RATE_HZ, int(RATE_HZ * seconds))
    times = times[rng.random(len(times)) > 0.005]
    told = periodic_ns(0, 25.0, int(25.0 * seconds))
    placed = periodic_ns(3_000_000, RATE_HZ, int(RATE_HZ * seconds) - 1)
    turn = rng.normal(size=(7, 3))
    tool = np.sin(path(placed)) @ turn * 0.3 + np.cos(path(placed)[:, :3]) * 0.3
    return {
        "proprioception": noisy(STATE_SPEC, times, path(times), 0.0005, rng),
        "tool_pose": noisy(TOOL_SPEC, placed, tool, 0.0003, rng),
        "action": vector_stream(ACTION_SPEC, told, path(told + LAG_NS)),
    }


def noisy(spec: StreamSpec, times: NDArray[np.int64], values: Float, noise: float, rng: np.random.Generator) -> Stream:
    arrival = times + rng.integers(1_000_000, 5_000_000, len(times))
    return vector_stream(spec, times, values + rng.normal(size=values.shape) * noise, arrival_ns=arrival)


def quantised(seed: int) -> Streams:
    """The same motion as a cheap servo reports it: 30 Hz, ticks of 0.088 degrees, times by frame number."""
    rng, smooth = np.random.default_rng(seed), synthetic(seed)
    tick = np.deg2rad(0.088)
    found = {}
    for name, spec in (("proprioception", STATE_SPEC), ("action", ACTION_SPEC)):
        source = smooth[name]
        times = periodic_ns(0, 30.0, 880)
        values = np.stack([np.interp(times, source.capture_ns, column) for column in source.values.T.astype(float)], 1)
        values = np.rint(values / tick + rng.normal(size=values.shape) * 0.2) * tick
        spec = StreamSpec(name=name, channels=spec.channels, rate_hz=30.0)
        found[name] = vector_stream(spec, times, values, time_source="nominal")
    return found


def recorded(folder: Path, store: Path) -> Iterator[Streams]:
    """Yield the recordings of the 26-joint humanoid; `store` is where they are read into."""
    from counterpoint.ingest.pipeline.run import ingest
    from counterpoint.store import Store

    if not (store / "store.json").exists():
        ingest([folder / "g1_inspire_26dof"], store, progress=False)
    opened = Store.open(store)
    for info in opened.episodes:
        yield opened.low(info.episode_id)
