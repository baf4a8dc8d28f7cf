"""Training reads small pictures from the video view: the nearest ones, at their own times, visible once arrived."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import StoreError
from counterpoint.core.policy import Observation
from counterpoint.core.stream import Stream
from counterpoint.data.batches.loader import Loader
from counterpoint.data.batches.training import TrainingBatches, TrainingReader, training_windows
from counterpoint.data.encoding.images import frame_patches
from counterpoint.data.encoding.pack import EncodedWindow
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.data.episodes.views import build_missing_views
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


def reader_of(source: Store | RemoteStore, view: str, processor: Processor) -> TrainingReader:
    return training_windows([source], processor, select_episodes([source], EVERYTHING), view=view)


def batches_of(source: Store | RemoteStore, processor: Processor) -> TrainingBatches:
    return TrainingBatches(reader=reader_of(source, "5hz", processor), seed=0, batch_windows=32)


def seen(window: EncodedWindow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Capture and arrival in nanoseconds, and patches of each picture of a window."""
    (piece,) = window.images
    first = piece.place[:: 4 * 4]
    capture, arrival = (
        window.origin_ns + np.rint(1e9 * times[first].astype(float)) for times in (window.capture_s, window.arrival_s)
    )
    return capture, arrival, piece.patches.reshape(len(first), -1, *piece.patches.shape[1:])


def test_windows_see_the_pictures_of_the_view_at_their_own_times(root: Path) -> None:
    store = Store.open(root)
    processor = Processor.fit([store], WINDOW, selection=EVERYTHING)
    masters = reader_of(store, "", processor)
    files = sorted(root.rglob("*"))
    with pytest.raises(StoreError, match=f"counterpoint prepare {root}"):
        [reader_of(store, "5hz", processor).sample(0, position) for position in range(12)]
    assert sorted(root.rglob("*")) == files, "reading writes nothing"
    episodes = select_episodes([store], EVERYTHING)
    build_missing_views([store], episodes, WINDOW.cameras, "5hz", progress=False)
    viewed = reader_of(Store.open(root), "5hz", processor)
    pictures = 0
    for position in range(12):
        window, other = viewed.sample(0, position), masters.sample(0, position)
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
    expected = [batches_of(store, processor)[step].images[0].patches for step in range(2)]
    with Loader(batches_of(store, processor), workers=1) as loader:
        for patches in expected:
            np.testing.assert_array_equal(next(loader).images[0].patches, patches)
    url = (tmp_path / "published").as_uri()
    publish_views(store, url)
    remote = reader_of(RemoteStore.open(url, cache=tmp_path / "cache"), "5hz", processor)
    local = reader_of(store, "5hz", processor)
    for index in range(0, len(local), 5):
        one, other = local[index], remote[index]
        np.testing.assert_array_equal(one.decision_s, other.decision_s)
        for here, there in zip(one.images, other.images, strict=True):
            np.testing.assert_array_equal(here.patches, there.patches)


def test_the_same_picture_gives_the_same_patches_in_training_and_in_serving(root: Path) -> None:
    """Training scales pictures of the view, serving the robot's own frame: one function, the same patches."""
    store = Store.open(root)
    build_video_view(store, engine=LocalEngine(workers=1))
    config = replace(WINDOW, image_patches=(2, 2))  # 64 pixels become 32
    processor = Processor.fit([store], config, selection=EVERYTHING)
    info = store.episodes[0]
    robot, low = store.embodiment(info.embodiment), store.low(info.episode_id)
    pictures = store.pictures(info.episode_id, CAMERA.name)
    assert pictures is not None
    frames = store.read(info.episode_id, streams=[CAMERA.name]).streams[CAMERA.name]
    prepared = processor.prepare(robot, low, {CAMERA.name: pictures})
    for picture in (5, 9, 14):
        now_ns = int(pictures.arrival_ns[picture]) + 1000
        trained = processor.encode(prepared, np.array([now_ns]), np.zeros(1, np.float32)).images[0].patches
        at = int(np.flatnonzero(frames.capture_ns == pictures.capture_ns[picture])[0])
        known = {name: each.select(each.arrival_ns <= now_ns) for name, each in low.items()}
        known[CAMERA.name] = frames.select(slice(at, at + 1))
        observation = Observation(embodiment=robot, now_ns=now_ns, streams=known, ready_ns=now_ns)
        served = processor.encode_observation(observation).images[0].patches
        assert served.shape == trained.shape
        difference = np.abs(served.astype(float) - trained)
        assert difference.mean() < 2.5
        assert difference.max() < 16
        nearest_pixels = frames.values[at, ::2, ::2].reshape(2, 16, 2, 16, 3).transpose(0, 2, 1, 3, 4)
        assert np.abs(served.astype(float) - nearest_pixels.reshape(served.shape)).mean() > 0


def test_arrival_jitter_delays_cameras_too(root: Path) -> None:
    store = Store.open(root)
    config = replace(WINDOW, latency_jitter_s=0.3, cameras=(CAMERA.name,))
    processor = Processor.fit([store], config, selection=EVERYTHING)
    reader = reader_of(store, "", processor)
    late = []
    for position in range(24):
        window = reader.sample(0, position)
        if window.images:
            place = window.images[0].place
            delay_s = window.arrival_s[place] - window.capture_s[place] - LATE_NS / 1e9
            assert np.ptp(delay_s) < 1e-4, "one delay for all pictures of a window"
            assert window.arrival_s[place].max() <= window.decision_s[-1] + 1e-6
            late.append(float(delay_s[0]))
    assert len(late) > 8
    assert min(late) < 0.1
    assert 0.2 < max(late) <= 0.3
