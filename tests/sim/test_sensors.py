"""Sensors: rates, latencies, noise, drop-outs, and luck that does not depend on what the robot does."""

from __future__ import annotations

import numpy as np
import pytest

from counterpoint.core.stream import Stream
from counterpoint.robots.library import load_robot
from counterpoint.sim.schedule import TRACKER_TIMING, Timing, draw_schedule
from counterpoint.sim.tasks import load_task
from counterpoint.sim.world import World

pytestmark = pytest.mark.sim


def run(offset: float, *, seed: int = 9, robot: str = "panda", task: str = "track") -> tuple[World, dict[str, Stream]]:
    world = World(load_robot(robot), load_task(task), seed=seed)
    command = world.measured() + np.float32(offset)
    for _ in range(60):
        world.step(command)
    return world, world.streams()


def test_every_sample_arrives_after_its_capture() -> None:
    _, streams = run(0.0)
    for name in ("proprioception", "tool_pose", "wrist_force", "object/0"):
        assert (streams[name].arrival_ns > streams[name].capture_ns).all(), name


def test_rates_and_latencies_are_those_of_the_sensor() -> None:
    _, streams = run(0.0)
    for name, rate, latency in (("proprioception", 100, 0.002), ("tool_pose", 100, 0.002), ("object/0", 25, 0.03)):
        stream = streams[name]
        assert np.median(np.diff(stream.capture_ns)) == pytest.approx(1e9 / rate, rel=0.1)
        delays = (stream.arrival_ns - stream.capture_ns) / 1e9
        assert delays.mean() == pytest.approx(latency, rel=0.2)
        assert np.ptp(delays) > latency / 4


def test_sensor_luck_does_not_depend_on_control() -> None:
    (_, still), (_, moved) = run(0.0), run(0.1)
    for name, stream in still.items():
        assert np.array_equal(stream.capture_ns, moved[name].capture_ns)
        assert np.array_equal(stream.arrival_ns, moved[name].arrival_ns)
    assert np.allclose(still["object/0"].values, moved["object/0"].values, atol=1e-6)  # the marker ignores the robot
    assert not np.allclose(still["proprioception"].values, moved["proprioception"].values, atol=1e-2)


def test_trackers_report_the_truth_with_a_little_noise() -> None:
    world, streams = run(0.0)
    stream, placed = streams["object/0"], world.layout.objects[0]
    assert placed.motion is not None
    times = (stream.capture_ns / 1e9)[:, None]
    error = stream.values[:, :3] - (placed.position + placed.motion.offset(times))
    assert 0.0003 < error.std() < 0.003
    assert np.abs(error).max() < 0.01
    columns = stream.values[:, 3:9].reshape(-1, 2, 3)
    assert np.linalg.norm(columns, axis=-1) == pytest.approx(np.ones((len(stream), 2)), abs=1e-5)
    assert stream.values[0, 9:] == pytest.approx(placed.half_size, abs=0.005)


def test_tool_pose_is_where_the_tool_is() -> None:
    world, streams = run(0.0, task="reach")
    arm = world.state().arms["center"]
    assert streams["tool_pose"].values[-1, :3] == pytest.approx(arm.position, abs=0.002)
    assert streams["tool_pose"].values[-1, 3:] == pytest.approx(arm.rotation[:, :2].T.ravel(), abs=0.01)


def test_proprioception_follows_the_embodiment() -> None:
    world, streams = run(0.0, robot="bimanual_panda", task="reach")
    stream = streams["proprioception"]
    assert stream.spec == world.robot.embodiment.sensing[0]
    names = stream.spec.channel_names
    for column, name in enumerate(world.robot.embodiment.acting_names):
        assert stream.values[-1, names.index(name)] == pytest.approx(world.measured()[column], abs=0.003)


def test_wrist_force_feels_a_press_on_the_table() -> None:
    world = World(load_robot("panda"), load_task("lift"), seed=1)
    free = world.streams()["wrist_force"].values
    assert np.abs(free).max() < 3.0
    command = world.measured()
    command[1] += 0.6  # lean down onto the table
    command[3] += 0.2
    for _ in range(40):
        world.step(command)
    assert np.abs(world.streams()["wrist_force"].values).max() > 10.0


def test_drop_outs_and_gaps_happen_but_not_at_the_start() -> None:
    timing = Timing(rate_hz=25.0, drop_rate=0.02, gap_rate_hz=0.05)
    schedules = [draw_schedule(timing, 20.0, np.random.default_rng(seed)) for seed in range(40)]
    lost = 1 - sum(map(len, schedules)) / (40 * 500)
    assert 0.02 < lost < 0.05
    widest = max(float(np.diff(schedule.capture_ns).max()) / 1e9 for schedule in schedules)
    assert 0.15 < widest < 0.6
    assert all(schedule.capture_ns[3] < 0.2e9 for schedule in schedules)


def test_capture_times_never_run_backwards() -> None:
    for seed in range(20):
        schedule = draw_schedule(TRACKER_TIMING, 8.0, np.random.default_rng(seed))
        assert (np.diff(schedule.capture_ns) > 0).all()
        assert schedule.capture_ns[0] >= 0
