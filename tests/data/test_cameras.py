"""Training reads small pictures from the video view: the nearest ones, at their own times, visible once arrived."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import ConfigError
from counterpoint.core.stream import Stream
from counterpoint.data.batches.batches import BatchMaker, LoaderConfig
from counterpoint.data.batches.loader import Loader
from counterpoint.data.encoding.images import frame_patches
from counterpoint.data.encoding.pack import EncodedWindow
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.selection import Selection
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, StoreWriter, build_video_view
from counterpoint.store.cloud.publish import publish_views
from counterpoint.store.cloud.remote import RemoteStore

ROBOT = synthetic_embodiment(7)
SIDE = 64
LATE_NS = 30_000_000
CAMERA = StreamSpec(name="camera/front", kind="image", height=SIDE, width=SIDE)
WINDOW = WindowConfig(cameras=("camera/front", "camera/absent"), patch=16, latency_jitter_s=0.0)
EVERYTHING = Selection(split="all")


def filmed(number: int) -> Stream:
    """A soft pattern that moves and grows brighter, 25 pictures a second."""
    start, end = (int(synthetic_episode(ROBOT, number, seed=4).streams["action"].capture_ns[at]) for at in (0, -1))
    times = np.arange(start, end, 40_000_000, dtype=np.int64)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    step = np.arange(len(times))[:, None, None]
    wave = 60 + 40 * np.sin((x - step) / 9) + 20 * np.cos(y / 7) + 0.5 * step
    frames = np.clip(np.stack([wave, wave + 5, wave - 5], axis=-1), 0, 255).astype(np.uint8)
    return Stream(spec=CAMERA, capture_ns=times, arrival_ns=times + LATE_NS, values=frames)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filmed") / "store"
    with StoreWriter(path) as writer:
        for number in range(3):
            episode = synthetic_episode(ROBOT, number, seed=4)
            streams = {**episode.streams, CAMERA.name: filmed(number)} if number < 2 else episode.streams
            writer.add(replace(episode, streams=streams))
    return path


def maker(source: Store | RemoteStore, view: str, processor: Processor) -> BatchMaker:
    return BatchMaker([source], processor, LoaderConfig(selection=EVERYTHING, workers=0, view=view))


def seen(window: EncodedWindow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Capture and arrival in nanoseconds, and patches of each picture of a window."""
    (piece,) = window.images
    first = piece.place[:: 4 * 4]
    capture, arrival = (
        window.origin_ns + np.rint(1e9 * times[first].astype(float)) for times in (window.capture_s, window.arrival_s)
    )
    return capture, arrival, piece.patches.reshape(len(first), -1, *piece.patches.shape[1:])


def test_windows_see_the_pictures_of_the_view_at_their_own_times(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store.open(root)
    processor = Processor.fit([store], WINDOW, selection=EVERYTHING)
    with caplog.at_level(logging.WARNING):
        slow = maker(store, "5hz", processor).window(0, 0)
        masters = maker(store, "", processor)
        assert [maker(store, "5hz", processor).window(0, at).images for at in range(3)]
    (line,) = [record.getMessage() for record in caplog.records if "not in the video view" in record.getMessage()]
    assert f"counterpoint prepare {root}" in line
    build_video_view(store, engine=LocalEngine(workers=1))
    viewed = maker(Store.open(root), "5hz", processor)
    assert all(np.array_equal(a, b) for a, b in zip(seen(slow), seen(masters.window(0, 0)), strict=True))
    pictures = 0
    for position in range(12):
        window, other = viewed.window(0, position), masters.window(0, position)
        np.testing.assert_array_equal(window.decision_s, other.decision_s)
        np.testing.assert_array_equal(window.values, other.values)
        if not other.images:
            assert not window.images  # the episode without a camera
            continue
        name = next(e.episode_id for e in store.episodes if _holds(store, e.episode_id, window.origin_ns))
        coded = store.video_view().stream(store.info(name).content_sha256, CAMERA.name)
        capture, arrival, patches = seen(window)
        _, _, every = seen(other)
        at = np.abs(coded.capture_ns[:, None] - capture).argmin(axis=0)
        assert np.abs(coded.capture_ns[at] - capture).max() < 1000  # float32 seconds
        assert np.abs(arrival - capture - LATE_NS).max() < 1000
        decisions = window.origin_ns + 1e9 * window.decision_s.astype(float)
        newest = {int(np.searchsorted(coded.arrival_ns, each, side="right")) - 1 for each in decisions}
        assert set(at.tolist()) == {each for each in newest if each >= 0}
        master = store.frames(name, CAMERA.name, coded.samples[at])
        expected = frame_patches(master, WINDOW.patch, WINDOW.image_patches)
        assert np.abs(patches.astype(float) - expected).mean() < 4
        assert len(patches) <= len(every)
        pictures += len(patches)
    assert pictures > 20


def _holds(store: Store, episode_id: str, time_ns: int) -> bool:
    info = store.info(episode_id)
    return info.stream(CAMERA.name) is not None and info.start_ns <= time_ns <= info.end_ns


def test_workers_and_published_views_give_the_same_batches(root: Path, tmp_path: Path) -> None:
    store = Store.open(root)
    build_video_view(store, engine=LocalEngine(workers=1))
    processor = Processor.fit([store], WINDOW, selection=EVERYTHING)
    expected = [maker(store, "5hz", processor).batch(step).images[0].patches for step in range(2)]
    with Loader([store], processor, LoaderConfig(selection=EVERYTHING, workers=1)) as loader:
        for patches in expected:
            np.testing.assert_array_equal(next(loader).images[0].patches, patches)
    url = (tmp_path / "published").as_uri()
    publish_views(store, url)
    remote = maker(RemoteStore.open(url, cache=tmp_path / "cache"), "5hz", processor)
    np.testing.assert_array_equal(remote.batch(1).images[0].patches, expected[1])


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"loader\.view: expected 5hz"):
        LoaderConfig(view="5 hz")
