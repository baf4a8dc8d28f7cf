"""How fast training's windows are made, against plain slicing of the same arrays, and how fast they are delivered.

    python benchmarks/loading.py [--store DIR]          encode and pack, ratio to plain numpy indexing
    python benchmarks/loading.py --delivery --store DIR our background processes beside torch's DataLoader

Prints windows/s on one core, experience-hours per core-hour, and the ratio to a named limit measured in the same run:
reading the same rows with plain numpy indexing, without time alignment, normalisation or packing. `--delivery` gives
the wall time of an item from one and two background processes: ours (`Loader`), and torch's `DataLoader` started by
fork and by forkserver. All make the same items in the same order.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Dataset

from counterpoint.data.batches.arrays import ArrayConfig, ArrayDataset, Arrays, as_tensors
from counterpoint.data.batches.loader import Items, Loader
from counterpoint.data.batches.reader import SamplesInOrder
from counterpoint.data.batches.training import TrainingBatches, TrainingReader, training_windows
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.data.episodes.synthetic import synthetic_source
from counterpoint.store import Store, build_low_view


def seconds(work: Callable[[int], object], repeats: int, rounds: int = 5) -> float:
    """Return CPU-seconds of one call: the median round of `repeats` calls."""
    spent = []
    for i in range(rounds):
        start = time.process_time()
        for j in range(repeats):
            work(i * repeats + j)
        spent.append((time.process_time() - start) / repeats)
    return float(np.median(spent))


def slicing(reader: TrainingReader, processor: Processor) -> Callable[[int], object]:
    """Return the limit: per window, rows of every vector stream and of the knots by ready-made indices."""
    rng = np.random.default_rng(0)
    config = processor.config
    jobs = []
    for _ in range(512):
        episode = reader.read(reader.window(int(rng.integers(len(reader)))))
        rows = [np.sort(rng.integers(len(track.values), size=config.branches)) for track in episode.tracks]
        job = [(track.values, chosen) for track, chosen in zip(episode.tracks, rows, strict=True)]
        actions = episode.acting.values
        job.append((actions, np.sort(rng.integers(len(actions), size=config.branches * config.knots))))
        jobs.append(job)
    return lambda i: [values[rows] for values, rows in jobs[i % len(jobs)]]


class TorchItems(Dataset[object]):
    """The same items for torch's DataLoader, with tensors where there are arrays, as it wants them."""

    def __init__(self, items: Items[object]) -> None:
        """Keep the items."""
        self._items = items

    def __getitem__(self, number: int) -> object:
        """Return an item."""
        found = self._items[number]
        return as_tensors(found) if isinstance(found, dict) else found


def same(item: object) -> object:
    """Keep an item as it is."""
    return item


@contextmanager
def delivered(items: Items[object], how: str, workers: int) -> Iterator[Iterable[object]]:
    """Yield an iterator over items made in the background."""
    if how == "ours":
        with Loader(items, workers=workers) as loader:
            yield loader
        return
    yield DataLoader(
        TorchItems(items),
        batch_size=None,
        sampler=range(10**9),
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context=how,
        collate_fn=same,
    )


def measure_delivery(items: Items[object], count: int, name: str) -> None:
    """Print wall milliseconds an item in this process and from one and two behind it; the best of three rounds."""
    here = seconds(lambda number: items[number], count, rounds=3)
    print(f"{name}: {1e3 * here:.2f} ms CPU an item in one process")
    for how in ("ours", "fork", "forkserver"):
        for workers in (1, 2):
            with delivered(items, how, workers) as made:
                iterator = iter(made)
                for _ in range(10):
                    next(iterator)
                rounds = []
                for _ in range(3):
                    wall, spent = time.perf_counter(), time.process_time()
                    for _ in range(count):
                        next(iterator)
                    rounds.append(((time.perf_counter() - wall) / count, (time.process_time() - spent) / count))
                wall, spent = (1e3 * each for each in min(rounds))
                del iterator
            print(f"  {how:10s} {workers} behind  {wall:8.2f} ms wall  {spent:8.2f} ms CPU of this process")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, action="append", default=[], help="store to read; synthetic if absent")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--delivery", action="store_true", help="measure background processes")
    parser.add_argument("--items", type=int, default=40, help="items a round of --delivery")
    options = parser.parse_args()
    sources: Sequence[EpisodeSource]
    if options.store:
        stores = [Store.open(path) for path in options.store]
        for store in stores:
            build_low_view(store)
        sources = stores
    else:
        sources = [synthetic_source(60, dof, seed=0, duration_s=10.0) for dof in (6, 7, 16, 26)]
    episodes = select_episodes(sources, Selection(split="all"))
    processor = Processor.fit(sources, episodes=episodes)
    reader = training_windows(sources, processor, episodes)
    batches = TrainingBatches(reader=reader, seed=0, batch_windows=options.batch_size)
    if options.delivery:
        measure_delivery(batches, options.items, f"batches of {options.batch_size} windows")
        if options.store:
            dataset = ArrayDataset(sources, ArrayConfig(stride_s=0.05))
            arrays: Items[Arrays] = SamplesInOrder(reader=dataset.reader, seed=0)
            measure_delivery(arrays, options.items * 4, "2 s windows with all cameras, RGB")
        return
    cold_start = time.process_time()
    for index in range(len(reader)):
        reader.read(reader.window(index))
    prepare_s = (time.process_time() - cold_start) / sum(map(len, episodes.values()))
    window_s = seconds(batches.__getitem__, 8) / options.batch_size
    limit_s = seconds(slicing(reader, processor), 2000)
    experience_s = batches[0].experience_s / options.batch_size
    with Loader(batches) as loader:
        next(loader)
        start = time.perf_counter()
        for _ in range(40):
            next(loader)
        background_s = (time.perf_counter() - start) / 40 / options.batch_size
    print(f"windows of {processor.config.branches} decisions, {', '.join(sorted(processor.robots))}")
    print(f"  prepare an episode        {prepare_s * 1e6:8.0f} us (once)")
    print(f"  encode and pack a window  {window_s * 1e6:8.0f} us  {1 / window_s:8.0f} windows/s/core")
    print(f"  experience                {experience_s / window_s:8.0f} experience-hours per core-hour")
    print(f"  limit: plain slicing      {limit_s * 1e6:8.0f} us  ratio {window_s / limit_s:.1f}")
    print(f"  background process        {background_s * 1e6:8.0f} us wall a window, delivered")


if __name__ == "__main__":
    main()
