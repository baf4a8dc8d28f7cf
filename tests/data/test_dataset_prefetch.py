"""Background processes: the same windows in the same order, never further ahead than allowed."""

from __future__ import annotations

import os
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.embodiment import Channel, Embodiment
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.errors import ConfigError, StoreError
from counterpoint.core.stream import vector_stream
from counterpoint.data.batches import window_wire
from counterpoint.data.batches.dataset import WindowDataset, WindowOptions
from counterpoint.data.batches.prefetch import TAKEN, WindowJob, WindowLoader, serve
from counterpoint.data.batches.stream_window import ImageSlice, StreamSlice, StreamWindow
from counterpoint.data.batches.window_stream import Shard
from counterpoint.data.batches.window_wire import Arena, new_arena
from counterpoint.data.batches.worker import read_message
from counterpoint.store import Store, StoreWriter

ROBOT = Embodiment(
    name="arm",
    sensing=(),
    acting=(Channel(name="joint", quantity="joint_position", unit="rad"),),
    control_rate_hz=100.0,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(3):
            times = np.arange(1000, dtype=np.int64) * 10_000_000
            writer.add(
                Episode(
                    episode_id=f"episode-{number}",
                    embodiment=ROBOT,
                    provenance=Provenance(robot="arm"),
                    streams={"action": vector_stream(ROBOT.action_spec, times, np.full((1000, 1), number))},
                )
            )
    return tmp_path / "store"


def facts(window: StreamWindow) -> tuple[int, int, float]:
    return window.position, window.index, float(window.streams["action"].values.sum())


def test_processes_give_what_one_stream_gives_and_go_on_where_they_stopped(root: Path) -> None:
    dataset = WindowDataset([Store.open(root)])
    expected = [facts(window) for window in islice(dataset.stream(5, rank=1, world=3), 30)]
    with WindowLoader(dataset, 5, workers=2, prefetch=2, rank=1, world=3) as loader:
        found = [facts(window) for window in islice(loader, 17)]
        state = loader.state
    with WindowLoader(dataset, state.seed, workers=3, start=state.position, rank=1, world=3) as loader:
        found += [facts(window) for window in islice(loader, 13)]
    assert found == expected


class Counting(WindowDataset):
    made = 0

    def window(self, index: int, *, position: int = -1) -> StreamWindow:
        self.made += 1
        return super().window(index, position=position)


def test_never_further_ahead_than_prefetch(root: Path) -> None:
    dataset = Counting([Store.open(root)])
    shared = new_arena(3)
    job = WindowJob(dataset=dataset, seed=0, start=0, shard=Shard(), prefetch=3, arena=shared)
    (there, to_worker), (from_worker, back) = os.pipe(), os.pipe()
    with os.fdopen(there, "rb") as source, os.fdopen(back, "wb") as sink, os.fdopen(from_worker, "rb") as answers:
        with os.fdopen(to_worker, "wb", buffering=0) as taken:
            thread = threading.Thread(target=serve, args=(job, source, sink))
            thread.start()
            for number in range(12):
                time.sleep(0.03)
                assert dataset.made <= number + 3
                read_message(answers)
                taken.write(TAKEN)
            deadline = time.monotonic() + 120
            while dataset.made < 15 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert dataset.made == 15
        thread.join(120)
        assert not thread.is_alive()
    os.close(shared)


def pictured(shape: tuple[int, ...]) -> StreamWindow:
    times = np.arange(shape[0], dtype=np.int64)
    values = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    return StreamWindow(
        store=0,
        episode_id="episode-0",
        robot="arm",
        part="",
        index=7,
        position=3,
        start_ns=0,
        end_ns=10,
        streams={"action": StreamSlice("action", times, times, np.ones((shape[0], 2), np.float32))},
        images={name: ImageSlice(name, times, times, "rgb", values) for name in ("front", "wrist")},
    )


def test_pictures_travel_through_shared_memory_and_what_is_too_large_through_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window_wire, "SLOT_BYTES", 1 << 16)
    descriptor = new_arena(2)
    here, there = Arena(descriptor, 2), Arena(descriptor, 2)
    os.close(descriptor)
    kept = []
    for number, shape in enumerate([(2, 64, 64, 3), (3, 64, 64, 3), (9, 64, 64, 3), (1, 80, 80, 3)]):
        window = pictured(shape)
        message = there.packed(number, window)
        fits = sum(min(1, (1 << 16) // (number * window.images["front"].values.nbytes)) for number in (1, 2))
        assert len(message) < (2 - fits) * window.images["front"].values.nbytes + 4000
        kept.append((window, here.unpacked(number, message)))
    for window, found in kept:  # later windows in the same slots have not changed them
        assert isinstance(found, StreamWindow)
        for name, images in window.images.items():
            np.testing.assert_array_equal(found.images[name].values, images.values)
        np.testing.assert_array_equal(found.streams["action"].values, window.streams["action"].values)
    error = here.unpacked(4, there.packed(4, StoreError("damaged")))
    assert isinstance(error, StoreError)
    here.close()
    there.close()


def test_damage_is_raised_and_the_next_window_comes(root: Path) -> None:
    from counterpoint.store.views.low import VIEW

    store = Store.open(root)
    dataset = WindowDataset([store], WindowOptions(cameras=()))
    assert not list((root / VIEW).glob("*.arrow"))
    next((root / "episodes").glob("*/episode-1/streams.parquet")).write_bytes(b"nonsense")
    errors: list[str] = []
    windows: list[StreamWindow] = []
    with WindowLoader(dataset, 1, workers=1) as loader:
        for _ in range(len(dataset)):
            try:
                windows.append(next(loader))
            except StoreError as error:
                errors.append(str(error))
    assert len(errors) == len(dataset) // 3
    assert all("episode-1" in each for each in errors)
    assert {window.episode_id for window in windows} == {"episode-0", "episode-2"}


def test_numbers_out_of_range_are_refused(root: Path) -> None:
    dataset = WindowDataset([Store.open(root)])
    for wrong in ({"workers": 0}, {"prefetch": 0}, {"start": -1}):
        with pytest.raises(ConfigError, match="loader: expected"):
            WindowLoader(dataset, 0, **wrong)
    with pytest.raises(ConfigError, match="rank below world"):
        WindowLoader(dataset, 0, rank=1)
