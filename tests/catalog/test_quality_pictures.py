"""Camera checks: on moving pictures with noise, and on rendered ones as they come out of the video view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clean_twins import Streams, synthetic
from numpy.typing import NDArray

from counterpoint.catalog.quality import CheckName, Thresholds, check_pictures, check_quality
from counterpoint.catalog.quality.picture import full_range, laplacian_variance, measure, thumbnails
from counterpoint.core.clock import periodic_ns
from counterpoint.engine import open_engine
from counterpoint.store import Store, StoreWriter, ViewFrames, build_video_view

LIMITS = Thresholds()
COUNT = 60
Luma = NDArray[np.uint8]


def smooth(picture: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    for _ in range(times):
        for axis in (0, 1):
            picture = (np.roll(picture, 1, axis) + 2 * picture + np.roll(picture, -1, axis)) / 4
    return picture


def film(seed: int) -> Luma:
    """A textured room through which something moves, as a noisy sensor sees it; luma [60, 168, 224]."""
    rng = np.random.default_rng(seed)
    room = smooth(rng.normal(size=(168, 224)), 2)
    room = 120 + 40 * room / room.std()
    frames = np.repeat(room[None], COUNT, axis=0)
    for index in range(COUNT):
        row, column = 40 + int(30 * np.sin(index / 5)), 20 + 2 * index
        frames[index, row : row + 50, column : column + 40] = 200 - 0.5 * room[:50, :40]
    return np.asarray((frames + rng.normal(size=frames.shape)).clip(0, 255), np.uint8)


def found(luma: Luma, streams: Streams | None = None) -> dict[CheckName, str]:
    track = measure("camera/front", periodic_ns(0, 5.0, len(luma)), luma)
    moving = synthetic(0, seconds=13.0) if streams is None else streams
    return {each.check: each.severity for each in check_pictures([track], moving, LIMITS)}


@pytest.mark.parametrize("seed", range(3))
def test_a_clean_film_is_not_flagged(seed: int) -> None:
    assert found(film(seed)) == {}


@pytest.mark.parametrize(("pictures", "severity"), [(4, "warn"), (20, "fail")])
def test_a_frozen_camera_is_found_while_joints_move(pictures: int, severity: str) -> None:
    luma = film(0)
    luma[20 : 20 + pictures] = luma[20]
    assert found(luma) == {"frozen_camera": severity}
    still = {
        name: replace(
            stream.select(np.zeros(len(stream), np.int64)), capture_ns=stream.capture_ns, arrival_ns=stream.arrival_ns
        )
        for name, stream in synthetic(0, seconds=13.0).items()
    }
    assert found(luma, still) == {}


def test_a_frozen_camera_is_found_across_groups_of_pictures() -> None:
    luma = film(0)
    luma[20:30] = luma[20]
    luma[25:30] = luma[25:30] + np.uint8(0)
    luma[25:30, ::2, ::2] ^= 1  # the same picture, coded anew
    assert found(luma) == {"frozen_camera": "warn"}


def test_darkness_and_black_are_found_with_their_ranges() -> None:
    luma = film(1)
    luma[10:20] = luma[10:20] // 4
    luma[30:40] = 2
    times = periodic_ns(0, 5.0, COUNT)
    track = measure("camera/front", times, luma)
    marks = [each for each in check_pictures([track], {}, LIMITS) if each.check == "dark"]
    assert [(each.severity, each.start_ns, each.end_ns) for each in marks] == [
        ("fail", times[30], times[39]),
        ("warn", times[10], times[19]),
    ]


def test_blur_is_found_and_sharpness_measured_as_a_plain_loop_would() -> None:
    luma = film(2)
    luma[10:20] = np.stack([smooth(frame.astype(np.float64), 8) for frame in luma[10:20]])
    assert found(luma) == {"blur": "warn"}
    frame = luma[0].astype(int)
    bend = [
        frame[y - 1, x] + frame[y + 1, x] + frame[y, x - 1] + frame[y, x + 1] - 4 * frame[y, x]
        for y in range(1, 167)
        for x in range(1, 223)
    ]
    assert laplacian_variance(luma[:1])[0] == pytest.approx(np.var(bend), rel=1e-5)


def test_odd_sizes_and_empty_films_are_measured() -> None:
    assert thumbnails(np.zeros((2, 5, 300), np.uint8)).shape == (2, 1, 30)
    assert len(measure("camera", np.empty(0, np.int64), np.empty((0, 4, 4), np.uint8)).change) == 0
    assert laplacian_variance(np.zeros((2, 2, 2), np.uint8)).tolist() == [np.inf, np.inf]
    assert full_range(np.array([16, 235, 0, 255], np.uint8)).tolist() == [0, 255, 0, 255]


@pytest.mark.sim
def test_rendered_pictures_through_the_video_view(tmp_path: Path) -> None:
    from counterpoint.robots.library import load_robot
    from counterpoint.sim.cameras import CameraConfig
    from counterpoint.sim.demonstrate import Demonstrations, demonstrate
    from counterpoint.sim.tasks import load_task

    camera = CameraConfig(name="wrist", height=96, width=96, rate_hz=30.0)
    series = Demonstrations(robot=load_robot("panda"), task=load_task("lift"), cameras=(camera,))
    episode = demonstrate(series, 0).episode
    name = "camera/wrist"
    clean = episode.streams[name]
    assert clean.values.dtype == np.uint8
    frames = clean.values.astype(np.uint8)
    place = len(frames) // 4
    faulty: dict[str, Luma] = {"clean": frames, "black": frames // 40, "dark": frames // 4}
    faulty["frozen_camera"] = frames.copy()
    faulty["frozen_camera"][place : place + 36] = frames[place]
    block = frames[:, :96, :96].reshape(len(frames), 6, 16, 6, 16, 3).mean(axis=(2, 4))
    coarse = block.repeat(16, axis=1).repeat(16, axis=2)
    faulty["blur"] = np.stack([smooth(one, 24) for one in coarse]).clip(0, 255).astype(np.uint8)
    with StoreWriter(tmp_path / "store") as writer:
        for label, values in faulty.items():
            streams = {**episode.streams, name: replace(clean, values=values)}
            writer.add(replace(episode, episode_id=label, streams=streams))
    store = Store.open(tmp_path / "store")
    engine = open_engine(workers=1)
    assert check_quality(store, engine=engine).files.checked["pictures"].to_pylist() == ["unseen"] * len(faulty)
    build_video_view(store, engine=engine)
    run = check_quality(store, engine=engine)  # what was unseen is looked at now, though nothing else has changed
    assert (run.checked, run.skipped) == (len(faulty), 0)
    assert ViewFrames(store.root).streams(store.info("clean").content_sha256) == [name]
    wanted = {
        "clean": set(),
        "black": {"dark"},
        "dark": {"dark", "blur"},
        "frozen_camera": {"frozen_camera"},
        "blur": {"blur"},
    }
    marks = run.files.marks.to_pylist()
    for label in faulty:
        checks = {each["check"] for each in marks if each["episode_id"] == label and each["stream"] == name}
        assert checks == wanted[label], label
