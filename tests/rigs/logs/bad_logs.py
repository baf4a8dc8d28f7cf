"""A corpus of bad logs of messages: a name, the reason code that each must give, and a function that writes it."""

from __future__ import annotations

import pickle
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcap_writers import START, STEP, Ros2File, header, joint_state, multi_array, write_bag1, write_db3, write_mcap
from ros_definitions import JOINT_STATE, MULTI_ARRAY

STATE = ("/joint_states", "sensor_msgs/msg/JointState", JOINT_STATE)
COMMAND = ("/arm/commands", "std_msgs/msg/Float64MultiArray", MULTI_ARRAY)


def changed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) >= 1
    return data.replace(old, new, 1)


def chunk_claim(data: bytes, claimed: int) -> bytes:
    """Change the unpacked size that the first chunk claims."""
    start = data.index(b"\x04\0\0\0zstd") - 12
    return data[:start] + struct.pack("<Q", claimed) + data[start + 8 :]


BYTES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "cut in the middle": ("truncated", lambda data: data[: len(data) // 2]),
    "last byte missing": ("truncated", lambda data: data[:-1]),
    "head alone": ("truncated", lambda data: data[:8]),
    "three bytes of the head": ("unknown_format", lambda data: data[:3]),
    "pickle": ("unknown_format", lambda data: pickle.dumps({"a": 1}) * 99),
    "wrong version": ("wrong_version", lambda data: data[:5] + b"1" + data[6:]),
    "one flipped byte": ("bad_checksum", lambda data: data[:700] + bytes([data[700] ^ 1]) + data[701:]),
    "chunk claims much": ("absurd_size", lambda data: chunk_claim(data, 2**62)),
    "chunk claims a little more": ("damaged_record", lambda data: chunk_claim(data, 2**20)),
    "footer points nowhere": ("damaged_record", lambda data: data[:-28] + b"\xff" * 8 + data[-20:]),
    "record of 2**60 bytes": ("truncated", lambda data: data[:9] + struct.pack("<Q", 2**60) + data[17:]),
}


def write_rows(path: Path, change: Callable[[int, dict[str, Any]], object], count: int = 10) -> Path:
    """Write joint states as `change` makes them of message number and message, and sound commands."""
    with Ros2File(path) as file:
        for row in range(count):
            ns = START + row * STEP
            message = joint_state(ns, [1, 2, 3])
            change(row, message)
            file.add(*STATE, message, ns)
            file.add(*COMMAND, multi_array([1, 2, 3]), ns)
    return path


def at(row: int, **changes: object) -> Callable[[int, dict[str, Any]], object]:
    return lambda number, message: message.update(changes) if number == row else None


ROWS: dict[str, tuple[str, Callable[[int, dict[str, Any]], object]]] = {
    "nan": ("not_finite", at(3, position=[1.0, float("nan"), 3.0])),
    "infinite": ("not_finite", at(0, position=[1.0, float("-inf"), 3.0])),
    "too big for float32": ("not_finite", at(9, position=[1.0, 1e300, 3.0])),
    "time backwards": ("time_backwards", at(5, header=header(START))),
    "a joint less": ("dimension_mismatch", at(5, name=["shoulder", "elbow"], position=[1.0, 2.0], velocity=[1.0, 2.0])),
    "another joint": ("dimension_mismatch", at(5, name=["shoulder", "elbow", "wrist"])),
    "fewer numbers than names": ("dimension_mismatch", at(5, position=[1.0, 2.0])),
    "no numbers any more": ("dimension_mismatch", at(5, position=[])),
    "columns shuffled but not their names": ("dimension_mismatch", at(5, name=["elbow", "elbow", "gripper"])),
}


def bag_field(data: bytes, name: bytes, value: bytes) -> bytes:
    """Change the first field of that name in a bag."""
    start = data.index(name) + len(name)
    return data[:start] + value + data[start + len(value) :]


BAG: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "cut in the middle": ("truncated", lambda data: data[: len(data) // 2]),
    "cut in the index": ("truncated", lambda data: data[:-9]),
    "never closed": ("truncated", lambda data: bag_field(data, b"index_pos=", bytes(8))),
    "old version": ("wrong_version", lambda data: data.replace(b"V2.0", b"V1.2", 1)),
    "no bag": ("unknown_format", lambda data: b"#ROS" + data),
    "unknown packing": ("unknown_compression", lambda data: changed(data, b"compression=none", b"compression=zzzz")),
    "absurd chunk": ("absurd_size", lambda data: bag_field(data, b"\x09\0\0\0size=", b"\xff\xff\xff\x7f")),
}  # fmt: skip


def edited(*statements: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        database = sqlite3.connect(path)
        for statement in statements:
            database.execute(statement)
        database.commit()
        database.close()

    return edit


def overwritten(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096].ljust(len(content), b"\xff"))


DB3: dict[str, tuple[str, Callable[[Path], object]]] = {
    "cut": ("truncated", lambda path: path.write_bytes(path.read_bytes()[:-4096])),
    "spoilt": ("damaged_sqlite", overwritten),
    "unwritten journal": ("truncated", lambda path: path.with_name("a.db3-wal").write_bytes(b"7")),
    "no messages": ("unknown_format", edited("DROP TABLE messages")),
    "text for bytes": ("damaged_record", edited("UPDATE messages SET data = 'text' WHERE id = 3")),
    "no such topic": ("damaged_record", edited("UPDATE messages SET topic_id = 99 WHERE id = 3")),
    "time in words": ("damaged_record", edited("UPDATE messages SET timestamp = 'noon' WHERE id = 3")),
    "absurd time": ("absurd_time", edited("UPDATE messages SET timestamp = 9223372036854775807 WHERE id = 3")),
    "cut message": ("bad_message", edited("UPDATE messages SET data = x'00010000ff' WHERE id = 3")),
    "a view that never ends": ("unknown_format", edited(
        "ALTER TABLE messages RENAME TO m",
        "CREATE VIEW messages AS WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r) "
        "SELECT id, 1 AS topic_id, id AS timestamp, x'00' AS data FROM r",
    )),
}  # fmt: skip


def spoilt_mcap(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = write_mcap(folder / "a.mcap", 40, enable_data_crcs=name == "one flipped byte")
        path.write_bytes(BYTES[name][1](path.read_bytes()))
        return path

    return write


def spoilt_bag(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = write_bag1(folder / "a.bag", 5)
        path.write_bytes(BAG[name][1](path.read_bytes()))
        return path

    return write


def spoilt_db3(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = write_db3(folder / "a.db3", 30)
        DB3[name][1](path)
        return path

    return write


def odd_rows(name: str) -> Callable[[Path], Path]:
    return lambda folder: write_rows(folder / "a.mcap", ROWS[name][1])


BAD_LOGS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    **{f"mcap, {name}": (reason, spoilt_mcap(name)) for name, (reason, _) in BYTES.items()},
    **{f"mcap, {name}": (reason, odd_rows(name)) for name, (reason, _) in ROWS.items()},
    "mcap, no commands": ("no_action", lambda folder: write_mcap(folder / "a.mcap", 10, command=False)),
    "mcap, no messages": ("no_action", lambda folder: write_mcap(folder / "a.mcap", 0)),
    **{f"bag, {name}": (reason, spoilt_bag(name)) for name, (reason, _) in BAG.items()},
    **{f"db3, {name}": (reason, spoilt_db3(name)) for name, (reason, _) in DB3.items()},
}
"""By name: the reason code, and a function that writes the log into a folder and returns its path."""
