"""ROS 1 bags and ROS 2 databases and folders, with `rosbags` as the oracle."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import zstandard
from mcap_writers import JOINTS, LATENCY, START, STEP, pictures, positions, write_bag1, write_bag2, write_db3
from rosbags.highlevel import AnyReader

from counterpoint.core.errors import IngestError
from counterpoint.ingest import ingest
from counterpoint.ingest.formats import open_source
from counterpoint.ingest.recording.source import Ingested, ReadOptions


def read(path: Path) -> Ingested:
    source = open_source(path, ReadOptions())
    assert source.items() == [""]
    return source.read("")


def check_truth(ingested: Ingested, count: int) -> None:
    streams = ingested.episode.streams
    state = streams["proprioception"]
    assert state.spec.channel_names == JOINTS
    np.testing.assert_array_equal(state.values, positions(count).astype(np.float32))
    np.testing.assert_array_equal(streams["action"].values, positions(count, 1).astype(np.float32))
    np.testing.assert_array_equal(state.capture_ns, START + STEP * np.arange(count))
    np.testing.assert_array_equal(state.arrival_ns, START + STEP * np.arange(count) + LATENCY)
    assert ingested.episode.provenance.notes == ()


@pytest.mark.parametrize("compression", ["", "bz2", "lz4"])
def test_ros1_bag(tmp_path: Path, compression: str) -> None:
    ingested = read(write_bag1(tmp_path / "a.bag", 20, compression))
    check_truth(ingested, 20)
    with av.open(io.BytesIO(ingested.videos["camera/cam"].data), mode="r") as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert packets == pictures("mjpeg", 20)


@pytest.mark.parametrize("definitions", [True, False])
def test_ros2_database(tmp_path: Path, definitions: bool) -> None:
    check_truth(read(write_db3(tmp_path / "a.db3", 20, definitions)), 20)


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_ros2_folder(tmp_path: Path, storage: str) -> None:
    folder = write_bag2(tmp_path / "bag", 20, storage)
    ingested = read(folder)
    check_truth(ingested, 20)
    assert ingested.episode.provenance.instruction == "fold the towel"


def test_values_are_those_of_rosbags(tmp_path: Path) -> None:
    for path in (
        write_bag1(tmp_path / "a.bag", 20),
        write_bag2(tmp_path / "b", 20),
        write_bag2(tmp_path / "c", 20, "mcap"),
    ):
        stream = read(path).episode.streams["joint_states/velocity"]
        with AnyReader([path]) as reader:
            links = [link for link in reader.connections if link.topic == "/joint_states"]
            rows: list[tuple[int, Any]] = [
                (time, reader.deserialize(raw, link.msgtype)) for link, time, raw in reader.messages(connections=links)
            ]
        np.testing.assert_array_equal(stream.values, np.asarray([each.velocity for _, each in rows], np.float32))
        np.testing.assert_array_equal(stream.arrival_ns, [time for time, _ in rows])


def split(folder: Path) -> None:
    """Make two databases of one, as a recorder with a size limit does."""
    first = next(folder.glob("*.db3"))
    second = folder / "second.db3"
    second.write_bytes(first.read_bytes())
    for path, keep in ((first, "<"), (second, ">=")):
        database = sqlite3.connect(path)
        database.execute(f"DELETE FROM messages WHERE NOT timestamp {keep} {START + 10 * STEP}")
        database.commit()
        database.close()
    text = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(text.replace(f"- {first.name}\n", f"- {first.name}\n  - second.db3\n", 1))


def test_files_of_a_split_bag_are_one_episode(tmp_path: Path) -> None:
    folder = write_bag2(tmp_path / "bag", 20)
    split(folder)
    check_truth(read(folder), 20)


def test_the_same_recording_is_one_episode_whatever_its_container(tmp_path: Path) -> None:
    paths = [write_db3(tmp_path / "a.db3", 20), write_db3(tmp_path / "b.db3", 20, definitions=False)]
    report = ingest(paths, tmp_path / "store", progress=False)
    assert (report.added, report.skipped, report.quarantined) == (1, 1, [])


def test_a_folder_that_leads_outside_is_refused(tmp_path: Path) -> None:
    folder = write_bag2(tmp_path / "bag", 5)
    name = next(folder.glob("*.db3")).name
    meta = folder / "metadata.yaml"
    meta.write_text(meta.read_text().replace(f"- {name}", f"- ../{name}"))
    with pytest.raises(IngestError) as error:
        read(folder)
    assert error.value.reason == "path_outside"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("relative_file_paths", "somewhere_else", "bad_info"),
        ("  relative_file_paths:", "  relative_file_paths: [1]\n  other:", "bad_info"),
        ("compression_mode: ''", "compression_mode: FILE", "unknown_compression"),
        ("rosbag2_bagfile_information:", "rosbag2_bagfile_information: {a: b", "bad_info"),
        (
            "rosbag2_bagfile_information:",
            "a: &a [x, x]\nb: [*a, *a]\nrosbag2_bagfile_information: 3\nother:",
            "bad_info",
        ),
        (".db3", ".db4", "missing_file"),
    ],
)
def test_bad_metadata_of_a_folder(tmp_path: Path, old: str, new: str, reason: str) -> None:
    folder = write_bag2(tmp_path / "bag", 5)
    meta = folder / "metadata.yaml"
    text = meta.read_text()
    assert old in text
    meta.write_text(text.replace(old, new))
    with pytest.raises(IngestError) as error:
        read(folder)
    assert error.value.reason == reason


def test_messages_packed_one_by_one(tmp_path: Path) -> None:
    folder = write_bag2(tmp_path / "bag", 10)
    database = sqlite3.connect(next(folder.glob("*.db3")))
    rows = database.execute("SELECT id, data FROM messages").fetchall()
    pack = zstandard.ZstdCompressor().compress
    database.executemany("UPDATE messages SET data = ? WHERE id = ?", [(pack(data), number) for number, data in rows])
    database.commit()
    database.close()
    meta = folder / "metadata.yaml"
    meta.write_text(meta.read_text().replace("compression_mode: ''", "compression_mode: MESSAGE"))
    check_truth(read(folder), 10)
