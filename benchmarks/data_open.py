"""Opening a store of a million episodes: `python benchmarks/data_open.py [--episodes 1000000]`.

What is real: 2,000 episodes are written as any other. What is synthetic: the rows of all other episodes are made
up, and go into the index by the code that files manifests; each has an empty file where its folder would be, so that
listing a parent costs what it costs in a store of that size. Everything is measured in fresh processes, page cache
warm. The peer is the way of datasets that keep episode metadata in Parquet, as LeRobot v3.0 does: the same rows read
into an Arrow table, and into pandas where that is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from counterpoint.core.clock import NS_PER_SECOND, periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamKind
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import vector_stream
from counterpoint.store import EpisodeInfo, Store, StoreWriter
from counterpoint.store.files.layout import episode_folder
from counterpoint.store.files.manifest import FileInfo, StreamInfo
from counterpoint.store.index.refresh import add_rows, parent_times
from counterpoint.store.index.segments import INDEX, latest_state, save_state

JOINTS = tuple(Channel(name=f"joint_{i}", quantity="joint_position", unit="rad") for i in range(6))
ROBOT = Embodiment(name="ur5e", sensing=(), acting=JOINTS, control_rate_hz=10.0)
TASKS = ("fold towel", "load dishwasher", "pick screws", "pack box", "wipe table", "knead dough", "sort mail")
SITES = 1_000
REAL_EPISODES = 2_000

MEASURE = """
import json, sys, time
def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))
def peak(): return status("VmHWM")  # ru_maxrss would be that of the parent process
def now(): return status("VmRSS")
{imports}
root, result = sys.argv[1], {{}}
before, start = now(), time.perf_counter()
{work}
result["seconds"] = time.perf_counter() - start
result["peak_growth_mb"] = peak() - before
{after}
print(json.dumps(result))
"""
LOOKUPS = """
import numpy as np, pickle
start = time.perf_counter(); store.info(store.episodes[len(store) // 3].episode_id)
result["first_lookup_ms"] = 1e3 * (time.perf_counter() - start)
chosen = np.random.default_rng(0).integers(0, len(store), 5000)
ids = [store.episodes[int(at)].episode_id for at in chosen]
start = time.perf_counter()
for each in ids: store.info(each)
result["lookup_us"] = 1e6 * (time.perf_counter() - start) / len(ids)
start = time.perf_counter(); flat = store.flat(); result["flat_ms"] = 1e3 * (time.perf_counter() - start)
start = time.perf_counter(); flat.group_by("task").aggregate([("duration_s", "sum")])
result["hours_by_task_ms"] = 1e3 * (time.perf_counter() - start)
start = time.perf_counter(); data = pickle.dumps(store)
again = pickle.loads(data); again.info(ids[0])
result["pickle_bytes"], result["unpickle_ms"] = len(data), 1e3 * (time.perf_counter() - start)
result["episodes"] = len(store)
result["peak_growth_after_all_mb"] = peak() - before
"""
AFTER_ONE = """
result["episodes"] = len(store)
start = time.perf_counter(); store.flat(); result["flat_ms"] = 1e3 * (time.perf_counter() - start)
"""


def synthetic(count: int) -> Iterator[EpisodeInfo]:
    """Yield made-up episodes with five streams and three files each."""
    rng = np.random.default_rng(0)
    kinds: tuple[tuple[str, StreamKind, str], ...] = (
        ("proprioception", "vector", ""),
        ("action", "vector", ""),
        ("instruction", "text", ""),
        ("camera/left", "image", "camera%2Fleft.mp4"),
        ("camera/right", "image", "camera%2Fright.mp4"),
    )
    specs = [hashlib.sha256(bytes([i])).hexdigest() for i in range(5)]
    streams = tuple(
        StreamInfo(name=name, kind=kind, spec_sha256=spec, samples=3000, time_source="measured", video=video)
        for (name, kind, video), spec in zip(
            kinds,
            specs,
            strict=True,
        )
    )
    for number in range(count):
        digest = hashlib.sha256(number.to_bytes(8, "little")).hexdigest()
        site, task = int(rng.integers(SITES)), TASKS[int(rng.integers(len(TASKS)))]
        start = 1_700_000_000 * NS_PER_SECOND + number * 60 * NS_PER_SECOND
        origin = Provenance(
            robot="ur5e", task=task, instruction=f"please {task} at place {number % 997}", site=f"site_{site}",
            environment="bakery", operator=f"operator_{site % 77}", licence="CC-BY-4.0",
            origin=f"site_{site}/2026/{number}.mcap", content_hash=digest, success=bool(number % 3),
        )  # fmt: skip
        files = tuple(
            FileInfo(path=path, bytes=10_000_000, sha256=digest)
            for path in ("camera%2Fleft.mp4", "camera%2Fright.mp4", "streams.parquet")
        )
        yield EpisodeInfo(
            episode_id=f"site_{site}-{digest[:16]}", embodiment="ur5e", embodiment_sha256="0" * 64, provenance=origin,
            start_ns=start, end_ns=start + int(rng.integers(5, 300)) * NS_PER_SECOND, streams=streams, files=files,
            content_sha256=digest,
        )  # fmt: skip


def real_episode(number: int) -> Episode:
    """Return a small episode."""
    times = periodic_ns(0, 10.0, 10)
    action = vector_stream(ROBOT.action_spec, times, np.full((10, 6), number, np.float32))
    origin = Provenance(robot="ur5e", task="reach")
    return Episode(episode_id=f"real-{number:06d}", embodiment=ROBOT, provenance=origin, streams={"action": action})


def make_store(root: Path, episodes: int, num_real: int) -> dict[str, float]:
    """Write a store of `num_real` real episodes whose index, and whose folders' names, tell of `episodes`."""
    with StoreWriter(root) as writer:
        for number in range(num_real):
            writer.add(real_episode(number))
    Store.open(root)
    for number in range(256):
        (root / "episodes" / f"{number:02x}").mkdir(exist_ok=True)
    start = time.perf_counter()
    state = latest_state(root / INDEX)
    assert state is not None  # Store.open saved one
    state = add_rows(root / INDEX, state, synthetic(episodes - num_real))
    filed = time.perf_counter() - start
    for info in synthetic(episodes - num_real):
        episode_folder(root, info.episode_id).touch()
    time.sleep(2.5)  # the index trusts a folder's time only after it has settled
    save_state(root / INDEX, replace(state, parents=parent_times(root)))
    segments = list((root / INDEX).glob("segment-*.arrow"))
    wanted = {segment.name for segment in state.segments}
    size = sum(path.stat().st_size for path in segments if path.name in wanted)
    return {"rows_per_s": (episodes - num_real) / filed, "segments": len(state.segments), "index_mb": size / 2**20}


def measured(root: Path, imports: str, work: str, after: str = "") -> dict[str, float]:
    """Run the measurement in a fresh process."""
    script = MEASURE.format(imports=imports, work=work, after=after)
    done = subprocess.run([sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Measure and print; return the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if absent")
    options = parser.parse_args(arguments)
    num_real = min(REAL_EPISODES, options.episodes // 2)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder) / "store"
        figures = {"making the index": make_store(root, options.episodes, num_real)}
        opening = ("from counterpoint.store import Store", "store = Store.open(root)")
        figures["open, fresh process"] = measured(root, *opening, LOOKUPS)
        with StoreWriter(root) as writer:
            writer.add(real_episode(num_real))
        figures["open after one new episode"] = measured(root, *opening, AFTER_ONE)
        table = Store.open(root).table
        with pq.ParquetWriter(root / "episodes.parquet", table.schema, compression="zstd") as parquet:
            for batch in table.to_batches():
                parquet.write_batch(batch)
        path = "path = root + '/episodes.parquet'; "
        work = f"{path}table = pq.read_table(path)"
        figures["peer: Parquet into Arrow"] = measured(root, "import pyarrow.parquet as pq", work)
        try:
            figures["peer: Parquet into pandas"] = measured(
                root, "import pandas, pyarrow.parquet as pq", f"{work}.to_pandas()"
            )
        except RuntimeError as error:
            print(f"no pandas figure: {str(error).splitlines()[-1]}")
        print(f"{options.episodes} episodes, {num_real} of them with real folders, the others rows of the index alone")
        for name, values in figures.items():
            print(f"{name}: " + ", ".join(f"{key} {value:,.4g}" for key, value in values.items()))
    return figures


if __name__ == "__main__":
    main()
