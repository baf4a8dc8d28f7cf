"""Robots that are not ours: MJCF of another package, URDF by hand, and files that cannot be used."""

from __future__ import annotations

import json
import math
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.core.descriptor import DESCRIPTOR_DIM, describe
from counterpoint.core.errors import CounterpointError, EmbodimentError
from counterpoint.robots.describe import embodiment_from_mjcf
from counterpoint.robots.library import add_robot, load_embodiment, load_robot, robot_names
from counterpoint.robots.naming import guess_part, guess_side, words

pytestmark = pytest.mark.sim
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"

LINK = (
    '<link name="{}"><inertial><mass value="1"/>'
    '<inertia ixx=".1" ixy="0" ixz="0" iyy=".1" iyz="0" izz=".1"/></inertial>{}</link>'
)
ARM_URDF = (
    '<robot name="two_link">'
    + LINK.format("base", "")
    + LINK.format("upper", "")
    + LINK.format("lower", "")
    + LINK.format("tip", "")
    + '<joint name="left_shoulder" type="revolute"><parent link="base"/><child link="upper"/><origin xyz="0 0 0.5"/>'
    '<axis xyz="0 1 0"/><limit lower="-1" upper="1.5" effort="5" velocity="2"/></joint>'
    '<joint name="left_elbow" type="continuous"><parent link="upper"/><child link="lower"/><origin xyz="0.3 0 0"/>'
    '<axis xyz="0 0 1"/><limit effort="5" velocity="3"/></joint>'
    '<joint name="left_finger" type="prismatic"><parent link="lower"/><child link="tip"/><origin xyz="0.2 0 0"/>'
    '<axis xyz="1 0 0"/><limit lower="0" upper="0.1" effort="5" velocity="1"/></joint></robot>'
)
ONE_JOINT = (
    '<mujoco><worldbody><body name="b"><joint name="j" type="{joint}"/><geom size="0.1"/><site name="s"/></body>'
    "</worldbody><actuator>{actuator}</actuator></mujoco>"
)


def write(folder: Path, text: str, name: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_foreign_arm_is_described_from_its_motors() -> None:
    robot = embodiment_from_mjcf(ASSETS / "pusher_v5.xml")
    assert robot.name == "pusher_v5"
    assert robot.acting_names[0] == "r_shoulder_pan_joint"
    assert len(robot.acting) == 7
    assert {channel.quantity for channel in robot.acting} == {"joint_effort"}
    assert {(channel.part, channel.side) for channel in robot.acting} == {("arm", "right")}
    assert [channel.chain_index for channel in robot.acting] == list(range(7))
    model = mujoco.MjModel.from_xml_path(str(ASSETS / "pusher_v5.xml"))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for channel in robot.acting:
        joint = model.joint(channel.name).id
        np.testing.assert_allclose(channel.axis, data.xaxis[joint], atol=1e-6)
        np.testing.assert_allclose(channel.anchor, data.xanchor[joint], atol=1e-6)


def test_a_floating_robot_is_described_in_the_frame_of_its_body() -> None:
    ant = embodiment_from_mjcf(ASSETS / "ant.xml")
    assert len(ant.acting) == 8
    assert {channel.part for channel in ant.acting} == {"leg"}
    assert all(abs(channel.anchor[2]) < 0.2 for channel in ant.acting), "not lifted by the torso's start height"


def test_every_gymnasium_robot_has_finite_descriptors() -> None:
    for path in sorted(ASSETS.glob("*.xml")):
        robot = embodiment_from_mjcf(path)
        for channels in (robot.acting, *(spec.channels for spec in robot.sensing)):
            rows = describe(channels)
            assert rows.shape == (len(channels), DESCRIPTOR_DIM)
            assert np.isfinite(rows).all()


def test_urdf_joints_become_position_servos(tmp_path: Path) -> None:
    robot = embodiment_from_mjcf(write(tmp_path, ARM_URDF, "arm.urdf"))
    shoulder, elbow, finger = robot.acting
    assert (shoulder.name, shoulder.quantity, shoulder.unit) == ("left_shoulder", "joint_position", "rad")
    assert (shoulder.lower, shoulder.upper) == (-1.0, 1.5)
    assert shoulder.axis == (0.0, 1.0, 0.0)
    assert shoulder.anchor == (0.0, 0.0, 0.5)
    assert (elbow.lower, elbow.upper) == (-math.inf, math.inf)
    assert elbow.anchor == (0.3, 0.0, 0.5)
    assert (finger.unit, finger.part, finger.side) == ("m", "hand", "left")
    assert robot.metadata["actuators"] == "assumed"
    limits = {channel.name: channel.upper for channel in robot.sensing[0].channels}
    assert limits["left_elbow/velocity"] == 3.0


def test_urdf_mimic_joints_are_not_commanded(tmp_path: Path) -> None:
    text = ARM_URDF.replace('velocity="1"/></joint>', 'velocity="1"/><mimic joint="left_elbow"/></joint>')
    robot = embodiment_from_mjcf(write(tmp_path, text, "arm.urdf"))
    assert robot.acting_names == ("left_shoulder", "left_elbow")


def test_two_actuators_on_one_joint_keep_their_own_names(tmp_path: Path) -> None:
    text = ONE_JOINT.format(joint="hinge", actuator='<velocity name="v" joint="j"/><position name="p" joint="j"/>')
    robot = embodiment_from_mjcf(write(tmp_path, text, "both.xml"))
    assert [(channel.name, channel.quantity) for channel in robot.acting] == [
        ("v", "joint_velocity"),
        ("p", "joint_position"),
    ]
    assert robot.sensing[0].channel_names == ("j", "j/velocity")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.xml", ONE_JOINT.format(joint="hinge", actuator=""), "no actuators.*joints: j"),
        ("a.xml", "<mujoco/>", "no actuators"),
        ("a.xml", ONE_JOINT.format(joint="ball", actuator='<motor name="m" joint="j"/>'), "'j', which is a ball joint"),
        ("a.xml", ONE_JOINT.format(joint="free", actuator='<motor name="m" joint="j"/>'), "'j', which is a free joint"),
        ("a.xml", ONE_JOINT.format(joint="hinge", actuator='<motor name="m" site="s"/>'), "'m' drives a site"),
        ("a.xml", ONE_JOINT.format(joint="wobbly", actuator='<motor joint="j"/>'), "joint 'j' is of type 'wobbly'"),
        ("a.urdf", ARM_URDF.replace("prismatic", "wobbly"), "joint 'left_finger' is of type 'wobbly'"),
        ("a.urdf", ARM_URDF.replace("revolute", "fixed")[:-20], "not well-formed XML"),
        ("a.urdf", '<robot name="a"/>', "every joint is fixed"),
        ("a.sdf", "<sdf/>", "<sdf>; expected <mujoco>"),
        (
            "a.urdf",
            ARM_URDF.replace(
                "</inertial></link>",
                '</inertial><collision><geometry><mesh filename="package://m/no.stl"/></geometry></collision></link>',
                1,
            ),
            "no.stl.*put the missing file",
        ),
    ],
)
def test_unusable_files_say_what_to_do(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    path = write(tmp_path, text, name)
    with pytest.raises(EmbodimentError, match=complaint) as caught:
        embodiment_from_mjcf(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbodimentError, match=r"nowhere\.xml: no such file"):
        embodiment_from_mjcf(tmp_path / "nowhere.xml")


def test_added_robots_are_listed_and_described_but_not_simulated(tmp_path: Path) -> None:
    added = add_robot(write(tmp_path, ARM_URDF, "My Arm.urdf"), control_rate_hz=30.0)
    assert added.name == "my_arm"
    assert "my_arm" in robot_names()
    assert load_embodiment("my_arm") == added
    with pytest.raises(EmbodimentError, match="not simulated"):
        load_robot("my_arm")


def test_added_robots_cannot_take_our_names(tmp_path: Path) -> None:
    with pytest.raises(EmbodimentError, match="belongs to a built-in robot"):
        add_robot(write(tmp_path, ARM_URDF, "panda.urdf"))
    with pytest.raises(EmbodimentError, match="expected a-z"):
        add_robot(write(tmp_path, ARM_URDF, "arm.urdf"), name="../arm")


def test_a_damaged_description_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path))
    add_robot(write(tmp_path, ARM_URDF, "arm.urdf"))
    stored = tmp_path / "robots" / "arm.json"
    for text in (stored.read_text(encoding="utf-8")[:100], "[]", json.dumps({"name": "arm"})):
        stored.write_text(text, encoding="utf-8")
        with pytest.raises(CounterpointError, match="arm"):
            load_embodiment("arm")


NUMBER = st.floats(-10.0, 10.0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    joints=st.lists(
        st.tuples(
            st.sampled_from(["hinge", "slide"]), st.tuples(NUMBER, NUMBER, NUMBER), st.tuples(NUMBER, NUMBER, NUMBER)
        ),
        min_size=1,
        max_size=5,
    ),
    servo=st.sampled_from(["position", "velocity", "motor"]),
    limit=st.one_of(st.none(), st.floats(0.01, 100.0)),
)
def test_any_chain_gives_finite_descriptors(
    joints: list[tuple[str, tuple[float, ...], tuple[float, ...]]], servo: str, limit: float | None
) -> None:
    spec = mujoco.MjSpec()
    body = spec.worldbody
    for index, (kind, axis, position) in enumerate(joints):
        body = body.add_body(pos=position)
        body.add_geom(size=[0.1, 0.0, 0.0])
        joint = body.add_joint(name=f"j{index}", axis=axis if np.linalg.norm(axis) > 1e-3 else (0.0, 0.0, 1.0))
        joint.type = mujoco.mjtJoint.mjJNT_HINGE if kind == "hinge" else mujoco.mjtJoint.mjJNT_SLIDE
        if limit is not None:
            joint.limited, joint.range = True, [-limit, limit]
        actuator = spec.add_actuator(name=f"a{index}", target=f"j{index}", trntype=mujoco.mjtTrn.mjTRN_JOINT)
        if servo == "position":
            actuator.set_to_position(kp=10.0)
        elif servo == "velocity":
            actuator.set_to_velocity(kv=10.0)
        else:
            actuator.set_to_motor()
    robot = embodiment_from_mjcf(spec, name="chain")
    assert robot.acting_names == tuple(f"j{index}" for index in range(len(joints)))
    for channel, place in zip(robot.acting, range(len(joints)), strict=True):
        assert np.linalg.norm(channel.axis) == pytest.approx(1.0, abs=1e-6)
        assert (channel.chain_index, channel.chain_length) == (place, len(joints))
    assert np.isfinite(describe((*robot.acting, *robot.sensing[0].channels))).all()


@pytest.mark.parametrize(
    ("names", "part", "side"),
    [
        (["LFShoulder_pitch2"], "arm", "left"),
        (["joint", "L_wrist_roll"], "arm", "left"),
        (["right_index_1", "right_hand"], "hand", "right"),
        (["rear_left_wheel"], "base", "left"),
        (["panda_joint3", "panda_link3", "base"], "unknown", "center"),
        (["bthigh", "bthigh", "torso"], "leg", "center"),
        (["robotiq_85_left_knuckle_joint"], "gripper", "left"),
        (["head_pan", "head", "torso"], "head", "center"),
    ],
)
def test_parts_and_sides_are_guessed_from_names(names: list[str], part: str, side: str) -> None:
    assert guess_part(names) == part
    assert guess_side(names) == side


def test_names_split_into_words() -> None:
    assert words("LFShoulder_pitch2") == ("lf", "shoulder", "pitch")
    assert words("leftHand.index-1") == ("left", "hand", "index")
