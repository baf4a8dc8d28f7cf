"""The same episodes from a store on disk and from memory give the same batches; cameras are decoded on demand."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.stream import Stream
from counterpoint.data.batches.loader import Loader
from counterpoint.data.batches.training import TrainingBatches, training_windows
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.data.episodes.source import EpisodeSource, MemorySource
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.store import Store, build_low_view
from counterpoint.store.episodes.writer import StoreWriter

ALL = Selection(split="all")
ROBOT = synthetic_embodiment(7)
EPISODES = [synthetic_episode(ROBOT, i, seed=4) for i in range(4)]


def stored(folder: Path) -> Store:
    with StoreWriter(folder) as writer:
        for episode in EPISODES:
            writer.add(episode)
    return Store.open(folder)


def batches(source: EpisodeSource, processor: Processor, view: str = "5hz") -> TrainingBatches:
    reader = training_windows([source], processor, select_episodes([source], ALL), view=view)
    return TrainingBatches(reader=reader, seed=0, batch_windows=4)


def test_a_store_gives_the_batches_that_memory_gives(tmp_path: Path) -> None:
    store: EpisodeSource = stored(tmp_path / "store")
    memory = MemorySource(EPISODES)
    processor = Processor.fit([memory], selection=ALL)
    assert Processor.fit([store], selection=ALL).to_dict() == processor.to_dict()
    expected = [pickle.dumps(batches(memory, processor)[step]) for step in range(3)]
    with Loader(batches(store, processor), workers=1) as loader:
        assert [pickle.dumps(next(loader)) for _ in range(3)] == expected


def test_a_store_travels_to_a_worker_without_its_samples(tmp_path: Path) -> None:
    store = stored(tmp_path / "store")
    build_low_view(store)
    mapped = [store.low(episode.episode_id) for episode in EPISODES]
    samples = sum(s.values.nbytes + 2 * s.capture_ns.nbytes for streams in mapped for s in streams.values())
    assert len(pickle.dumps(store)) < samples / 3
    streams = mapped[0]
    again: Store = pickle.loads(pickle.dumps(store))
    values = again.low(EPISODES[0].episode_id)["action"].values
    np.testing.assert_array_equal(values, streams["action"].values)


def test_cameras_of_a_store_are_decoded_for_the_frames_needed(tmp_path: Path) -> None:
    spec = StreamSpec(name="camera/front", kind="image", height=32, width=32)
    capture = EPISODES[0].streams["object/0"].capture_ns[:40]
    frames = np.full((40, 32, 32, 3), 128, np.uint8)
    camera = Stream(spec=spec, capture_ns=capture, arrival_ns=capture, values=frames)
    episode = replace(EPISODES[0], streams={**EPISODES[0].streams, "camera/front": camera})
    with StoreWriter(tmp_path / "store") as writer:
        writer.add(episode)
    store = Store.open(tmp_path / "store")
    window = WindowConfig(cameras=("camera/front", "camera/wrist"), patch=8)
    processor = Processor.fit([store], window, selection=ALL)
    batch = batches(store, processor, view="")[0]
    (images,) = batch.images
    assert images.patches.shape[1:] == (8, 8, 3)
    assert len(images.patches) % 16 == 0
    assert abs(float(images.patches.mean()) - 128) < 3
