"""The loader: order from seed and step alone, on any worker, from any step; nested subsets."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest

from counterpoint.core.batch import Batch
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode
from counterpoint.core.errors import ConfigError, CounterpointError, StreamError, UnknownNameError
from counterpoint.data.batches.loader import Loader, LoaderConfig
from counterpoint.data.batches.sampler import WindowSampler
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.selection import EpisodeReference, Selection, select_episodes
from counterpoint.data.episodes.source import EpisodeSource, MemoryEntry, MemorySource
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode, synthetic_source

SOURCES = [synthetic_source(12, 7, seed=3), synthetic_source(6, 16, seed=3)]
PROCESSOR = Processor.fit(SOURCES)


def config(workers: int = 0, seed: int = 0, batch_size: int = 4) -> LoaderConfig:
    return LoaderConfig(batch_size=batch_size, seed=seed, workers=workers, prefetch=2)


def content(batch: Batch) -> bytes:
    return pickle.dumps(batch)


def test_batches_depend_on_seed_and_step_alone() -> None:
    first, second = Loader(SOURCES, PROCESSOR, config()), Loader(SOURCES, PROCESSOR, config(), start_step=2)
    run = [content(next(first)) for _ in range(4)]
    assert [content(next(second)) for _ in range(2)] == run[2:]
    assert content(first.batch(1)) == run[1]
    assert len(set(run)) == 4
    assert content(Loader(SOURCES, PROCESSOR, config(seed=1)).batch(0)) != run[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing_and_close_cleanly(workers: int) -> None:
    expected = [content(Loader(SOURCES, PROCESSOR, config()).batch(step)) for step in range(3, 8)]
    with Loader(SOURCES, PROCESSOR, config(workers=workers), start_step=3) as loader:
        got = [content(next(loader)) for _ in range(5)]
        processes = list(loader._workers)
    assert got == expected
    assert loader.step == 8
    assert len(processes) == workers
    assert all(process.poll() is not None for process in processes)


def test_ranks_share_the_windows_of_one_large_step() -> None:
    whole = Loader(SOURCES, PROCESSOR, config(batch_size=4)).batch(5)
    parts = [
        Loader(SOURCES, PROCESSOR, LoaderConfig(batch_size=2, workers=0, rank=rank, world=2)).batch(5)
        for rank in range(2)
    ]
    decisions = np.concatenate([part.decision_s for part in parts])
    np.testing.assert_array_equal(decisions, whole.decision_s)


class LocalSource(MemorySource):
    """A class that a fresh interpreter cannot import: its module lives in this process alone."""


LocalSource.__module__ = "only_in_this_process"


def broken_episode(index: int) -> Episode:
    """An episode whose commands were lost."""
    episode = synthetic_episode(synthetic_embodiment(7), index, seed=3)
    return replace(episode, streams={**episode.streams, "action": episode.streams["action"].select(slice(0, 0))})


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unusable_episode_stops_with_its_name(workers: int) -> None:
    source = MemorySource([broken_episode(i) for i in range(3)])
    with Loader([source], PROCESSOR, config(workers=workers)) as loader:
        with pytest.raises(StreamError, match="episode synthetic_7-3-"):
            next(loader)
        assert not loader._workers


def test_a_source_that_a_worker_cannot_import_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LocalSource.__module__, sys.modules[__name__])
    source = LocalSource([synthetic_episode(synthetic_embodiment(7), i, seed=3) for i in range(3)])
    with (
        Loader([source], PROCESSOR, config(workers=1)) as loader,
        pytest.raises(CounterpointError, match="workers = 0"),
    ):
        next(loader)


def test_very_short_episodes_are_usable() -> None:
    robot = synthetic_embodiment(7)
    source = MemorySource([synthetic_episode(robot, i, seed=8, duration_s=d) for i, d in enumerate((0.02, 0.1, 0.5))])
    selection = Selection(split="all")
    processor = Processor.fit([source], selection=selection)
    batch = Loader([source], processor, LoaderConfig(selection=selection, workers=0, batch_size=16)).batch(0)
    assert all(np.isfinite(group.values).all() for group in batch.acting)
    assert not batch.acting[0].valid.all()


def test_splits_are_disjoint_complete_and_stable_when_episodes_are_added() -> None:
    small, large = synthetic_source(40, 6, seed=1, duration_s=0.1), synthetic_source(60, 6, seed=1, duration_s=0.1)
    halves = {split: select_episodes([large], Selection(split=split, holdout_fraction=0.3))["synthetic_6"]
              for split in ("train", "test")}  # fmt: skip
    ids = {split: {r.episode_id for r in references} for split, references in halves.items()}
    assert not ids["train"] & ids["test"]
    assert len(ids["train"]) + len(ids["test"]) == 60
    assert 0.1 < len(ids["test"]) / 60 < 0.5
    before = select_episodes([small], Selection(split="test", holdout_fraction=0.3))["synthetic_6"]
    assert {r.episode_id for r in before} <= ids["test"]


def test_smaller_subsets_lie_within_larger_ones() -> None:
    def chosen(**limits: float) -> dict[str, set[str]]:
        selection = Selection(split="all", **limits)  # type: ignore[arg-type]  # limits by name
        return {n: {r.episode_id for r in e} for n, e in select_episodes(SOURCES, selection).items()}

    two, five = chosen(limit_episodes=2), chosen(limit_episodes=5)
    assert all(len(two[robot]) == 2 and two[robot] < five[robot] for robot in two)
    little, more = chosen(limit_hours=9 / 3600), chosen(limit_hours=18 / 3600)
    assert all(len(little[robot]) == 2 and len(more[robot]) == 4 and little[robot] < more[robot] for robot in little)


def test_weights_choose_robots_and_durations_choose_episodes() -> None:
    episodes = {
        "a": tuple(
            EpisodeReference(source=0, episode_id=f"a{i}", embodiment="a", duration_s=d) for i, d in enumerate((1.0, 3))
        ),
        "b": (EpisodeReference(source=0, episode_id="b0", embodiment="b", duration_s=100.0),),
    }
    sampler = WindowSampler(episodes, seed=0, weights={"a": 3.0, "b": 1.0})
    drawn = [sampler.window(0, i)[0].episode_id for i in range(2000)]
    assert 0.70 < np.mean([name[0] == "a" for name in drawn]) < 0.80
    assert 2.3 < drawn.count("a1") / drawn.count("a0") < 3.9
    by_duration = WindowSampler(episodes, seed=0)
    assert np.mean([by_duration.window(0, i)[0].embodiment == "b" for i in range(500)]) > 0.9


def test_wrong_choices_are_explained() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'synthetic_16'"):
        Loader(SOURCES, PROCESSOR, LoaderConfig(weights={"synthetic_7": 1.0, "synthetic_166": 1.0}))
    with pytest.raises(ConfigError, match=r"loader\.weights: no weight for synthetic_16"):
        Loader(SOURCES, PROCESSOR, LoaderConfig(weights={"synthetic_7": 1.0}))
    with pytest.raises(ConfigError, match="no episode left"):
        select_episodes([MemorySource([])], Selection())
    with pytest.raises(UnknownNameError, match="adapt"):
        Loader([synthetic_source(2, 9, seed=0)], PROCESSOR, LoaderConfig(selection=Selection(split="all")))


def test_sources_in_memory_satisfy_the_protocol() -> None:
    source: EpisodeSource = SOURCES[0]
    entry = source.episodes[0]
    assert isinstance(entry, MemoryEntry)
    robot: Embodiment = source.embodiment(entry.embodiment)
    assert robot.name == "synthetic_7"
    with pytest.raises(UnknownNameError, match="did you mean"):
        source.low(entry.episode_id + "x")


def test_held_out_robots_stay_out_unless_they_are_named() -> None:
    sources = [synthetic_source(4, 6, 0), synthetic_source(4, 7, 0)]
    one, other = sorted(select_episodes(sources, Selection(split="all")))
    assert list(select_episodes(sources, Selection(split="all", without=(one,)))) == [other]
    assert list(select_episodes(sources, Selection(split="all", without=(one,), robots=(one,)))) == [one]
    with pytest.raises(ConfigError, match=f"held out by default: {one}"):
        select_episodes(sources[:1], Selection(split="all", without=(one,)))
