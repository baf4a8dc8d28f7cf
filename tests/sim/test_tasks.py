"""What counts as done, and what an expert wants, on states built by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike

from counterpoint.core.embodiment import Side
from counterpoint.core.errors import UnknownNameError
from counterpoint.robots.library import load_robot
from counterpoint.sim.task import POINTING_DOWN, ArmState, ObjectState, Task, WorldState
from counterpoint.sim.tasks import TASKS, load_task

HALF = {"block": (0.022, 0.022, 0.025), "puck": (0.04, 0.04, 0.02), "box": (0.07, 0.12, 0.06)}


def arm_at(
    position: ArrayLike, *, side: Side = "center", opening: float = 1.0, touching: str = "", gripping: str = ""
) -> ArmState:
    return ArmState(
        side=side,
        position=np.asarray(position, dtype=np.float64),
        rotation=POINTING_DOWN,
        velocity=np.zeros(3),
        opening=opening,
        joints=np.zeros(7),
        touching=frozenset(filter(None, [touching, gripping])),
        gripping=frozenset(filter(None, [gripping])),
    )


def world_state(task: Task, places: Mapping[str, ArrayLike], *arms: ArmState, belt_m_s: float = 0.0) -> WorldState:
    """Return a state with the task's objects at `places`; an `each_arm` object is named `left/target`."""
    specs = {spec.name: spec for spec in task.objects}
    objects = []
    for name, place in places.items():
        side, _, short = name.rpartition("/")
        objects.append(
            ObjectState(
                name=name,
                spec=specs[short],
                side="left" if side == "left" else "right" if side == "right" else "center",
                position=np.asarray(place, dtype=np.float64),
                rotation=np.eye(3),
                velocity=np.array([0.0, belt_m_s, 0.0]),
                half_size=np.array(HALF.get(short, (0.02, 0.02, 0.001))),
            )
        )
    sides = {arm.side: arm for arm in arms}
    return WorldState(time_s=0.0, table_height_m=0.0, arms=sides, objects=tuple(objects))


def test_reach_needs_every_arm_at_its_own_marker() -> None:
    task = load_task("reach")
    places = {"left/target": [0.4, 0.3, 0.2], "right/target": [0.4, -0.3, 0.2]}
    left, right = arm_at([0.41, 0.3, 0.2], side="left"), arm_at([0.4, -0.31, 0.21], side="right")
    assert task.success(world_state(task, places, left, right))
    swapped = arm_at([0.4, 0.3, 0.2], side="right"), arm_at([0.4, -0.3, 0.2], side="left")
    assert not task.success(world_state(task, places, *swapped))
    assert not task.success(world_state(task, places, left, arm_at([0.4, -0.34, 0.2], side="right")))


def test_track_feeds_the_markers_velocity_forward() -> None:
    task = load_task("track")
    state = world_state(task, {"target": [0.5, 0.0, 0.2]}, arm_at([0.5, 0.04, 0.2]), belt_m_s=0.1)
    assert task.success(state)
    np.testing.assert_allclose(task.expert(state)["center"].velocity, [0.0, 0.1, 0.0])
    assert not task.success(world_state(task, {"target": [0.5, 0.0, 0.2]}, arm_at([0.5, 0.06, 0.2])))


@pytest.mark.parametrize(("name", "ground_m"), [("lift", 0.0), ("conveyor", 0.02)])
def test_lifting_needs_height_over_the_ground_and_the_hand(name: str, ground_m: float) -> None:
    task = load_task(name)
    high = [0.5, 0.0, ground_m + 0.11]
    assert task.success(world_state(task, {"block": high}, arm_at(high, gripping="block")))
    assert not task.success(world_state(task, {"block": high}, arm_at([0.5, 0.1, 0.2])))  # thrown up
    low = [0.5, 0.0, ground_m + 0.1]
    assert not task.success(world_state(task, {"block": low}, arm_at(low, gripping="block")))


def test_a_tilted_block_counts_by_its_lowest_corner() -> None:
    task = load_task("lift")
    state = world_state(task, {"block": [0.5, 0.0, 0.107]}, arm_at([0.5, 0.0, 0.107], gripping="block"))
    assert task.success(state)
    turn = np.array([[1, 0, 0], [0, np.cos(0.8), -np.sin(0.8)], [0, np.sin(0.8), np.cos(0.8)]])
    tilted = replace(state, objects=(replace(state.objects[0], rotation=turn),))
    assert not task.success(tilted)


def test_grasping_goes_above_first_then_down_open_then_closes_then_up() -> None:
    task, block = load_task("lift"), [0.5, 0.0, 0.025]
    far = task.expert(world_state(task, {"block": block}, arm_at([0.4, 0.2, 0.2])))["center"]
    assert far.position[2] > 0.1
    assert far.opening == 1.0
    above = task.expert(world_state(task, {"block": block}, arm_at([0.502, 0.0, 0.12])))["center"]
    assert above.position[2] < 0.04
    assert above.opening == 1.0
    around = task.expert(world_state(task, {"block": block}, arm_at([0.502, 0.0, 0.027])))["center"]
    assert around.opening == 0.0
    held = arm_at([0.502, 0.0, 0.027], opening=0.55, gripping="block")
    up = task.expert(world_state(task, {"block": block}, held))["center"]
    assert up.position[2] > 0.18
    assert up.opening == 0.0


def test_a_hand_closed_around_nothing_opens_again_before_coming_down() -> None:
    task = load_task("lift")
    goal = task.expert(world_state(task, {"block": [0.5, 0.0, 0.025]}, arm_at([0.5, 0.0, 0.12], opening=0.1)))["center"]
    assert goal.opening == 1.0
    assert goal.position[2] > 0.1


def test_a_grasp_moves_along_with_the_belt_but_does_not_chase_what_was_knocked_away() -> None:
    task, place = load_task("conveyor"), {"block": [0.5, 0.0, 0.045]}
    along = task.expert(world_state(task, place, arm_at([0.5, 0.0, 0.2]), belt_m_s=0.07))["center"]
    np.testing.assert_allclose(along.velocity, [0.0, 0.07, 0.0])
    knocked = task.expert(world_state(task, place, arm_at([0.5, 0.0, 0.2]), belt_m_s=3.0))["center"]
    np.testing.assert_allclose(knocked.velocity, 0.0)


def test_pick_place_needs_the_block_down_on_the_pad_and_let_go() -> None:
    task, pad = load_task("pick_place"), [0.5, 0.2, 0.001]
    down = {"block": [0.51, 0.2, 0.025], "pad": pad}
    assert task.success(world_state(task, down, arm_at([0.51, 0.2, 0.1])))
    gripped = arm_at([0.51, 0.2, 0.03], opening=0.5, gripping="block")
    assert not task.success(world_state(task, down, gripped))
    assert task.expert(world_state(task, down, gripped))["center"].opening == 1.0
    assert not task.success(world_state(task, {"block": [0.51, 0.2, 0.06], "pad": pad}, arm_at([0.51, 0.2, 0.1])))
    assert not task.success(world_state(task, {"block": [0.55, 0.2, 0.025], "pad": pad}, arm_at([0.5, 0.2, 0.1])))


def test_carrying_rises_before_it_crosses_and_comes_down_at_the_pad() -> None:
    task, pad = load_task("pick_place"), [0.5, 0.2, 0.001]

    def carry(block: list[float]) -> np.ndarray:
        arm = arm_at(block, opening=0.5, gripping="block")
        return task.expert(world_state(task, {"block": block, "pad": pad}, arm))["center"].position

    low, high, over = carry([0.5, 0.0, 0.025]), carry([0.5, 0.0, 0.1]), carry([0.5, 0.195, 0.1])
    assert low[1] == pytest.approx(0.0)
    assert low[2] > 0.09
    assert high[1] == pytest.approx(0.2)
    assert over[2] < 0.03


def test_push_goes_behind_the_puck_then_pushes_toward_the_goal() -> None:
    task = load_task("push")
    places = {"puck": [0.5, 0.0, 0.02], "goal": [0.5, 0.2, 0.001]}
    away = task.expert(world_state(task, places, arm_at([0.4, 0.2, 0.2])))["center"].position
    assert away[1] < -0.06
    assert away[2] > 0.08
    behind = task.expert(world_state(task, places, arm_at([0.5, -0.07, 0.02])))["center"].position
    assert behind[1] > 0.1
    assert behind[2] < 0.03
    assert not task.success(world_state(task, places, arm_at([0.5, -0.07, 0.02])))
    assert task.success(world_state(task, places | {"puck": [0.5, 0.17, 0.02]}, arm_at([0.5, 0.1, 0.02])))


def test_lift_box_presses_only_when_both_hands_are_beside_and_lifts_when_both_touch() -> None:
    task, place = load_task("lift_box"), {"box": [0.5, 0.0, 0.06]}
    left = arm_at([0.5, 0.17, 0.06], side="left")
    right_far, right = (arm_at([0.5, y, 0.06], side="right") for y in (-0.35, -0.17))
    waiting = task.expert(world_state(task, place, left, right_far))
    assert waiting["left"].position[1] > 0.12
    pressing = task.expert(world_state(task, place, left, right))
    assert pressing["left"].position[1] < 0.12
    assert pressing["right"].position[1] > -0.12
    holding = [replace(arm, touching=frozenset({"box"})) for arm in (left, right)]
    assert task.expert(world_state(task, place, *holding))["left"].position[2] > 0.2
    high = {"box": [0.5, 0.0, 0.15]}
    assert task.success(world_state(task, high, *holding))
    assert not task.success(world_state(task, high, left, holding[1]))
    assert not task.success(world_state(task, place, *holding))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_paraphrases_and_fits_a_robot(name: str) -> None:
    task = load_task(name)
    assert 4 <= len(set(task.instructions)) <= 6
    assert task.name == name
    assert task.fits(load_robot("bimanual_panda"))


def test_tasks_fit_the_right_robots_and_unknown_names_get_an_offer() -> None:
    assert not TASKS["lift_box"].fits(load_robot("panda"))
    assert TASKS["lift"].fits(load_robot("ur5e"))
    with pytest.raises(UnknownNameError, match="'conveyor'"):
        load_task("conveyer")
