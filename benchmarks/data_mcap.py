"""How fast joint states are read from an MCAP file: ours, `mcap-ros2-support`, `rosbags`, and bare iteration.

Run: `python benchmarks/data_mcap.py [--seconds 600]`. All read the same file in the same process, in CPU seconds; each
gives all positions and velocities of all messages with their stamps, and the values are compared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mcap.reader
import mcap.writer
import mcap_ros2.decoder
import numpy as np
from mcap_ros2._dynamic import serialize_dynamic
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

from counterpoint.ingest.mcap.file import McapFile
from counterpoint.ingest.messages.decode import LayoutDecoder
from counterpoint.ingest.messages.extract import extract
from counterpoint.ingest.messages.series import SeriesBuilder

START = 1_700_000_000_000_000_000
JOINTS = 14
RATE_HZ = 100
TOPIC = "/joint_states"
DEFINITION = """std_msgs/Header header
string[] name
float64[] position
float64[] velocity
float64[] effort
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
"""
Values = NDArray[np.float64]
Read = Callable[[Path], Values | None]


def write_log(path: Path, seconds: float) -> None:
    """Write joint states of 14 joints at 100 Hz, zstd chunks, as `ros2 bag record -s mcap` does."""
    rng = np.random.default_rng(0)
    kind = "sensor_msgs/msg/JointState"
    encode = serialize_dynamic(kind, DEFINITION)[kind]
    with path.open("wb") as file:
        out = mcap.writer.Writer(file)
        out.start(profile="ros2")
        channel = out.register_channel(TOPIC, "cdr", out.register_schema(kind, "ros2msg", DEFINITION.encode()))
        for row in range(int(seconds * RATE_HZ)):
            ns = START + row * 10**9 // RATE_HZ
            message = {
                "header": {"stamp": {"sec": ns // 10**9, "nanosec": ns % 10**9}, "frame_id": "base_link"},
                "name": [f"arm_joint_{joint}" for joint in range(JOINTS)],
                "position": rng.normal(size=JOINTS).tolist(),
                "velocity": rng.normal(size=JOINTS).tolist(),
                "effort": rng.normal(size=JOINTS).tolist(),
            }
            out.add_message(channel, ns + 1_000_000, encode(message), ns)
        out.finish()  # type: ignore[no-untyped-call]  # the package is half typed


def read_ours(path: Path) -> Values:
    """Read with this project's reader: checksums, decoding, order of columns and clocks included."""
    log = McapFile(path)
    topic = log.topics[TOPIC]
    decoder = LayoutDecoder(topic, str(path))
    series: dict[str, SeriesBuilder] = {}
    first = 0
    for block in log.blocks():
        for batch in decoder.decode(block.payloads):
            for extracted in extract(topic, "joints", batch, str(path)):
                builder = series.setdefault(
                    extracted.feature,
                    SeriesBuilder(
                        feature=extracted.feature,
                        where=str(path),
                        names=extracted.names,
                        width=extracted.values.shape[1],
                        strict=True,
                    ),
                )
                builder.add(extracted, block, first)
        first += len(block.payloads)
    position, velocity = (series[f"{TOPIC}.{part}"].series()[0] for part in ("position", "velocity"))
    return np.concatenate([position.capture_ns[:, None] - START, position.values, velocity.values], axis=1)


def read_mcap_ros2(path: Path) -> Values:
    """Read with `mcap-ros2-support`."""
    rows: list[Any] = []
    with path.open("rb") as file:
        reader = mcap.reader.make_reader(file, decoder_factories=[mcap_ros2.decoder.DecoderFactory()])
        for _, _, _, message in reader.iter_decoded_messages(topics=[TOPIC]):
            rows.append(_row(message))
    return np.asarray(rows)


def read_rosbags(path: Path) -> Values:
    """Read with `mcap` and decode with `rosbags`."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    rows: list[Any] = []
    with path.open("rb") as file:
        for _, _, message in mcap.reader.make_reader(file).iter_messages(topics=[TOPIC]):
            rows.append(_row(store.deserialize_cdr(message.data, "sensor_msgs/msg/JointState")))
    return np.asarray(rows)


def read_raw(path: Path) -> None:
    """Iterate over undecoded messages with `mcap`."""
    with path.open("rb") as file:
        for _, _, message in mcap.reader.make_reader(file).iter_messages(topics=[TOPIC]):
            len(message.data)


def read_blocks(path: Path) -> None:
    """Iterate over undecoded messages with this project's reader."""
    for block in McapFile(path).blocks():
        len(block.payloads)


def _row(message: Any) -> list[float]:
    stamp = message.header.stamp
    return [stamp.sec * 1_000_000_000 + stamp.nanosec - START, *message.position, *message.velocity]


READERS: dict[str, Read] = {
    "counterpoint": read_ours,
    "mcap-ros2-support": read_mcap_ros2,
    "rosbags": read_rosbags,
    "mcap, undecoded": read_raw,
    "counterpoint, undecoded": read_blocks,
}


def measure(seconds: float, repeats: int = 3) -> dict[str, float]:
    """Return hours of joint states per core-hour, by reader: the best of some repeats."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "joints.mcap"
        write_log(path, seconds)
        expected = read_mcap_ros2(path)
        for name, read in READERS.items():
            costs = []
            for _ in range(repeats):
                begin = time.process_time()
                values = read(path)
                costs.append(time.process_time() - begin)
                assert values is None or np.array_equal(values, expected), name
            found[name] = seconds / min(costs)
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Measure, print a table and return the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the log")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    found = measure(options.seconds)
    if options.json:
        print(json.dumps(found))
        return found
    print(f"{JOINTS} joints at {RATE_HZ} Hz, hours per core-hour:")
    for name, rate in found.items():
        print(f"  {name:26s} {rate:8.0f}   {rate / found['mcap-ros2-support']:6.1f} x mcap-ros2-support")
    return found


if __name__ == "__main__":
    main()
