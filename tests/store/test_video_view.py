"""The video training view: pictures, times, keys; built once, checked by name, refused when damaged."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError, UnknownNameError
from counterpoint.core.stream import Stream
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, StoreWriter, ViewFrames, build_video_view
from counterpoint.store.build_video import nearest_samples
from counterpoint.store.views import video_places, video_view
from counterpoint.store.views.codec import yuv420_to_rgb
from counterpoint.store.views.gops import VIEW, CodedStream, write_shard
from counterpoint.store.views.video_places import Place, VideoPlaces, add_places
from counterpoint.store.views.video_shards import record_shards

MakeEpisode = Callable[..., Episode]
HERE = LocalEngine(workers=1)


def filmed(
    episode: Episode, height: int = 160, width: int = 240, rate_hz: float = 15.0, seconds: float = 5.0
) -> Episode:
    """Add a camera that looks at a soft pattern moving to the right, brighter with time."""
    times = periodic_ns(1_000_000_000, rate_hz, int(rate_hz * seconds))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    shift = 0.5 * np.arange(len(times))[:, None, None]
    wave = 90 + 50 * np.sin((x - shift) / 17) + 0.3 * shift
    frames = np.stack([wave + 20 * np.sin(y / 11), wave, 0.6 * wave + y / 10], axis=-1)
    spec = StreamSpec(name="camera/wrist", kind="image", height=height, width=width, rate_hz=rate_hz)
    camera = Stream(
        spec=spec,
        capture_ns=times,
        arrival_ns=times + 7_000_000,
        values=np.clip(frames, 0, 255).astype(np.uint8),
    )
    return replace(episode, streams={**episode.streams, spec.name: camera})


@pytest.fixture
def store(tmp_path: Path, make_episode: MakeEpisode) -> Store:
    with StoreWriter(tmp_path / "store") as writer:
        writer.add(filmed(make_episode(0, seconds=6.0)))
        writer.add(make_episode(1, camera=True, seconds=3.0))
        writer.add(make_episode(2))
    return Store.open(tmp_path / "store")


def close(found: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    return float(np.abs(found.astype(float) - expected.astype(float)).mean())


def test_view_has_the_nearest_pictures_at_their_own_times(store: Store) -> None:
    report = build_video_view(store, engine=HERE)
    assert (report.built, report.present, report.failed) == (2, 0, {})
    view = ViewFrames(store.root)
    content = store.info("arm-reach-0000").content_sha256
    master = store.frame_times("arm-reach-0000", "camera/wrist")
    coded = view.stream(content, "camera/wrist")
    np.testing.assert_array_equal(coded.samples, np.arange(0, 75, 3))
    capture_ns, arrival_ns = view.frame_times(content, "camera/wrist")
    np.testing.assert_array_equal(capture_ns, master[0][::3])
    np.testing.assert_array_equal(arrival_ns, master[1][::3])
    np.testing.assert_array_equal(coded.keys, [0, 10, 20])
    assert (coded.height, coded.width) == (150, 224)
    assert view.streams(content) == ["camera/wrist"]


def test_any_pictures_decode_alike_in_every_layout(store: Store) -> None:
    build_video_view(store, engine=HERE)
    view = ViewFrames(store.root)
    info = store.info("arm-reach-0001")
    master = store.read(info.episode_id, streams=["camera/front"]).streams["camera/front"].values
    assert master.dtype == np.uint8
    every = view.frames(info.content_sha256, "camera/front", np.arange(15))
    assert every.shape == (15, 18, 24, 3)
    assert close(every, master[::2]) < 4
    chosen = np.array([3, 3, 4, 9, 12, 14])
    np.testing.assert_array_equal(view.frames(info.content_sha256, "camera/front", chosen), every[chosen])
    planes = view.decode(info.content_sha256, "camera/front", chosen, "yuv420")
    assert planes.shape == (6, 27, 24)
    assert close(yuv420_to_rgb(planes), every[chosen]) < 3
    luma = view.luma(info.content_sha256, "camera/front", chosen)
    np.testing.assert_array_equal(luma, planes[:, :18])
    assert view.frames(info.content_sha256, "camera/front", np.arange(0)).shape == (0, 18, 24, 3)


def test_building_again_builds_only_what_is_missing(store: Store, make_episode: MakeEpisode) -> None:
    first = build_video_view(store, ["arm-reach-0001", "arm-reach-0002"], engine=HERE)
    assert (first.built, first.present) == (1, 0)
    second = build_video_view(store, engine=HERE)
    assert (second.built, second.present) == (1, 1)
    files = sorted(store.root.glob(f"{VIEW}/5hz/*/*.arrow"))
    assert build_video_view(store, engine=HERE).built == 0
    assert sorted(store.root.glob(f"{VIEW}/5hz/*/*.arrow")) == files
    ten = build_video_view(store, preset="10hz", engine=HERE)
    assert ten.built == 2
    content = store.info("arm-reach-0001").content_sha256
    assert len(ViewFrames(store.root, "10hz").frame_times(content, "camera/front")[0]) == 30


def test_every_process_gives_the_same_pictures(store: Store) -> None:
    build_video_view(store, engine=LocalEngine(workers=2))
    view = ViewFrames(store.root)
    content = store.info("arm-reach-0001").content_sha256
    expected = view.frames(content, "camera/front", np.array([5]))
    again = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(again.frames(content, "camera/front", np.array([5])), expected)


def test_damaged_master_stops_no_other(store: Store) -> None:
    video = next(store.root.glob("episodes/*/arm-reach-0001/*.mp4"))
    video.write_bytes(video.read_bytes()[:200])
    report = build_video_view(store, engine=HERE)
    assert report.built == 1
    assert "not a readable mp4" in report.failed["arm-reach-0001"]


def test_flipped_byte_is_found_and_damage_is_explained(store: Store) -> None:
    build_video_view(store, engine=HERE)
    assert store.verify() == []
    shards = sorted(store.root.glob(f"{VIEW}/5hz/*/*.arrow"))
    for shard in shards:
        data = bytearray(shard.read_bytes())
        data[len(data) // 2 :: 50] = bytes(len(data[len(data) // 2 :: 50]))
        shard.write_bytes(bytes(data))
    assert {problem.reason for problem in store.verify()} == {"checksum"}
    for shard in shards:
        shard.write_bytes(shard.read_bytes()[:1000])
    info = store.info("arm-reach-0001")
    with pytest.raises(UnknownNameError, match="build it first"):
        ViewFrames(store.root).frames(info.content_sha256, "camera/front", np.array([0]))
    assert build_video_view(store, engine=HERE).built == 2


def test_numbers_out_of_range_and_unknown_presets_are_refused(store: Store) -> None:
    build_video_view(store, engine=HERE)
    view = ViewFrames(store.root)
    content = store.info("arm-reach-0001").content_sha256
    for wrong in ([15], [-1], [4, 3]):
        with pytest.raises(StoreError, match="never decreasing"):
            view.frames(content, "camera/front", np.array(wrong))
    with pytest.raises(UnknownNameError, match="did you mean '5hz'"):
        build_video_view(store, preset="5 hz")
    assert not view.has(content, "camera/other")


def test_irregular_times_keep_each_picture_once() -> None:
    times = np.array([0, 10, 400, 410, 1500, 1510], np.int64) * 1_000_000
    np.testing.assert_array_equal(nearest_samples(times, 5.0), [0, 2, 4])
    np.testing.assert_array_equal(nearest_samples(times, 0.0), np.arange(6))
    np.testing.assert_array_equal(nearest_samples(times[:1], 5.0), [0])


def synthetic(number: int) -> CodedStream:
    """A stream whose packets are its number, in two groups."""
    content = hashlib.sha256(str(number // 2).encode()).hexdigest()
    times = np.arange(4, dtype=np.int64) + 10 * number
    return CodedStream(
        content_sha256=content,
        stream=f"camera/{number % 2}",
        codec="h264",
        extradata=b"",
        height=16,
        width=16,
        samples=np.arange(4),
        capture_ns=times,
        arrival_ns=times,
        keys=np.array([0, 2]),
        ends=np.array([2, 4, 6, 8]),
        data=np.full(8, number % 251, np.uint8),
    )


def test_large_views_are_opened_without_reading_and_searched_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_view, "OPEN_SHARDS", 8)
    monkeypatch.setattr(video_view, "CACHED_STREAMS", 8)
    monkeypatch.setattr(video_places, "BATCH_ROWS", 1 << 15)
    folder = tmp_path / VIEW / "5hz"
    rng = np.random.default_rng(0)
    digests = [rng.bytes(32).hex() for _ in range(50)]
    keys = rng.integers(0, 2**63, (5, 40_000), dtype=np.uint64) * np.uint64(2)
    for part in keys:  # places of shards on another disk: only their number matters
        add_places(folder, ((key, Place(digests[key % 50], 0, 1)) for key in part.tolist()))
    for first in range(0, 600, 6):
        record_shards(folder, [write_shard(folder, [synthetic(each) for each in range(first, first + 6)], "5hz")])
    assert len(list(folder.glob("places-*.arrow"))) <= video_places.MOST_FILES
    view = ViewFrames(tmp_path)
    for number in rng.permutation(600).tolist():
        expected = synthetic(number)
        found = view.stream(expected.content_sha256, expected.stream)
        assert bytes(found.packet(3)) == bytes(expected.packet(3))
        np.testing.assert_array_equal(found.capture_ns, expected.capture_ns)
    assert view.streams(synthetic(7).content_sha256) == ["camera/0", "camera/1"]
    assert not view.has("0" * 64, "camera/0")
    assert len(view._shards) == 8
    assert len(view._streams) == 8
    places = VideoPlaces(folder)
    places.refresh()
    assert len(places) == 200_600
    assert {place.shard for place in places.find(int(keys[2, 77]))} == {digests[int(keys[2, 77]) % 50]}


def test_shards_that_a_killed_builder_left_are_taken_over(store: Store) -> None:
    build_video_view(store, engine=HERE)
    folder = store.root / VIEW / "5hz"
    for path in folder.glob("places-*.arrow"):
        path.unlink()
    shards = sorted(folder.glob("*/*.arrow"))
    assert not ViewFrames(store.root).has(store.info("arm-reach-0001").content_sha256, "camera/front")
    torn = folder / "00" / f"{64 * '0'}.arrow"
    torn.parent.mkdir(exist_ok=True)
    torn.write_bytes(shards[0].read_bytes()[:1000])
    report = build_video_view(store, engine=HERE)
    assert (report.built, report.present) == (0, 2)
    assert sorted(folder.glob("*/*.arrow")) == shards
    write_shard(
        folder, [ViewFrames(store.root).stream(store.info("arm-reach-0001").content_sha256, "camera/front")], ""
    )
    assert build_video_view(store, engine=HERE).built == 0
    assert sorted(folder.glob("*/*.arrow")) == shards
