"""Cameras: frames at their instants, what they show, and their settings."""

from __future__ import annotations

import numpy as np
import pytest

from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.robots.library import load_robot
from counterpoint.sim.cameras import CameraConfig, parse_camera
from counterpoint.sim.tasks import load_task
from counterpoint.sim.world import World

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def filmed() -> World:
    cameras = ("front:96x64@20", CameraConfig(name="wrist", rate_hz=10))
    try:
        world = World(load_robot("panda"), load_task("lift"), seed=2, cameras=cameras)
    except CounterpointError as error:
        pytest.skip(str(error))
    command = world.measured()
    command[0] += 0.5
    for _ in range(20):
        world.step(command)
    return world


def test_frames_come_at_the_camera_rate_and_late(filmed: World) -> None:
    front = filmed.streams()["camera/front"]
    assert front.values.shape[1:] == (64, 96, 3)
    assert np.median(np.diff(front.capture_ns)) == pytest.approx(5e7, abs=1e7)
    assert len(front) == pytest.approx(20 * filmed.time_ns / 1e9, abs=1.5)
    delays = (front.arrival_ns - front.capture_ns) / 1e9
    assert delays.min() > 0.03
    assert delays.max() < 0.05
    seen = filmed.observation(context_s=60).streams["camera/front"]
    assert len(seen) == (front.arrival_ns <= filmed.time_ns).sum()


def test_frames_show_the_world_moving(filmed: World) -> None:
    front = filmed.streams()["camera/front"].values.astype(float)
    assert front[0].std() > 10
    assert np.abs(front[-1] - front[0]).max() > 40
    wrist = filmed.streams()["camera/wrist"].values.astype(float)
    assert wrist.shape[1:] == (64, 64, 3)
    assert np.abs(wrist[-1] - wrist[0]).max() > 40


def test_equal_seeds_give_equal_frames(filmed: World) -> None:
    again = World(load_robot("panda"), load_task("lift"), seed=2, cameras=("front:96x64@20",))
    count = len(again.streams()["camera/front"])
    assert np.array_equal(again.streams()["camera/front"].values, filmed.streams()["camera/front"].values[:count])


def test_render_is_for_people_and_any_size(filmed: World) -> None:
    assert filmed.render("side", height=120, width=200).shape == (120, 200, 3)
    with pytest.raises(ConfigError, match="pixels"):
        filmed.render("side", height=5000, width=200)


def test_camera_settings_are_read_and_checked() -> None:
    assert parse_camera("left/wrist:224x128@30") == CameraConfig(name="left/wrist", width=224, height=128, rate_hz=30)
    for bad in ("front:8x8", "front@0.1", "front:64", "Front?"):
        with pytest.raises(ConfigError):
            parse_camera(bad)
