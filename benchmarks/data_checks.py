"""Speed of the quality checks: robot hours checked in a core-hour, each check alone and all together.

    python benchmarks/data_checks.py [--repeats 3] [--seconds 3 30 300]

Episodes have proprioception (14 x 100 Hz), tool pose (3 x 100 Hz), force (3 x 100 Hz) and action (7 x 25 Hz).
Pictures are of one camera in the video view, 5 Hz, 168 x 224, decoding included. CPU seconds of one process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from counterpoint.catalog.quality import Thresholds, check_pictures, check_quality
from counterpoint.catalog.quality.episode import ALL_STREAMS, ONE_STREAM
from counterpoint.catalog.quality.run import track_of
from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, Quantity, StreamSpec, Unit
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import Stream, vector_stream
from counterpoint.engine import open_engine
from counterpoint.store import Store, StoreWriter, ViewFrames, build_low_view, build_video_view

JOINTS = 7
CAMERA = StreamSpec(name="camera/front", kind="image", height=168, width=224, rate_hz=5.0)
FILM_S = 120


def channels(prefix: str, count: int, quantity: Quantity, unit: Unit) -> tuple[Channel, ...]:
    """Return channels of an arm, joints with limits."""
    return tuple(
        Channel(name=f"{prefix}{i}", quantity=quantity, unit=unit, lower=-3.0, upper=3.0, part="arm")
        for i in range(count)
    )


POSITIONS = channels("joint_", JOINTS, "joint_position", "rad")
STATE = StreamSpec(
    name="proprioception",
    channels=(*POSITIONS, *channels("speed_", JOINTS, "joint_velocity", "rad/s")),
    rate_hz=100.0,
)
TOOL = StreamSpec(name="tool_pose", channels=channels("xyz_", 3, "position", "m"), rate_hz=100.0)
FORCE = StreamSpec(name="wrist_force", channels=channels("force_", 3, "force", "N"), rate_hz=100.0)
ROBOT = Embodiment(name="bench", sensing=(STATE, TOOL, FORCE), acting=POSITIONS, control_rate_hz=25.0)


def make_streams(seed: int, seconds: float) -> dict[str, Stream]:
    """Return smooth motion with sensor noise and jittered arrivals."""
    rng = np.random.default_rng(seed)
    rate, phase = rng.uniform(0.5, 3.0, (4, JOINTS)), rng.uniform(0, 6.28, (4, JOINTS))
    times, told = periodic_ns(0, 100.0, int(100 * seconds)), periodic_ns(0, 25.0, int(25 * seconds))
    joints = 0.2 * np.sin(times[:, None, None] / 1e9 * rate + phase).sum(axis=1)
    commands = 0.2 * np.sin((told[:, None, None] / 1e9 + 0.08) * rate + phase).sum(axis=1)
    speeds = np.gradient(joints, 0.01, axis=0)
    tool = np.sin(joints @ rng.normal(size=(JOINTS, 3)))
    arrival = times + rng.integers(1_000_000, 5_000_000, len(times))
    made = [
        (STATE, np.concatenate([joints, speeds], axis=1)),
        (TOOL, tool),
        (FORCE, rng.normal(size=(len(times), 3))),
    ]
    streams = [
        vector_stream(spec, times, values + 5e-4 * rng.normal(size=values.shape), arrival_ns=arrival)
        for spec, values in made
    ]
    streams.append(vector_stream(ROBOT.action_spec, told, commands))
    return {stream.spec.name: stream for stream in streams}


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the least CPU seconds of several calls."""
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


def check_costs(seconds: float, repeats: int) -> dict[str, float]:
    """Return CPU seconds for an hour of episodes so long, by check."""
    count = max(1, round(300 / seconds))
    episodes = [make_streams(seed, seconds) for seed in range(count)]
    limits, hours = Thresholds(), count * seconds / 3600
    costs = {}
    for names, check in ONE_STREAM.items():
        work = lambda check=check: [check(s, limits) for each in episodes for s in each.values()]  # noqa: E731
        costs["+".join(names)] = cpu_seconds(work, repeats) / hours
    for names, check_all in ALL_STREAMS.items():
        work = lambda check=check_all: [check(each, limits) for each in episodes]  # noqa: E731
        costs["+".join(names)] = cpu_seconds(work, repeats) / hours
    return costs


def store_costs(root: Path, seconds: float) -> float:
    """Return CPU seconds for an hour through `check_quality`, reading and saving included."""
    count = max(1, round(1800 / seconds))
    provenance = Provenance(robot="bench", task="wave", source="simulation")
    with StoreWriter(root) as writer:
        for index in range(count):
            streams = make_streams(index, seconds)
            writer.add(Episode(episode_id=f"bench-{index}", embodiment=ROBOT, provenance=provenance, streams=streams))
    store = Store.open(root)
    build_low_view(store)
    spent = cpu_seconds(lambda: check_quality(store, engine=open_engine(workers=1)), 1)
    return spent / (count * seconds / 3600)


def picture_costs(root: Path) -> float:
    """Return CPU seconds for an hour of one camera."""
    rng = np.random.default_rng(0)
    times = periodic_ns(0, 5.0, 5 * FILM_S)
    room = rng.integers(60, 200, (168 // 4, 224 // 4, 3)).repeat(4, axis=0).repeat(4, axis=1)
    frames = np.stack([np.roll(room, (index // 2, index), (0, 1)) for index in range(len(times))]).astype(np.uint8)
    camera = Stream(spec=CAMERA, capture_ns=times, arrival_ns=times, values=frames)
    streams = {**make_streams(0, FILM_S), CAMERA.name: camera}
    provenance = Provenance(robot="bench", task="wave", source="simulation")
    with StoreWriter(root) as writer:
        writer.add(Episode(episode_id="film", embodiment=ROBOT, provenance=provenance, streams=streams))
    store = Store.open(root)
    build_video_view(store, engine=open_engine(workers=1))
    view, content, low = ViewFrames(root), store.info("film").content_sha256, store.low("film")
    limits = Thresholds()
    spent = cpu_seconds(lambda: check_pictures([track_of(view, content, CAMERA.name)], low, limits), 3)
    return spent / (FILM_S / 3600)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Print cost by check and return hours a core-hour by name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, nargs="+", default=[3.0, 30.0, 300.0], help="lengths of episodes")
    options = parser.parse_args(arguments)
    rates: dict[str, float] = {}
    costs = {seconds: check_costs(seconds, options.repeats) for seconds in options.seconds}
    print("CPU seconds for an hour of data, by length of the episodes:")
    print(f"  {'':30}" + "".join(f"{seconds:>9g} s" for seconds in costs))
    for name in next(iter(costs.values())):
        print(f"  {name:30}" + "".join(f"{each[name]:11.3f}" for each in costs.values()))
    for seconds, each in costs.items():
        rates[f"numbers, {seconds:g} s episodes"] = 3600 / sum(each.values())
    with tempfile.TemporaryDirectory() as folder:
        rates["numbers, 30 s episodes, from a store"] = 3600 / store_costs(Path(folder) / "low", 30.0)
        rates["pictures of one camera"] = 3600 / picture_costs(Path(folder) / "film")
    for name, rate in rates.items():
        print(f"{name}: {rate:.0f} hours a core-hour")
    return rates


if __name__ == "__main__":
    main()
