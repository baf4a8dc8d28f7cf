"""Background processes: the same items in the same order, never further ahead than allowed, errors as raised."""

from __future__ import annotations

import os
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.embodiment import Channel, Embodiment
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.errors import ConfigError, CounterpointError, StoreError
from counterpoint.core.stream import vector_stream
from counterpoint.data.batches import shared
from counterpoint.data.batches.arrays import ArrayConfig, ArrayEpisode, Arrays, ArrayTransform
from counterpoint.data.batches.loader import TAKEN, Job, Loader, read_message, serve
from counterpoint.data.batches.reader import SamplesInOrder, WindowReader
from counterpoint.data.batches.shared import Arena, new_arena
from counterpoint.data.episodes.source import EpisodeSource, MemorySource
from counterpoint.store import Store, StoreWriter

Reader = WindowReader[ArrayEpisode, Arrays]
ROBOT = Embodiment(
    name="arm",
    sensing=(),
    acting=(Channel(name="joint", quantity="joint_position", unit="rad"),),
    control_rate_hz=100.0,
)


def episode(number: int) -> Episode:
    times = np.arange(1000, dtype=np.int64) * 10_000_000
    return Episode(
        episode_id=f"episode-{number}",
        embodiment=ROBOT,
        provenance=Provenance(robot="arm"),
        streams={"action": vector_stream(ROBOT.action_spec, times, np.full((1000, 1), number))},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(3):
            writer.add(episode(number))
    return tmp_path / "store"


def read(source: EpisodeSource) -> Reader:
    return WindowReader([source], ArrayTransform(config=ArrayConfig(cameras=())))


def facts(sample: Arrays) -> tuple[str, int, float]:
    action, index = sample["action"], sample["index"]
    assert isinstance(action, np.ndarray)
    assert isinstance(index, np.ndarray)
    return str(sample["episode_id"]), int(index), float(action.sum())


def test_processes_give_what_one_process_gives_and_go_on_where_they_stopped(root: Path) -> None:
    items = SamplesInOrder(reader=read(Store.open(root)), seed=5, rank=1, world=3)
    expected = [facts(items[number]) for number in range(30)]
    with Loader(items, workers=2, prefetch=2) as loader:
        found = [facts(sample) for sample in islice(loader, 17)]
        position = loader.position
    with Loader(items, workers=3, start=position) as loader:
        found += [facts(sample) for sample in islice(loader, 13)]
    assert found == expected
    assert [facts(sample) for sample in islice(Loader(items, workers=0, start=25), 5)] == expected[25:]


class Counting:
    made = 0

    def __getitem__(self, number: int) -> int:
        self.made += 1
        return 10 * number


def test_never_further_ahead_than_prefetch() -> None:
    items = Counting()
    arena = new_arena(3)
    job = Job(items=items, first=0, stride=1, prefetch=3, arena=arena)
    (there, to_worker), (from_worker, back) = os.pipe(), os.pipe()
    with os.fdopen(there, "rb") as source, os.fdopen(back, "wb") as sink, os.fdopen(from_worker, "rb") as answers:
        with os.fdopen(to_worker, "wb", buffering=0) as taken:
            thread = threading.Thread(target=serve, args=(job, source, sink))
            thread.start()
            for number in range(12):
                time.sleep(0.03)
                assert items.made <= number + 3
                read_message(answers)
                taken.write(TAKEN)
            deadline = time.monotonic() + 120
            while items.made < 15 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert items.made == 15
        thread.join(120)
        assert not thread.is_alive()
    os.close(arena)


def test_pictures_travel_through_shared_memory_and_what_is_too_large_through_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "SLOT_BYTES", 1 << 16)
    descriptor = new_arena(2)
    here, there = Arena(descriptor, 2), Arena(descriptor, 2)
    os.close(descriptor)
    kept = []
    for number, shape in enumerate([(2, 64, 64, 3), (3, 64, 64, 3), (9, 64, 64, 3), (1, 80, 80, 3)]):
        pictures = np.random.default_rng(number).integers(0, 255, shape, dtype=np.uint8)
        item = {"front": pictures, "wrist": pictures.copy(), "action": np.ones((shape[0], 2), np.float32)}
        message = there.packed(number, item)
        fits = sum(min(1, (1 << 16) // (count * pictures.nbytes)) for count in (1, 2))
        assert len(message) < (2 - fits) * pictures.nbytes + 4000
        kept.append((item, here.unpacked(number, message)))
    for item, found in kept:  # later items in the same slots have not changed them
        assert isinstance(found, dict)
        for name, values in item.items():
            np.testing.assert_array_equal(found[name], values)
    error = here.unpacked(4, there.packed(4, StoreError("damaged")))
    assert isinstance(error, StoreError)
    here.close()
    there.close()


def test_damage_is_raised_and_the_next_sample_comes(root: Path) -> None:
    next((root / "episodes").glob("*/episode-1/streams.parquet")).write_bytes(b"nonsense")
    reader = read(Store.open(root))
    errors: list[str] = []
    names: set[str] = set()
    with Loader(SamplesInOrder(reader=reader, seed=1), workers=1) as loader:
        for _ in range(len(reader)):
            try:
                names.add(facts(next(loader))[0])
            except StoreError as error:
                errors.append(str(error))
    assert len(errors) == len(reader) // 3
    assert all("episode-1" in each for each in errors)
    assert names == {"episode-0", "episode-2"}


class LocalSource(MemorySource):
    """A class that a fresh interpreter cannot import: its module lives in this process alone."""


LocalSource.__module__ = "only_in_this_process"


def test_a_source_that_a_worker_cannot_import_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LocalSource.__module__, sys.modules[__name__])
    items = SamplesInOrder(reader=read(LocalSource([episode(0)])), seed=0)
    with Loader(items, workers=1) as loader, pytest.raises(CounterpointError, match="only_in_this_process"):
        next(loader)


def test_a_process_that_dies_is_named_with_its_item(root: Path) -> None:
    with Loader(SamplesInOrder(reader=read(Store.open(root)), seed=5), workers=1, prefetch=1) as loader:
        next(loader)
        loader._workers[0].process.kill()
        with pytest.raises(CounterpointError, match=r"exit code -9\) before item [12]"):
            [next(loader) for _ in range(3)]


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="loader: expected"):
        Loader(Counting(), workers=-1)
    with pytest.raises(ConfigError, match="loader: expected"):
        Loader(Counting(), prefetch=0)
    with pytest.raises(ConfigError, match="loader: expected"):
        Loader(Counting(), start=-1)
