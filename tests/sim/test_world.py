"""Worlds: determinism, success, observations that hold nothing from the future, clear errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from counterpoint.core.embodiment import Side
from counterpoint.core.errors import ConfigError, PolicyError, UnknownNameError
from counterpoint.core.stream import Stream
from counterpoint.robots.library import load_robot, simulated_robot_names
from counterpoint.sim.task import ObjectSpec, Region, Task, ToolGoal, WorldState
from counterpoint.sim.tasks import TASKS, load_task
from counterpoint.sim.world import World

pytestmark = pytest.mark.sim


def make_world(robot: str = "panda", task: str = "lift", seed: int = 3) -> World:
    return World(load_robot(robot), load_task(task), seed=seed)


def run_still(world: World, steps: int) -> dict[str, Stream]:
    still = world.measured()
    for _ in range(steps):
        world.step(still)
    return world.streams()


def same(one: dict[str, Stream], other: dict[str, Stream]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name].capture_ns, other[name].capture_ns)
        and np.array_equal(one[name].arrival_ns, other[name].arrival_ns)
        and np.array_equal(one[name].values, other[name].values)
        for name in one
    )


def test_equal_seeds_give_equal_episodes() -> None:
    assert same(run_still(make_world(seed=5), 20), run_still(make_world(seed=5), 20))
    assert not same(run_still(make_world(seed=5), 20), run_still(make_world(seed=6), 20))


def test_asking_often_changes_nothing() -> None:
    asked, left = make_world(), make_world()
    still = asked.measured()
    for _ in range(20):
        asked.step(still)
        asked.observation()
        asked.state()
    assert same(asked.streams(), run_still(left, 20))


def test_a_robot_that_is_left_alone_holds_still() -> None:
    world = make_world()
    before = world.measured()
    run_still(world, 40)
    assert np.abs(world.measured() - before).max() < 2e-3
    assert world.state().objects[0].velocity == pytest.approx(np.zeros(3), abs=1e-3)


def test_observation_holds_only_what_has_arrived() -> None:
    world = make_world()
    full = run_still(world, 40)
    seen = world.observation(context_s=0.5)
    assert seen.now_ns == world.time_ns
    for name, stream in seen.streams.items():
        assert (stream.arrival_ns <= seen.now_ns).all(), name
        if name != "instruction":
            assert (stream.capture_ns >= seen.now_ns - 500_000_000).all(), name
        known = full[name].arrival_ns <= seen.now_ns
        assert stream.capture_ns[-1] == full[name].capture_ns[known][-1], name
    late = full["object/0"]
    assert len(late) > 0
    assert len(seen.streams["object/0"]) < len(late)


def test_instruction_is_a_paraphrase_and_always_seen() -> None:
    world = make_world(seed=11)
    run_still(world, 60)
    seen = world.observation(context_s=0.2).streams["instruction"]
    assert list(seen.values) == [world.instruction]
    assert "{" not in world.instruction
    assert len({make_world(seed=seed).instruction for seed in range(12)}) > 3


def test_action_is_what_was_executed_when_it_was() -> None:
    world = make_world()
    command = world.measured()
    command[0] = 99.0
    world.step(command)
    action = world.streams()["action"]
    assert action.values[0, 0] == pytest.approx(world.robot.embodiment.acting[0].upper)
    assert action.capture_ns[0] == world.start_ns
    assert world.time_ns == world.start_ns + round(1e9 * world.control_period_s)


def test_bad_commands_are_refused() -> None:
    world = make_world()
    command = world.measured()
    with pytest.raises(PolicyError, match=r"shape \(8,\)"):
        world.step(command[:3])
    command[2] = np.nan
    with pytest.raises(PolicyError, match=r"'joint_3' at 0\.00 s is nan"):
        world.step(command)
    still = world.measured()
    while world.time_s < world.task.time_limit_s + 0.9:
        world.step(still)
    with pytest.raises(PolicyError, match="ended at"):
        run_still(world, 10)


def test_unknown_camera_and_unfit_task() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'front'"):
        World(load_robot("panda"), load_task("reach"), seed=0, cameras=("fornt",))
    with pytest.raises(ConfigError, match="does not fit robot"):
        World(load_robot("panda"), load_task("lift_box"), seed=0)
    with pytest.raises(ConfigError, match="expected NAME"):
        World(load_robot("panda"), load_task("reach"), seed=0, cameras=("front:64",))


def test_a_task_without_room_says_so() -> None:
    crowded = replace(
        load_task("lift"),
        objects=tuple(ObjectSpec(name=name, region=Region(x=(0.5, 0.5), y=(0.5, 0.5), apart_m=0.1)) for name in "ab"),
    )
    with pytest.raises(ConfigError, match="no room for object 'b'"):
        World(load_robot("panda"), crowded, seed=0)


def _always(state: WorldState) -> bool:
    return state.time_s > 0.5


def _nothing(state: WorldState) -> dict[Side, ToolGoal]:
    return {}


def test_success_must_hold() -> None:
    task = Task(
        name="wait", objects=(), instructions=("wait",), success=_always, expert=_nothing, time_limit_s=2.0, hold_s=0.4
    )
    world = World(load_robot("ur5e"), task, seed=0)
    still = world.measured()
    while not world.done:
        world.step(still)
    assert world.success
    assert 0.9 < world.time_s < 1.1
    assert world.provenance().success is True


def test_pushes_move_the_arm_and_end() -> None:
    world = make_world("ur5e", "reach")
    still = world.measured()
    start = world.state().arms["center"].position
    world.shift(np.where(np.arange(len(still)) == 0, 0.2, 0.0), 0.3)
    moved = 0.0
    for _ in range(50):
        world.step(still)
        moved = max(moved, float(np.linalg.norm(world.state().arms["center"].position - start)))
    assert moved > 0.02
    assert np.linalg.norm(world.state().arms["center"].position - start) < 0.005
    world.push(np.full(len(still), 30.0), 0.2)
    world.step(still)
    assert np.linalg.norm(world.state().arms["center"].position - start) > 0.002


def test_a_nudged_object_slides() -> None:
    world = make_world(seed=4)
    before = world.state().objects[0].position
    world.nudge(0, np.array([0.4, 0.0, 0.0]))
    run_still(world, 10)
    assert world.state().objects[0].position[0] > before[0] + 0.003


def test_belt_carries_the_object() -> None:
    world = make_world("panda", "conveyor", seed=2)
    before = world.state().objects[0].position
    run_still(world, 20)
    travelled = world.state().objects[0].position[1] - before[1]
    assert travelled == pytest.approx(world.layout.belt_speed_m_s * world.time_s, rel=0.1)
    assert world.state().objects[0].velocity[1] == pytest.approx(world.layout.belt_speed_m_s, rel=0.1)


def test_markers_move_as_their_velocity_says() -> None:
    world = make_world("panda", "track", seed=2)
    still = world.measured()
    world.step(still)
    before = world.state().objects[0]
    world.step(still)
    after = world.state().objects[0]
    mean = (before.velocity + after.velocity) / 2
    assert (after.position - before.position) / world.control_period_s == pytest.approx(mean, abs=0.01)


def test_seeds_vary_the_world() -> None:
    worlds = [make_world(seed=seed) for seed in range(8)]
    assert len({world.layout.site.site_id for world in worlds}) > 4
    assert len({world.provenance().environment for world in worlds}) > 2
    assert np.ptp([world.layout.objects[0].mass_kg for world in worlds]) > 0.02
    assert np.ptp([world.measured()[0] for world in worlds]) > 0.05


@pytest.mark.parametrize("robot_name", simulated_robot_names())
def test_every_fitting_world_starts_clear_of_the_table(robot_name: str) -> None:
    robot = load_robot(robot_name)
    for task in TASKS.values():
        if not task.fits(robot):
            continue
        for seed in range(2):
            world = World(robot, task, seed=seed)
            for arm in world.state().arms.values():
                assert arm.position[2] > robot.table_height_m + 0.05, task.name
                assert not arm.touching, task.name
            assert not world.is_unstable
