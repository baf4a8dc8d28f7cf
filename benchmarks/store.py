"""Speed of the store: episodes written, opened, and windows read, beside plain NumPy and Parquet files.

    python benchmarks/store.py [--episodes 300]

Episodes are 5 s of proprioception (20 x 100 Hz), tool pose (9 x 100 Hz), force (3 x 100 Hz), an object
(12 x 25 Hz), action (8 x 20 Hz) and an instruction; a window is all streams over 2 s. All figures are of
one process on one core, page cache warm.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns, seconds_to_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import Stream, text_stream, vector_stream
from counterpoint.store import Store, StoreWriter, build_low_view

STREAMS = {
    "proprioception": (20, 100),
    "tool_pose": (9, 100),
    "wrist_force": (3, 100),
    "object/0": (12, 25),
    "action": (8, 20),
}
SECONDS = 5.0
WINDOW_NS = seconds_to_ns(2.0)
TEXT = StreamSpec(name="instruction", kind="text")


def make_specs() -> dict[str, StreamSpec]:
    """Return the specs of the benchmark's vector streams."""
    specs = {}
    for name, (width, rate) in STREAMS.items():
        channels = tuple(Channel(name=f"c{i}", quantity="joint_position", unit="rad") for i in range(width))
        specs[name] = StreamSpec(name=name, channels=channels, rate_hz=float(rate))
    return specs


SPECS = make_specs()
ROBOT = Embodiment(
    name="bench",
    sensing=tuple(SPECS[name] for name in ("proprioception", "tool_pose", "wrist_force")),
    acting=SPECS["action"].channels,
    control_rate_hz=20.0,
)


def make_episode(index: int) -> Episode:
    """Return a random walk of every stream, with jittered arrivals."""
    rng = np.random.default_rng(index)
    streams: list[Stream] = [text_stream(TEXT, np.zeros(1, np.int64), ["lift the box"])]
    for name, (width, rate) in STREAMS.items():
        times = periodic_ns(0, rate, int(SECONDS * rate))
        values = np.cumsum(rng.normal(size=(len(times), width)) * 0.01, axis=0)
        arrival = times + rng.integers(0, 5_000_000, len(times))
        streams.append(vector_stream(SPECS[name], times, values, arrival_ns=arrival))
    return Episode(
        episode_id=f"bench-{index:05d}",
        embodiment=ROBOT,
        provenance=Provenance(robot="bench", task="lift", source="simulation", origin=str(index)),
        streams={stream.spec.name: stream for stream in streams},
    )


def write_npz(folder: Path, episode: Episode) -> None:
    """Write the peer: one `np.savez` an episode, synced once."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, stream in episode.streams.items():
        if stream.spec.kind == "vector":
            arrays |= {f"{name}.t": stream.capture_ns, f"{name}.a": stream.arrival_ns, f"{name}.v": stream.values}
    with (folder / f"{episode.episode_id}.npz").open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes every keyword for allow_pickle
        file.flush()
        os.fsync(file.fileno())


def write_parquet(folder: Path, episode: Episode) -> None:
    """Write the peer: one Parquet a stream, pyarrow's defaults."""
    for name, stream in episode.streams.items():
        if stream.spec.kind == "vector":
            width = len(stream.spec.channels)
            values = pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(stream.values).ravel()), width)
            table = pa.table({"t": stream.capture_ns, "a": stream.arrival_ns, "v": values})
            pq.write_table(table, folder / f"{episode.episode_id}.{name.replace('/', '-')}.parquet")


def read_npz(folder: Path, episode_id: str, start_ns: int) -> int:
    """Read a window of the NumPy peer; return the number of samples."""
    count = 0
    with np.load(folder / f"{episode_id}.npz") as arrays:
        for name in STREAMS:
            first, last = np.searchsorted(arrays[f"{name}.t"], [start_ns, start_ns + WINDOW_NS])
            count += len(arrays[f"{name}.v"][first:last]) + 0 * len(arrays[f"{name}.a"][first:last])
    return count


def read_parquet(folder: Path, episode_id: str, start_ns: int) -> int:
    """Read a window of the Parquet peer; return the number of samples."""
    count = 0
    for name in STREAMS:
        table = pq.read_table(folder / f"{episode_id}.{name.replace('/', '-')}.parquet", use_threads=False)
        first, last = np.searchsorted(table["t"].to_numpy(), [start_ns, start_ns + WINDOW_NS])
        count += len(table["v"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)[first:last])
    return count


def read_low(store: Store, episode_id: str, start_ns: int) -> int:
    """Read a window of the store's mapped view; return the number of samples."""
    count = 0
    streams = store.low(episode_id)
    for name in STREAMS:
        stream = streams[name]
        first, last = np.searchsorted(stream.capture_ns, [start_ns, start_ns + WINDOW_NS])
        count += len(stream.values[first:last]) + 0 * len(stream.arrival_ns[first:last])
    return count


def read_between(store: Store, episode_id: str, start_ns: int) -> int:
    """Read a window as checked Stream objects; return the number of samples."""
    streams = store.low(episode_id)
    return sum(len(streams[name].between(start_ns, start_ns + WINDOW_NS)) for name in STREAMS)


def rate(work: Callable[[int], object], count: int) -> float:
    """Return calls a second of `work(0) ... work(count - 1)`."""
    started = time.perf_counter()
    for index in range(count):
        work(index)
    return count / (time.perf_counter() - started)


def main() -> None:
    """Print one line a figure, each beside its peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--episodes", type=int, default=300)
    count = parser.parse_args().episodes
    episodes = [make_episode(index) for index in range(count)]
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        (folder / "npz").mkdir()
        (folder / "parquet").mkdir()
        npz = rate(lambda i: write_npz(folder / "npz", episodes[i]), count)
        parquet = rate(lambda i: write_parquet(folder / "parquet", episodes[i]), count)
        with StoreWriter(folder / "store") as writer:
            ours = rate(lambda i: writer.add(episodes[i]), count)
        print(f"write       {ours:10,.0f} episodes/s  np.savez + fsync {npz:,.0f} (ratio {ours / npz:.2f})  ", end="")
        print(f"one Parquet a stream, no fsync {parquet:,.0f} (ratio {ours / parquet:.2f})")
        opened = rate(lambda _: len(Store.open(folder / "store").episodes), 5)
        print(f"open        {1000 / opened:10,.1f} ms for {count} episodes")
        store = Store.open(folder / "store")
        started = time.perf_counter()
        build_low_view(store)
        print(f"build view  {count / (time.perf_counter() - started):10,.0f} episodes/s")
        rng = np.random.default_rng(0)
        ids = [f"bench-{index:05d}" for index in rng.integers(0, count, 20_000)]
        starts = rng.integers(0, seconds_to_ns(SECONDS) - WINDOW_NS, 20_000).tolist()
        for episode in episodes:
            store.low(episode.episode_id)
        windows = rate(lambda i: read_low(store, ids[i], starts[i]), 20_000)
        checked = rate(lambda i: read_between(store, ids[i], starts[i]), 5_000)
        npz = rate(lambda i: read_npz(folder / "npz", ids[i], starts[i]), 500)
        parquet = rate(lambda i: read_parquet(folder / "parquet", ids[i], starts[i]), 500)
        print(f"read        {windows:10,.0f} windows/s  npz {npz:,.0f} (ratio {windows / npz:.0f})  ", end="")
        print(f"Parquet {parquet:,.0f} (ratio {windows / parquet:.0f})")
        print(f"read checked{checked:10,.0f} windows/s as Stream objects")


if __name__ == "__main__":
    main()
