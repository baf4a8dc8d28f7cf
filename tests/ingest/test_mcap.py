"""MCAP files of every encoding: values, names, clocks, pictures and words come out as they went in."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType
from mcap_ros2.decoder import DecoderFactory
from mcap_writers import (
    JOINTS,
    LATENCY,
    START,
    STEP,
    Ros2File,
    header,
    joint_state,
    multi_array,
    pictures,
    positions,
    write_everything,
    write_json,
    write_mcap,
    write_protobuf,
)
from ros_definitions import COMPRESSED, IMAGE, JOINT_STATE, MULTI_ARRAY, TF, TRAJECTORY

from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.errors import IngestError
from counterpoint.ingest import ingest
from counterpoint.ingest.formats import open_source
from counterpoint.ingest.mapping.robot_mapping import FeatureMap, RobotMapping
from counterpoint.ingest.messages.pixels import PixelEncoder
from counterpoint.ingest.recording.source import Ingested, ReadOptions
from counterpoint.store import Store
from counterpoint.store.episodes.video import decode_frames

STATE = ("/joint_states", "sensor_msgs/msg/JointState", JOINT_STATE)
COMMAND = ("/arm/commands", "std_msgs/msg/Float64MultiArray", MULTI_ARRAY)


def read(path: Path, robot: RobotMapping | None = None) -> Ingested:
    source = open_source(path, ReadOptions(robot=robot))
    assert source.items() == [""]
    ingested = source.read("")
    assert source.content_hash("") == ingested.episode.provenance.content_hash
    return ingested


def check_truth(ingested: Ingested, count: int) -> None:
    streams = ingested.episode.streams
    np.testing.assert_array_equal(streams["proprioception"].values, positions(count).astype(np.float32))
    np.testing.assert_array_equal(streams["action"].values, positions(count, 1).astype(np.float32))
    np.testing.assert_array_equal(streams["proprioception"].capture_ns, START + STEP * np.arange(count))
    np.testing.assert_array_equal(streams["proprioception"].arrival_ns, START + STEP * np.arange(count) + LATENCY)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": CompressionType.LZ4},
        {"compression": CompressionType.NONE},
        {"chunk_size": 512},
        {"use_chunking": False},
        {"use_statistics": False},
        {"use_summary_offsets": False, "repeat_channels": False, "repeat_schemas": False, "use_statistics": False},
        {"enable_crcs": False, "enable_data_crcs": False},
    ],
)
def test_joint_states_come_out_as_they_went_in(tmp_path: Path, options: dict[str, Any]) -> None:
    ingested = read(write_mcap(tmp_path / "a.mcap", 30, **options))
    check_truth(ingested, 30)
    streams = ingested.episode.streams
    assert streams["proprioception"].spec.channel_names == JOINTS
    np.testing.assert_array_equal(streams["joint_states/velocity"].values, 2 * positions(30).astype(np.float32))
    assert ingested.episode.embodiment.control_rate_hz == 100
    assert ingested.episode.provenance.notes == ()


def test_every_kind_of_topic(tmp_path: Path) -> None:
    ingested = read(write_everything(tmp_path / "a.mcap", 10))
    check_truth(ingested, 10)
    episode = ingested.episode
    assert episode.streams["wrench"].values[3].tolist() == [3, 1, 2, 3, 1, 2]
    assert episode.streams["tf/tool"].values[4].tolist() == [4, 1, 2, 0, 0, 0, 1]
    assert episode.streams["tf/camera"].spec.channel_names[-1] == "rotation.w"
    assert episode.streams["instruction"].values.tolist() == ["fold the towel", "stop"]
    provenance = episode.provenance
    assert (provenance.operator, provenance.site, provenance.success) == ("ada", "lab", True)
    assert provenance.notes == (
        "left_out:/chatter",
        "left_out:/overhead_depth/image_raw",
        "encoded:/overhead_rgb/image_raw",
    )


def packets(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data), mode="r") as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_coded_pictures_are_kept_byte_for_byte(tmp_path: Path) -> None:
    videos = read(write_everything(tmp_path / "a.mcap", 10)).videos
    for name, codec in (("camera/cam_jpeg", "mjpeg"), ("camera/cam_png", "png")):
        assert packets(videos[name].data) == pictures(codec, 10)
        np.testing.assert_array_equal(videos[name].capture_ns, START + STEP * np.arange(10))
        assert (videos[name].spec.height, videos[name].spec.width) == (48, 64)


def test_json_is_flattened_and_base64_pictures_are_kept(tmp_path: Path) -> None:
    ingested = read(write_json(tmp_path / "a.mcap", 12))
    state = ingested.episode.streams["proprioception"]
    np.testing.assert_array_equal(state.values[:, :3], positions(12).astype(np.float32))
    assert state.spec.channel_names == ("arm.joints[0]", "arm.joints[1]", "arm.joints[2]", "arm.ready")
    assert state.capture_ns[1] == START + STEP
    assert ingested.episode.streams["action"].capture_ns[1] == START + STEP  # no stamp: time of publishing
    assert packets(ingested.videos["camera/cam"].data) == pictures("mjpeg", 12)


def test_protobuf_by_its_descriptors_and_h264_without_encoding_again(tmp_path: Path) -> None:
    ingested = read(write_protobuf(tmp_path / "a.mcap", 12))
    state = ingested.episode.streams["proprioception"]
    np.testing.assert_array_equal(state.values[:, :3], positions(12).astype(np.float32))
    assert state.values[:, 3].tolist() == list(range(12))  # zero, which Protobuf does not write, is there
    video = ingested.videos["camera/cam"]
    with av.open(io.BytesIO(video.data), mode="r") as container:
        brightness = [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    assert len(video.pts) == 12
    np.testing.assert_allclose(brightness, 10 * np.arange(12), atol=20)
    assert (np.diff(brightness) > 5).all()


def cover(nal: bytes) -> set[bytes]:
    """Return the NAL units of an Annex B packet."""
    return {part.rstrip(b"\0") for part in nal.split(b"\0\0\1") if part.rstrip(b"\0")}


def test_h264_slices_are_the_same_bytes(tmp_path: Path) -> None:
    video = read(write_protobuf(tmp_path / "a.mcap", 12)).videos["camera/cam"]
    for coded, packet in zip(pictures("libx264", 12), packets(video.data), strict=True):
        lengths, units, position = set(), [], 0
        while position < len(packet):
            size = int.from_bytes(packet[position : position + 4], "big")
            units.append(packet[position + 4 : position + 4 + size].rstrip(b"\0"))
            position += 4 + size
            lengths.add(size)
        assert cover(coded) >= set(units)  # parameter sets may live in the mp4's head instead


def test_joint_order_may_change_between_messages(tmp_path: Path) -> None:
    truth = positions(20)
    with Ros2File(tmp_path / "a.mcap") as file:
        for row in range(20):
            ns = START + row * STEP
            order = [0, 1, 2] if row % 3 else [2, 0, 1]
            names = tuple(JOINTS[joint] for joint in order)
            file.add(*STATE, joint_state(ns, truth[row, order], names), ns)
            file.add(*COMMAND, multi_array(truth[row]), ns)
    streams = read(tmp_path / "a.mcap").episode.streams
    assert streams["proprioception"].spec.channel_names == ("gripper", "shoulder", "elbow")
    np.testing.assert_array_equal(streams["proprioception"].values, truth[:, [2, 0, 1]].astype(np.float32))


def test_two_senders_on_one_topic_are_two_features(tmp_path: Path) -> None:
    truth = positions(20)
    with Ros2File(tmp_path / "a.mcap") as file:
        for row in range(20):
            ns = START + row * STEP
            if row % 2:
                file.add(*STATE, joint_state(ns, truth[row]), ns)
            else:
                file.add(*STATE, joint_state(ns, truth[row, :1], ("finger",)), ns)
            file.add(*COMMAND, multi_array(truth[row]), ns)
    streams = read(tmp_path / "a.mcap").episode.streams
    assert streams["proprioception"].spec.channel_names == JOINTS  # the widest
    np.testing.assert_array_equal(streams["proprioception"].values, truth[1::2].astype(np.float32))
    np.testing.assert_array_equal(streams["joint_states/position"].values, truth[::2, :1].astype(np.float32))


def with_clock(path: Path, stamps: Callable[[int], int]) -> Ingested:
    with Ros2File(path) as file:
        for row in range(10):
            ns = START + row * STEP
            file.add(*STATE, joint_state(stamps(ns), [1, 2, 3]), ns + 500, ns)
            file.add(*COMMAND, multi_array([1, 2, 3]), ns + 500, ns)
    return read(path)


def test_stamps_that_were_never_set_give_way_to_publishing_times(tmp_path: Path) -> None:
    ingested = with_clock(tmp_path / "zero.mcap", lambda ns: 0)
    stream = ingested.episode.streams["proprioception"]
    assert (stream.capture_ns[0], stream.arrival_ns[0]) == (START, START + 500)
    assert ingested.episode.provenance.notes == ()
    simulated = with_clock(tmp_path / "sim.mcap", lambda ns: ns - START + 1)
    assert simulated.episode.streams["proprioception"].capture_ns[0] == START
    assert simulated.episode.provenance.notes == (
        "stamp_not_used:/joint_states.position",
        "stamp_not_used:/joint_states.velocity",
    )


def test_clocks_that_differ_are_noted_and_arrival_is_never_before_capture(tmp_path: Path) -> None:
    ingested = with_clock(tmp_path / "a.mcap", lambda ns: ns + 50_000_000)
    stream = ingested.episode.streams["proprioception"]
    assert stream.capture_ns[0] == START + 50_000_000
    assert (stream.arrival_ns == stream.capture_ns).all()
    assert "clock_offset:/joint_states.position" in ingested.episode.provenance.notes


def test_a_transform_sent_long_before_does_not_make_the_episode_longer(tmp_path: Path) -> None:
    numbers = {"x": 0.0, "y": 0.0, "z": 0.0}
    pose = {"translation": numbers, "rotation": {**numbers, "w": 1.0}}
    with Ros2File(tmp_path / "a.mcap") as file:
        frame = {"header": header(START - 1800 * 10**9), "child_frame_id": "mount", "transform": pose}
        file.add("/tf_static", "tf2_msgs/msg/TFMessage", TF, {"transforms": [frame]}, START)
        for row in range(10):
            file.add(*COMMAND, multi_array([row]), START + row * STEP)
    episode = read(tmp_path / "a.mcap").episode
    assert episode.duration_s == pytest.approx(0.09)
    assert episode.provenance.notes == ("stamp_not_used:/tf_static.mount",)


def test_what_appears_later_in_the_log_is_noted(tmp_path: Path) -> None:
    with Ros2File(tmp_path / "a.mcap") as file:
        for row in range(10):
            ns = START + row * STEP
            effort = [1.0, 2.0, 3.0] if row > 4 else []
            file.add(*STATE, joint_state(ns, [1, 2, 3], effort=effort), ns)
            file.add(*COMMAND, multi_array([1, 2, 3]), ns)
    assert read(tmp_path / "a.mcap").episode.provenance.notes == ("left_out:/joint_states.effort",)


def test_values_are_those_of_mcap_ros2_support(tmp_path: Path) -> None:
    path = write_everything(tmp_path / "a.mcap", 10)
    streams = read(path).episode.streams
    found: dict[str, list[list[float]]] = {"/wrench": [], "/tf": [], "/joint_states": []}
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        decoded = list(reader.iter_decoded_messages(topics=list(found)))
    for _, channel, _, message in decoded:
        if channel.topic == "/wrench":
            parts = (message.wrench.force, message.wrench.torque)
            found["/wrench"].append([getattr(part, axis) for part in parts for axis in "xyz"])
        elif channel.topic == "/tf":
            tool = message.transforms[0].transform
            rotation = [getattr(tool.rotation, axis) for axis in "xyzw"]
            found["/tf"].append([*(getattr(tool.translation, axis) for axis in "xyz"), *rotation])
        else:
            found["/joint_states"].append(list(message.velocity))
    for topic, stream in (("/wrench", "wrench"), ("/tf", "tf/tool"), ("/joint_states", "joint_states/velocity")):
        np.testing.assert_array_equal(streams[stream].values, np.asarray(found[topic], np.float32))


def point(values: list[float], ahead_ns: int) -> dict[str, object]:
    after = {"sec": ahead_ns // 10**9, "nanosec": ahead_ns % 10**9}
    return {"positions": values, "velocities": [], "accelerations": [], "effort": [], "time_from_start": after}


def test_points_of_a_trajectory_hold_until_the_next_one_comes(tmp_path: Path) -> None:
    kind = "trajectory_msgs/msg/JointTrajectory"
    with Ros2File(tmp_path / "a.mcap") as file:
        for row in range(3):
            ns = START + row * 100_000_000
            points = [point([row + index / 10] * 3, index * 40_000_000) for index in range(4)]
            message = {"header": header(ns), "joint_names": list(JOINTS), "points": points}
            file.add("/joint_trajectory", kind, TRAJECTORY, message, ns + LATENCY)
    action = read(tmp_path / "a.mcap").episode.streams["action"]
    assert action.spec.channel_names == JOINTS
    milliseconds = ((action.capture_ns - START) // 1_000_000).tolist()
    assert milliseconds == [0, 40, 80, 100, 140, 180, 200, 240, 280, 320]
    np.testing.assert_allclose(action.values[:, 0], [0, 0.1, 0.2, 1, 1.1, 1.2, 2, 2.1, 2.2, 2.3])
    assert (action.arrival_ns[1], action.arrival_ns[0]) == (action.capture_ns[1], START + LATENCY)


@pytest.mark.parametrize(
    ("encoding", "pixel", "expected"),
    [
        ("rgb8", [10, 20, 30], [10, 20, 30]),
        ("bgr8", [10, 20, 30], [30, 20, 10]),
        ("rgba8", [10, 20, 30, 99], [10, 20, 30]),
        ("bgra8", [10, 20, 30, 99], [30, 20, 10]),
        ("mono8", [77], [77, 77, 77]),
        ("bayer_rggb8", [128], [128, 128, 128]),
        ("yuv422_yuy2", [128, 128], [130, 130, 130]),
        ("uyvy", [128, 128], [130, 130, 130]),
    ],
)
def test_pixel_formats_and_padded_rows(tmp_path: Path, encoding: str, pixel: list[int], expected: list[int]) -> None:
    row_bytes = bytes(pixel * 8) + b"\xee" * 5
    step = len(row_bytes)
    with Ros2File(tmp_path / "a.mcap") as file:
        file.add(*COMMAND, multi_array([1]), START)
        image = {"header": header(START), "height": 6, "width": 8, "encoding": encoding, "is_bigendian": 0}
        message = {**image, "step": step, "data": row_bytes * 6}
        file.add("/camera/front/image_raw", "sensor_msgs/msg/Image", IMAGE, message, START)
    video = read(tmp_path / "a.mcap").videos["camera/front"]
    (tmp_path / "a.mp4").write_bytes(video.data)
    frame = decode_frames(tmp_path / "a.mp4", video.pts, 6, 8)[0]
    np.testing.assert_allclose(np.asarray(frame, np.float64), np.broadcast_to(expected, (6, 8, 3)), atol=5)


def test_pixels_are_encoded_in_pieces_as_if_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.repeat(np.arange(35, dtype=np.uint8) * 7, 20 * 24 * 3).reshape(35, 20, 24, 3)
    monkeypatch.setattr("counterpoint.ingest.messages.pixels.PIECE_BYTES", 1)
    pixels = PixelEncoder("here")
    for frame in frames:
        pixels.add(frame)
    data, pts = pixels.finish()
    (tmp_path / "a.mp4").write_bytes(data)
    found = decode_frames(tmp_path / "a.mp4", pts, 20, 24)
    np.testing.assert_allclose(found.astype(np.float64), frames, atol=4)
    with pytest.raises(IngestError) as error:
        pixels.add(frames[0, :10])
    assert error.value.reason == "dimension_mismatch"


def test_of_a_camera_recorded_twice_the_coded_pictures_are_kept(tmp_path: Path) -> None:
    with Ros2File(tmp_path / "a.mcap") as file:
        file.add(*COMMAND, multi_array([1]), START)
        raw = {"header": header(START), "height": 2, "width": 2, "encoding": "mono8", "is_bigendian": 0, "step": 2}
        file.add("/front/image_raw", "sensor_msgs/msg/Image", IMAGE, {**raw, "data": b"abcd"}, START)
        coded = {"header": header(START), "format": "rgb8; jpeg compressed bgr8", "data": pictures("mjpeg", 1)[0]}
        file.add("/front/image_raw/compressed", "sensor_msgs/msg/CompressedImage", COMPRESSED, coded, START)
    ingested = read(tmp_path / "a.mcap")
    assert list(ingested.videos) == ["camera/front"]
    assert ingested.episode.provenance.notes == ("left_out:/front/image_raw",)


def test_without_commands_nothing_is_made_up_but_a_mapping_may_say_so(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", 10, command=False)
    with pytest.raises(IngestError, match=r"among /joint_states\.position.*--write-mapping") as error:
        open_source(path, ReadOptions())
    assert error.value.reason == "no_action"
    channels = tuple(Channel(name=name, quantity="joint_position", unit="rad") for name in JOINTS)
    robot = Embodiment(
        name="arm",
        sensing=(StreamSpec(name="proprioception", channels=channels),),
        acting=channels,
        control_rate_hz=100,
    )
    maps = tuple(
        FeatureMap(feature="/joint_states.position", stream=stream, channels=JOINTS)
        for stream in ("action", "proprioception")
    )
    episode = read(path, RobotMapping(robot=robot, features=maps)).episode
    np.testing.assert_array_equal(episode.streams["action"].values, positions(10).astype(np.float32))


def test_ingest_puts_everything_into_a_store_once(tmp_path: Path) -> None:
    sources = [
        write_everything(tmp_path / "a.mcap", 10), write_json(tmp_path / "b.mcap"), write_protobuf(tmp_path / "c.mcap")
    ]  # fmt: skip
    report = ingest(sources, tmp_path / "store", progress=False)
    assert (report.added, report.quarantined) == (3, [])
    again = ingest(sources, tmp_path / "store", progress=False)
    assert (again.added, again.skipped) == (0, 3)
    store = Store.open(tmp_path / "store")
    assert store.verify() == []
    assert len(store) == 3
