"""Training's batches: a function of seed and step alone, shared by any number of processes."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from counterpoint.core.batch import Batch
from counterpoint.core.episode import Episode
from counterpoint.core.errors import ConfigError, StreamError, UnknownNameError
from counterpoint.data.batches.loader import Loader
from counterpoint.data.batches.training import TrainingBatches, TrainingReader, training_windows
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.data.episodes.source import EpisodeSource, MemorySource
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode, synthetic_source

ALL = Selection(split="all")
SOURCES: list[EpisodeSource] = [synthetic_source(12, 7, seed=3), synthetic_source(6, 16, seed=3)]
PROCESSOR = Processor.fit(SOURCES)


def windows(weights: Mapping[str, float] | None = None, selection: Selection | None = None) -> TrainingReader:
    return training_windows(SOURCES, PROCESSOR, select_episodes(SOURCES, selection or Selection()), weights=weights)


def batches(seed: int = 0, size: int = 4, num_microbatches: int = 1, own: range = range(1)) -> TrainingBatches:
    return TrainingBatches(reader=windows(), seed=seed, batch_windows=size, num_microbatches=num_microbatches, own=own)


def content(batch: Batch) -> bytes:
    return pickle.dumps(batch)


def test_batches_depend_on_seed_and_step_alone() -> None:
    run = [content(batches()[step]) for step in range(4)]
    again = batches()
    assert [content(again[step]) for step in (3, 1)] == [run[3], run[1]]
    assert len(set(run)) == 4
    assert content(batches(seed=1)[0]) != run[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing_and_close_cleanly(workers: int) -> None:
    expected = [content(batches()[step]) for step in range(3, 8)]
    with Loader(batches(), start=3, workers=workers, prefetch=2) as loader:
        assert [content(next(loader)) for _ in range(5)] == expected
        processes = [worker.process for worker in loader._workers]
        assert loader.position == 8
    assert len(processes) == workers
    assert all(process.poll() is not None for process in processes)


def test_processes_share_the_windows_of_one_step() -> None:
    """One process with one batch a step; two with two microbatches each: the same windows in the same order."""
    whole = batches(size=8)[5]
    shares = [batches(size=8, num_microbatches=4, own=own) for own in (range(2), range(2, 4))]
    parts = [share[5 * 2 + place] for share in shares for place in range(2)]
    np.testing.assert_array_equal(np.concatenate([part.decision_s for part in parts]), whole.decision_s)
    np.testing.assert_array_equal(np.concatenate([part.delay_s for part in parts]), whole.delay_s)


def broken_episode(index: int) -> Episode:
    """An episode whose commands were lost."""
    episode = synthetic_episode(synthetic_embodiment(7), index, seed=3)
    return replace(episode, streams={**episode.streams, "action": episode.streams["action"].select(slice(0, 0))})


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unusable_episode_stops_with_its_name(workers: int) -> None:
    source = MemorySource([broken_episode(i) for i in range(3)])
    reader = training_windows([source], PROCESSOR, select_episodes([source], ALL))
    with (
        Loader(TrainingBatches(reader=reader, seed=0, batch_windows=4), workers=workers) as loader,
        pytest.raises(StreamError, match="episode synthetic_7-3-"),
    ):
        next(loader)


def test_very_short_episodes_are_usable() -> None:
    robot = synthetic_embodiment(7)
    source = MemorySource([synthetic_episode(robot, i, seed=8, duration_s=d) for i, d in enumerate((0.02, 0.1, 0.5))])
    processor = Processor.fit([source], selection=ALL)
    reader = training_windows([source], processor, select_episodes([source], ALL))
    batch = TrainingBatches(reader=reader, seed=0, batch_windows=16)[0]
    assert all(np.isfinite(group.values).all() for group in batch.acting)
    assert not batch.acting[0].valid.all()


def test_decisions_cover_the_usable_time_alike_and_both_ends() -> None:
    """In some epochs every tenth of an episode has its share, the first and the last one included."""
    robot = synthetic_embodiment(7)
    source = MemorySource([synthetic_episode(robot, 0, seed=8, duration_s=20.0)])
    processor = Processor.fit([source], WindowConfig(latency_jitter_s=0.0), selection=ALL)
    reader = training_windows([source], processor, select_episodes([source], ALL))
    samples = [reader.sample(0, position) for position in range(8 * len(reader))]
    start_ns = source.episodes[0].start_ns
    times = np.concatenate([(each.origin_ns - start_ns) / 1e9 + each.decision_s for each in samples])
    counts, _ = np.histogram(times, bins=10, range=(0.0, 20.0))
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()


def test_weights_choose_robots_and_durations_choose_among_their_episodes() -> None:
    def robots(reader: TrainingReader, count: int) -> list[str]:
        order = reader.order(0)
        found = [reader.window(order[position]) for position in range(count)]
        return [reader.sources[one.source].flat()["robot"][one.row].as_py() for one in found]

    weighted = windows(weights={"synthetic_7": 3.0, "synthetic_16": 1.0}, selection=ALL)
    assert np.mean([name == "synthetic_7" for name in robots(weighted, 2000)]) == pytest.approx(0.75, abs=0.04)
    plain = windows(selection=ALL)
    assert np.mean([name == "synthetic_7" for name in robots(plain, len(plain))]) == pytest.approx(12 / 18, abs=0.01)


def test_wrong_choices_are_explained() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'synthetic_16'"):
        windows(weights={"synthetic_7": 1.0, "synthetic_166": 1.0})
    with pytest.raises(ConfigError, match=r"data\.weights: no weight for synthetic_16"):
        windows(weights={"synthetic_7": 1.0})
    foreign = [synthetic_source(2, 9, seed=0)]
    with pytest.raises(UnknownNameError, match="adapt"):
        training_windows(foreign, PROCESSOR, select_episodes(foreign, ALL))
