"""LeRobot folders of both versions come in whole, once, with their own video bytes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from lerobot_v3_writer import write_v30
from lerobot_writers import CAMERA, NAMES, Made, draw, write_v21

from counterpoint.core.errors import ConfigError, UnknownNameError
from counterpoint.ingest import Labels, ReadOptions, RobotMapping, ingest, load_mapping, open_source, save_mapping
from counterpoint.store import Store


def check(made: Made, store: Store, video: bool) -> None:
    infos = sorted(store.episodes, key=lambda info: info.provenance.origin)
    assert len(infos) == len(made.states)
    for index, info in enumerate(infos):
        episode = store.read(info.episode_id)
        np.testing.assert_array_equal(episode.streams["proprioception"].values, made.states[index])
        np.testing.assert_array_equal(episode.streams["action"].values, made.actions[index])
        expected_ns = [round(frame * 1e8) for frame in range(len(made.states[index]))]
        assert episode.streams["action"].capture_ns.tolist() == expected_ns
        assert episode.streams["action"].time_source == "nominal"
        assert episode.streams["instruction"].values.tolist() == [made.tasks[index]]
        assert info.provenance.instruction == made.tasks[index]
        if video:
            frames = episode.streams["camera/top"]
            assert frames.capture_ns.tolist() == expected_ns
            difference = frames.values.astype(float) - draw(index, len(expected_ns)).astype(float)
            assert np.abs(difference).max() < 8  # neighbouring frames differ by 11


@pytest.mark.parametrize("task_column", ["task", "__index_level_0__"])
def test_v30_with_several_episodes_a_file(tmp_path: Path, task_column: Literal["task", "__index_level_0__"]) -> None:
    made = write_v30(tmp_path / "set", task_column=task_column, state_name="state", action_name="actions")
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert (report.added, report.skipped, report.quarantined, report.notes) == (5, 0, [], {})
    store = Store.open(tmp_path / "store")
    check(made, store, video=True)
    assert store.verify() == []
    assert {stream.encoding for info in store.episodes for stream in info.streams} == {"", "copied"}


@pytest.mark.parametrize("gop", [2, 30])
def test_v30_cuts_where_no_key_frame_is(tmp_path: Path, gop: int) -> None:
    made = write_v30(tmp_path / "set", gop=gop, episodes_a_file=5)
    ingest([made.root], tmp_path / "store", progress=False)
    check(made, Store.open(tmp_path / "store"), video=True)


def test_v30_av1_is_remuxed_without_decoding(tmp_path: Path) -> None:
    made = write_v30(tmp_path / "set", (3, 4), codec="libsvtav1")
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert (report.added, report.quarantined) == (2, [])
    check(made, Store.open(tmp_path / "store"), video=True)


def test_v21_copies_videos_byte_for_byte_and_reports_missing_ones(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set", video=True)
    (made.root / f"videos/chunk-000/{CAMERA}/episode_000001.mp4").unlink()
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert (report.added, report.quarantined) == (3, [])
    assert report.notes == {f"missing_video:{CAMERA}": 1}
    store = Store.open(tmp_path / "store")
    notes = [info.provenance.notes for info in store.episodes]
    assert notes == [(), (f"missing_video:{CAMERA}",), ()]
    kept = {path.read_bytes() for path in (tmp_path / "store").rglob("*.mp4")}
    assert kept == {path.read_bytes() for path in made.root.rglob("*.mp4")}


def test_again_adds_nothing_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set")
    held = made.root / "data/chunk-000/episode_000002.parquet"
    aside = held.rename(tmp_path / "aside.parquet")
    assert ingest([made.root], tmp_path / "store", progress=False).added == 2
    aside.rename(held)
    report = ingest([made.root, made.root], tmp_path / "store", progress=False)
    assert (report.added, report.skipped) == (1, 5)
    shutil.copytree(made.root, tmp_path / "copy")
    report = ingest([tmp_path / "copy"], tmp_path / "store", progress=False)
    assert (report.added, report.skipped) == (0, 3)
    check(made, Store.open(tmp_path / "store"), video=False)


def test_the_same_episodes_as_v21_and_v30_are_one(tmp_path: Path) -> None:
    first, second = write_v21(tmp_path / "old", (5, 6)), write_v30(tmp_path / "new", (5, 6), video=False)
    report = ingest([first.root, second.root], tmp_path / "store", progress=False)
    assert (report.added, report.skipped) == (2, 2)


def test_labels_reach_the_provenance(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set")
    labels = Labels(site="north", environment="bakery", source="teleoperation", licence="CC-BY-4.0", operator="op-7")
    ingest([made.root], tmp_path / "store", labels=labels, progress=False)
    provenance = Store.open(tmp_path / "store").episodes[0].provenance
    assert (provenance.site, provenance.environment, provenance.source) == ("north", "bakery", "teleoperation")
    assert (provenance.licence, provenance.operator, provenance.robot) == ("CC-BY-4.0", "op-7", "test_arm")


def test_robot_is_guessed_from_names(tmp_path: Path) -> None:
    robot = open_source(write_v21(tmp_path / "set").root, ReadOptions()).mapping.robot
    assert robot.acting_names == tuple(NAMES)
    assert [(c.part, c.side, c.quantity, c.unit) for c in robot.acting] == [
        ("arm", "left", "joint_position", "rad"),
        ("arm", "left", "joint_position", "rad"),
        ("gripper", "left", "gripper_opening", "1"),
    ]
    assert robot.acting[0].axis == (0.0, 1.0, 0.0)
    assert robot.sensing[0].name == "proprioception"
    assert robot.sensing[0].channel_names == robot.acting_names
    assert robot.control_rate_hz == 10.0


def test_mapping_is_written_edited_and_used(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set")
    path = tmp_path / "mapping.json"
    save_mapping(open_source(made.root, ReadOptions()).mapping, path)
    raw = json.loads(path.read_text())
    raw["robot"]["name"] = "mine"
    raw["features"][0]["scale"] = [0.5, 1.0, 1.0]
    raw["features"][0]["offset"] = [0.0, 0.0, 2.0]
    raw["features"][1]["channels"][1] = None
    path.write_text(json.dumps(raw))
    ingest([made.root], tmp_path / "store", robot=load_mapping(path), progress=False)
    episode = Store.open(tmp_path / "store").read(Store.open(tmp_path / "store").episodes[0].episode_id)
    assert episode.embodiment.name == "mine"
    np.testing.assert_allclose(episode.streams["action"].values, made.actions[0] * [0.5, 1, 1] + [0, 0, 2], rtol=1e-6)
    np.testing.assert_array_equal(episode.streams["proprioception"].values, made.states[0][:, [0, 2]])
    raw["features"][0]["channels"][0] = "elbow_9"
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="has no channel 'elbow_9'"):
        ingest([made.root], tmp_path / "other", robot=load_mapping(path), progress=False)


def test_given_robot_is_used_by_name_and_else_reported(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set")
    guessed = open_source(made.root, ReadOptions()).mapping.robot
    known = replace(guessed, name="known", acting=tuple(reversed(guessed.acting)))
    report = ingest([made.root], tmp_path / "a", robot=known, progress=False)
    assert report.robots == {"known": 3}
    report = ingest([made.root], tmp_path / "b", robot=replace(known, acting=known.acting[:2]), progress=False)
    assert report.robots == {"test_arm": 3}
    assert report.notes["robot_not_fitting:known"] == 1


def test_two_datasets_of_one_robot_type_with_other_channels_keep_apart(tmp_path: Path) -> None:
    first, second = write_v21(tmp_path / "one"), write_v21(tmp_path / "two", (8,), fps=20)
    ingest([first.root, second.root], tmp_path / "store", progress=False)
    assert sorted(Store.open(tmp_path / "store").embodiments) == ["test_arm", "test_arm_2"]


def test_degrees_are_noticed(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set", (4,))
    mapping = open_source(made.root, ReadOptions()).mapping
    feature = replace(mapping.features[0], scale=(57.3,) * 3, offset=(90.0,) * 3)
    mapping = RobotMapping(robot=mapping.robot, features=(feature,))
    report = ingest([made.root], tmp_path / "store", robot=mapping, progress=False)
    assert report.notes["not_in_rad:action"] == 1


def test_unknown_format_names_the_known(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    report = ingest([tmp_path / "photos", tmp_path / "nowhere"], tmp_path / "store", progress=False)
    assert [bad.reason for bad in report.quarantined] == ["unknown_format", "missing_file"]
    with pytest.raises(UnknownNameError, match="did you mean 'lerobot'"):
        ingest([tmp_path / "photos"], tmp_path / "store", format="lerobo", progress=False)


def test_real_recordings_of_a_26_channel_humanoid(tmp_path: Path, realdata: Path) -> None:
    report = ingest([realdata / "g1_inspire_26dof"], tmp_path / "store", progress=False)
    assert (report.added, report.quarantined) == (100, [])
    assert report.notes == {"missing_video:observation.images.cam_high": 98}
    store = Store.open(tmp_path / "store")
    actions = [info.stream("action") for info in store.episodes]
    assert sum(action.samples for action in actions if action is not None) == 35_965
    robot = store.embodiment("unitree_g1_inspire")
    assert robot.acting_names[0] == "kLeftShoulderPitch"
    assert robot.sensing[0].channel_names == robot.acting_names
    assert [channel.side for channel in robot.acting].count("left") == 13
    assert [channel.part for channel in robot.acting].count("hand") == 12
    filmed = store.episodes[1].episode_id
    assert store.frames(filmed, "camera/cam_high", np.array([0, 392])).shape == (2, 480, 640, 3)
    assert store.verify() == []
