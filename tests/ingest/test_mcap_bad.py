"""Bad logs of messages: each has its reason code, and no bytes anywhere give anything but an IngestError."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from bad_logs import BAD_LOGS, COMMAND, at, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType
from mcap_writers import (
    START,
    STEP,
    Ros2File,
    header,
    multi_array,
    pictures,
    write_bag1,
    write_db3,
    write_everything,
    write_json,
    write_mcap,
    write_protobuf,
)
from ros_definitions import COMPRESSED, IMAGE, TRAJECTORY

from counterpoint.core.errors import IngestError
from counterpoint.ingest import ingest
from counterpoint.ingest.formats import open_source
from counterpoint.ingest.recording.source import Ingested, ReadOptions

PICTURE = ("/cam/compressed", "sensor_msgs/msg/CompressedImage", COMPRESSED)
RAW: dict[str, Any] = {"compression": CompressionType.NONE, "enable_crcs": False, "enable_data_crcs": False}


def read(path: Path, name: str | None = None) -> Ingested:
    source = open_source(path, ReadOptions(), name)
    source.content_hash("")
    return source.read("")


def reason_of(path: Path, name: str | None = None) -> str:
    with pytest.raises(IngestError) as error:
        read(path, name)
    assert str(path) in str(error.value)
    return error.value.reason


@pytest.mark.parametrize("name", BAD_LOGS)
def test_each_bad_log_gives_its_reason(tmp_path: Path, name: str) -> None:
    reason, write = BAD_LOGS[name]
    assert reason_of(write(tmp_path)) == reason


def test_what_is_not_needed_does_not_cost_the_episode(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.mcap", at(3, velocity=[1.0, float("nan"), 3.0]))
    ingested = read(path)
    assert ingested.episode.provenance.notes == ("not_finite:/joint_states.velocity",)
    assert len(ingested.episode.streams["joint_states/velocity"]) == 9


def write_messages(path: Path, *messages: tuple[tuple[str, str, str], dict[str, object]]) -> Path:
    with Ros2File(path) as file:
        file.add(*COMMAND, multi_array([1, 2, 3]), START)
        for row, (topic, message) in enumerate(messages):
            file.add(*topic, message, START + row * STEP)
    return path


def coded(data: bytes, form: str = "jpeg") -> tuple[tuple[str, str, str], dict[str, object]]:
    return PICTURE, {"header": header(START), "format": form, "data": data}


def raw_image(**changes: object) -> tuple[tuple[str, str, str], dict[str, object]]:
    image = {"header": header(START), "height": 2, "width": 2, "encoding": "rgb8", "is_bigendian": 0, "step": 6}
    topic = ("/cam/image_raw", "sensor_msgs/msg/Image", IMAGE)
    return topic, {**image, "data": bytes(12), **changes}


def test_pictures_that_cannot_be_kept(tmp_path: Path) -> None:
    jpeg, small = pictures("mjpeg", 1)[0], pictures("mjpeg", 1, 32, 32)[0]
    path = tmp_path / "a.mcap"
    assert reason_of(write_messages(path, coded(b"GIF89a"))) == "unreadable_video"
    assert reason_of(write_messages(path, coded(b""))) == "unreadable_video"
    assert reason_of(write_messages(path, coded(jpeg), coded(jpeg[:-40]))) == "unreadable_video"
    assert reason_of(write_messages(path, coded(jpeg), coded(small))) == "dimension_mismatch"
    assert reason_of(write_messages(path, raw_image(height=3))) == "dimension_mismatch"
    assert reason_of(write_messages(path, raw_image(width=2**31))) == "absurd_size"
    assert reason_of(write_messages(path, raw_image(step=2))) == "dimension_mismatch"
    notes = read(write_messages(path, coded(jpeg, "16UC1; compressedDepth png"))).episode.provenance.notes
    assert notes == ("left_out:/cam/compressed",)


def test_film_without_a_key_frame(tmp_path: Path) -> None:
    whole, path = pictures("libx264", 4), tmp_path / "a.mcap"
    for packets, notes in ((whole[1:], None), ([*whole[1:], whole[0]], ("before_key_frame:/cam",))):
        with Ros2File(path) as file:
            file.add(*COMMAND, multi_array([1]), START)
            schema = file.schema("foxglove.CompressedVideo", "jsonschema", b"{}")
            for row, packet in enumerate(packets):
                message = {"format": "h264", "data": base64.b64encode(packet).decode()}
                file.raw("/cam", schema, "json", json.dumps(message).encode(), START + row * STEP)
        if notes is None:
            assert reason_of(path) == "unreadable_video"
        else:
            ingested = read(path)
            assert ingested.episode.provenance.notes == notes
            assert len(ingested.videos["camera/cam"].pts) == 1


def test_trajectory_with_names_for_other_joints(tmp_path: Path) -> None:
    topic = ("/joint_trajectory", "trajectory_msgs/msg/JointTrajectory", TRAJECTORY)
    points = [
        {
            "positions": [1.0],
            "velocities": [],
            "accelerations": [],
            "effort": [],
            "time_from_start": {"sec": 0, "nanosec": 0},
        }
    ]
    message: dict[str, object] = {"header": header(START), "joint_names": ["a", "b"], "points": points}
    assert reason_of(write_messages(tmp_path / "a.mcap", (topic, message))) == "dimension_mismatch"


def write_raw(path: Path, kind: str, encoding: str, schema: bytes, message_encoding: str, data: bytes) -> Path:
    with Ros2File(path) as file:
        number = file.schema(kind, encoding, schema)
        file.raw("/arm/commands", number, message_encoding, data, START)
    return path


@pytest.mark.parametrize(
    ("kind", "encoding", "schema", "message_encoding", "data", "reason"),
    [
        ("a/msg/B", "ros2msg", b"a/C missing", "cdr", bytes([0, 1, 0, 0]), "bad_schema"),
        ("a/msg/B", "ros2msg", b"float64", "cdr", bytes([0, 1, 0, 0]), "bad_schema"),
        ("a/msg/B", "ros2msg", b"float64[] x", "cdr", b"\0\1\0\0\xff\xff\xff\x7f", "bad_message"),
        ("a/msg/B", "ros2msg", b"float64[] x", "cdr", b"\0\3\0\0\0\0\0\0", "unknown_encoding"),
        ("a.B", "protobuf", b"\xff\xff", "protobuf", b"", "bad_schema"),
        ("a.B", "protobuf", b"", "protobuf", b"", "bad_schema"),
        ("a.B", "jsonschema", b"{}", "json", b"{'x': 1}", "bad_message"),
        ("a.B", "jsonschema", b"{}", "json", b"[1, 2]", "bad_message"),
        ("a.B", "jsonschema", b"{}", "json", b"[" * 100_000, "bad_message"),
        ("a.B", "jsonschema", b"{}", "json", b'{"x": ' * 50 + b"1" + b"}" * 50, "absurd_size"),
        ("a.B", "jsonschema", b"{}", "json", b'{"x": NaN}', "not_finite"),
        ("a.B", "flatbuffer", b"", "flatbuffer", b"1234", "no_action"),
    ],
)
def test_messages_that_cannot_be_decoded(
    tmp_path: Path, kind: str, encoding: str, schema: bytes, message_encoding: str, data: bytes, reason: str
) -> None:
    assert reason_of(write_raw(tmp_path / "a.mcap", kind, encoding, schema, message_encoding, data)) == reason


def test_a_log_without_messages(tmp_path: Path) -> None:
    assert reason_of(write_mcap(tmp_path / "a.mcap", 0)) == "no_action"
    (tmp_path / "b.mcap").write_bytes(b"")
    assert reason_of(tmp_path / "b.mcap", "mcap") == "empty_file"


def test_one_bad_log_never_stops_the_rest(tmp_path: Path) -> None:
    good, bad = write_mcap(tmp_path / "good.mcap"), write_mcap(tmp_path / "bad.mcap")
    bad.write_bytes(bad.read_bytes()[:-20])
    report = ingest([bad, good], tmp_path / "store", progress=False)
    assert [each.reason for each in report.quarantined] == ["truncated"]
    assert report.added == 1


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small logs of every kind; of MCAP also without packing and checksums, so that damage reaches the inside."""
    folder = tmp_path_factory.mktemp("logs")
    paths = [
        write_everything(folder / "everything.mcap", 2),
        write_json(folder / "json.mcap", 3),
        write_protobuf(folder / "protobuf.mcap", 3),
        write_mcap(folder / "plain.mcap", 4, **RAW),
        write_mcap(folder / "loose.mcap", 4, use_chunking=False, enable_data_crcs=False),
        write_bag1(folder / "a.bag", 3),
        write_bag1(folder / "packed.bag", 3, "lz4"),
        write_db3(folder / "a.db3", 3),
    ]
    return {path.name: path.read_bytes() for path in paths}


def spoil_and_read(path: Path, content: bytearray, dice: random.Random) -> None:
    """Flip, insert, delete or cut bytes, and read what is left; anything but IngestError comes through."""
    for _ in range(dice.choice([1, 1, 2, 8])):
        place = dice.randrange(len(content))
        match dice.randrange(4):
            case 0:
                content[place] = dice.randrange(256)
            case 1:
                content[place : place + 4] = dice.choice([b"\xff\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f"])
            case 2:
                content[place : place + 8] = dice.choice([b"\xff" * 8, bytes(8), b"\xff" * 7 + b"\x7f"])
            case _:
                del content[place : place + dice.randrange(1, 9)]
    if dice.random() < 0.1:
        del content[dice.randrange(len(content)) :]
    path.write_bytes(content)
    with contextlib.suppress(IngestError):
        read(path)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 2**32))
def test_any_bytes_changed_anywhere_give_a_reason(logs: dict[str, bytes], tmp_path: Path, number: int) -> None:
    dice = random.Random(number)
    name = dice.choice(sorted(logs))
    spoil_and_read(tmp_path / name, bytearray(logs[name]), dice)


@pytest.mark.slow
@settings(max_examples=6000, deadline=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 2**64))
@pytest.mark.timeout(900)
def test_any_bytes_changed_anywhere_give_a_reason_at_length(
    logs: dict[str, bytes], tmp_path: Path, number: int
) -> None:
    dice = random.Random(number)
    name = dice.choice(sorted(logs))
    spoil_and_read(tmp_path / name, bytearray(logs[name]), dice)
