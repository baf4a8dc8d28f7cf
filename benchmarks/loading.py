"""How fast windows are made, against plain slicing of the same arrays: `python benchmarks/loading.py [--store DIR]`.

Prints windows/s on one core, experience-hours per core-hour, and the ratio to a named limit measured in the
same run: reading the same rows with plain numpy indexing, without time alignment, normalisation or packing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from counterpoint.data.batches.batches import BatchMaker, LoaderConfig
from counterpoint.data.batches.loader import Loader
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.data.episodes.synthetic import synthetic_source


def seconds(work: Callable[[int], object], repeats: int, rounds: int = 5) -> float:
    """Return CPU-seconds of one call: the median round of `repeats` calls."""
    spent = []
    for i in range(rounds):
        start = time.process_time()
        for j in range(repeats):
            work(i * repeats + j)
        spent.append((time.process_time() - start) / repeats)
    return float(np.median(spent))


def slicing(maker: BatchMaker) -> Callable[[int], object]:
    """Return the limit: per window, rows of every vector stream and of the knots by ready-made indices."""
    references = [reference for group in maker.episodes.values() for reference in group]
    episodes = [maker.prepared(reference) for reference in references]
    rng = np.random.default_rng(0)
    branches, knots = maker.processor.config.branches, maker.processor.config.knots
    jobs = []
    for _ in range(512):
        episode = episodes[int(rng.integers(len(episodes)))]
        job = [(track.values, np.sort(rng.integers(len(track.values), size=branches))) for track in episode.tracks]
        actions = episode.acting.values
        job.append((actions, np.sort(rng.integers(len(actions), size=branches * knots))))
        jobs.append(job)
    return lambda i: [values[rows] for values, rows in jobs[i % len(jobs)]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, action="append", default=[], help="store to read; synthetic if absent")
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    sources: Sequence[EpisodeSource]
    if options.store:
        from counterpoint.store.reader import Store

        sources = [Store.open(path) for path in options.store]
    else:
        sources = [synthetic_source(60, dof, seed=0, duration_s=10.0) for dof in (6, 7, 16, 26)]
    processor = Processor.fit(sources)
    config = LoaderConfig(batch_size=options.batch_size)
    maker = BatchMaker(sources, processor, config)
    cold_start = time.process_time()
    for references in maker.episodes.values():
        for reference in references:
            maker.prepared(reference)
    num_episodes = sum(len(references) for references in maker.episodes.values())
    prepare_s = (time.process_time() - cold_start) / num_episodes
    window_s = seconds(maker.batch, 8) / options.batch_size
    limit_s = seconds(slicing(maker), 2000)
    experience_s = maker.batch(0).experience_s / options.batch_size
    with Loader(sources, processor, config) as loader:
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
