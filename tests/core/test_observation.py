"""Observations of arrays: a moment, a running buffer, and errors that say what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.errors import StreamError, UnknownNameError
from counterpoint.core.observation_buffer import ObservationBuffer
from counterpoint.core.policy import Observation
from counterpoint.core.stream import vector_stream

JOINTS = tuple(Channel(name=f"joint_{i}", quantity="joint_position", unit="rad") for i in (1, 2, 3))
ARM = Embodiment(
    name="arm", sensing=(StreamSpec(name="proprioception", channels=JOINTS),), acting=JOINTS, control_rate_hz=20.0
)
NOW = 1_700_000_000_000_000_000
PERIOD = 50_000_000
PICTURE = np.zeros((4, 6, 3), np.uint8)


def test_a_moment_holds_what_was_given() -> None:
    seen = Observation.from_arrays(
        ARM, now_ns=NOW, proprioception=[1, 2, 3], cameras={"front": PICTURE}, instruction="pick up the cup"
    )
    assert {name: len(stream) for name, stream in seen.streams.items()} == {
        "proprioception": 1,
        "camera/front": 1,
        "instruction": 1,
    }
    np.testing.assert_array_equal(seen.streams["proprioception"].values, [[1, 2, 3]])
    assert seen.streams["camera/front"].spec.width == 6
    assert (seen.now_ns, seen.ready_ns, seen.committed) == (NOW, NOW, None)


def test_a_buffer_shows_the_past_and_forgets_what_is_older() -> None:
    buffer = ObservationBuffer(ARM, history_s=0.2)
    for step in range(10):
        now = NOW + step * PERIOD
        seen = buffer.observe(now_ns=now, proprioception=np.full(3, step), instruction="hold")
        buffer.add("action", np.full(3, 10 + step), now)
    assert seen.streams["proprioception"].values[:, 0].tolist() == [5, 6, 7, 8, 9]
    assert seen.streams["action"].values[:, 0].tolist() == [15, 16, 17, 18]  # what is commanded now is no past
    assert len(seen.streams["instruction"]) == 1
    buffer.clear()
    assert buffer.observe(now_ns=NOW, proprioception=np.zeros(3)).streams.keys() == {"proprioception"}


def test_what_has_not_arrived_is_not_shown() -> None:
    buffer = ObservationBuffer(ARM)
    buffer.add("proprioception", np.zeros(3), NOW)
    buffer.add("proprioception", np.ones(3), NOW + PERIOD, NOW + 3 * PERIOD)
    assert len(buffer.observe(now_ns=NOW + 2 * PERIOD).streams["proprioception"]) == 1
    assert len(buffer.observe(now_ns=NOW + 3 * PERIOD).streams["proprioception"]) == 2


def test_a_buffer_keeps_copies() -> None:
    joints = np.zeros(3, np.float32)
    buffer = ObservationBuffer(ARM)
    buffer.add("proprioception", joints, NOW)
    joints[:] = 5
    np.testing.assert_array_equal(buffer.observe(now_ns=NOW).streams["proprioception"].values, np.zeros((1, 3)))


def test_streams_that_the_robot_does_not_describe_come_with_their_description() -> None:
    spec = StreamSpec(name="object/0", channels=(Channel(name="x", quantity="position", unit="m"),))
    tracker = vector_stream(spec, np.array([NOW - PERIOD, NOW]), np.array([[0.1], [0.2]]))
    seen = Observation.from_arrays(ARM, now_ns=NOW, proprioception=np.zeros(3), streams={"object/0": tracker})
    np.testing.assert_allclose(seen.streams["object/0"].values, tracker.values)
    with pytest.raises(UnknownNameError, match="did you mean 'proprioception'"):
        ObservationBuffer(ARM).add("propriception", np.zeros(3), NOW)


def test_streams_are_cut_at_the_present() -> None:
    spec = ARM.sensing[0]
    when = NOW + np.arange(10) * PERIOD
    late = vector_stream(spec, when, np.arange(30.0).reshape(10, 3), arrival_ns=when + PERIOD)
    seen = Observation.from_streams(ARM, {"proprioception": late}, now_ns=NOW + 5 * PERIOD, history_s=0.1)
    assert seen.streams["proprioception"].capture_ns.tolist() == when[3:5].tolist()
    seen = Observation.from_streams(ARM, {"proprioception": late}, now_ns=NOW + 50 * PERIOD, history_s=0.1)
    assert seen.streams["proprioception"].capture_ns.tolist() == when[9:].tolist()  # old, and the newest known
    assert not Observation.from_streams(ARM, {"proprioception": late}, now_ns=NOW).streams


@pytest.mark.parametrize(
    ("joints", "words"),
    [
        (np.zeros(2), ("Expected 3 columns", "'proprioception'", "'arm'", "got 2", "joint_1, joint_2, joint_3")),
        (np.zeros((1, 3)), ("Expected 3 columns", "shape (1, 3)")),
        ([0, np.nan, 0], ("finite", "nan", "'joint_2'")),
    ],
)
def test_wrong_joints_are_named(
    joints: np.ndarray[tuple[int, ...], np.dtype[np.float64]], words: tuple[str, ...]
) -> None:
    with pytest.raises(StreamError) as caught:
        Observation.from_arrays(ARM, now_ns=NOW, proprioception=joints)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((4, 6, 3), np.float32), ("Expected uint8", "'front'", "float32", "astype")),
        (np.zeros((3, 4, 6), np.uint8), ("[3, 4, 6]", "transpose(1, 2, 0)")),
        (np.zeros((4, 6), np.uint8), ("[4, 6]",)),
    ],
)
def test_wrong_pictures_are_named(
    picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], words: tuple[str, ...]
) -> None:
    with pytest.raises(StreamError) as caught:
        Observation.from_arrays(ARM, now_ns=NOW, proprioception=np.zeros(3), cameras={"front": picture})
    assert all(word in str(caught.value) for word in words)


def test_pictures_of_a_camera_keep_their_size_and_time_its_order() -> None:
    buffer = ObservationBuffer(ARM)
    buffer.add("camera/front", PICTURE, NOW)
    with pytest.raises(StreamError, match="4, 6, 3"):
        buffer.add("camera/front", np.zeros((8, 6, 3), np.uint8), NOW)
    with pytest.raises(StreamError, match="order of time"):
        buffer.add("camera/front", PICTURE, NOW - 1)


def test_reprs_are_short() -> None:
    seen = Observation.from_arrays(ARM, now_ns=NOW, proprioception=np.zeros(3), cameras={"front": PICTURE})
    assert repr(ARM) == "<Embodiment arm: 3 acting channels at 20 Hz; senses proprioception (3)>"
    assert "camera/front: 1 samples of 6 x 4 pixels" in repr(seen)
    assert len(repr(seen).splitlines()) == 3
