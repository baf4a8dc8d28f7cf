"""Small valid logs of messages of every kind, written by the tools of others: MCAP, ROS 1 bags, ROS 2 databases."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import mcap.writer
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from mcap.well_known import SchemaEncoding
from mcap_ros2._dynamic import serialize_dynamic
from ros_definitions import COMPRESSED, IMAGE, JOINT_STATE, MULTI_ARRAY, TF, WRENCH
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

START = 1_700_000_000_000_000_000
STEP = 10_000_000
LATENCY = 2_000_000
JOINTS = ("shoulder", "elbow", "gripper")


def stamp(ns: int) -> dict[str, int]:
    return {"sec": ns // 10**9, "nanosec": ns % 10**9}


def header(ns: int, frame: str = "base") -> dict[str, object]:
    return {"stamp": stamp(ns), "frame_id": frame}


def positions(count: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return float64 [count, joints], the truth of every file here."""
    return np.random.default_rng(seed).normal(size=(count, len(JOINTS)))


class Ros2File:
    """Writes CDR messages given as dicts; opens and finishes with `with`."""

    def __init__(self, path: Path, **options: Any) -> None:
        self._file = path.open("wb")
        self._mcap = mcap.writer.Writer(self._file, **options)
        self._mcap.start(profile="ros2", library="test")
        self._schemas: dict[str, int] = {}
        self._channels: dict[tuple[str, int], int] = {}
        self._encoders: dict[str, Callable[[Any], bytes]] = {}

    def __enter__(self) -> Ros2File:
        return self

    def __exit__(self, *error: object) -> None:
        self._mcap.finish()  # type: ignore[no-untyped-call]  # the package is half typed
        self._file.close()

    def add(
        self,
        topic: str,
        kind: str,
        text: str,
        message: object,
        log_ns: int,
        publish_ns: int | None = None,
        key: int = 0,
    ) -> None:
        if kind not in self._schemas:
            self._schemas[kind] = self._mcap.register_schema(kind, SchemaEncoding.ROS2, text.encode())
            self._encoders[kind] = serialize_dynamic(kind, text)[kind]
        self.raw(topic, self._schemas[kind], "cdr", self._encoders[kind](message), log_ns, publish_ns, key)

    def schema(self, name: str, encoding: str, data: bytes) -> int:
        return int(self._mcap.register_schema(name, encoding, data))

    def raw(
        self,
        topic: str,
        schema: int,
        encoding: str,
        data: bytes,
        log_ns: int,
        publish_ns: int | None = None,
        key: int = 0,
    ) -> None:
        if (topic, key) not in self._channels:
            self._channels[topic, key] = self._mcap.register_channel(topic, encoding, schema)
        self._mcap.add_message(self._channels[topic, key], log_ns, data, log_ns if publish_ns is None else publish_ns)

    def metadata(self, name: str, content: dict[str, str]) -> None:
        self._mcap.add_metadata(name, content)


def joint_state(ns: int, values: Any, names: tuple[str, ...] = JOINTS, **changes: object) -> dict[str, object]:
    full = list(map(float, values))
    return {
        "header": header(ns),
        "name": list(names),
        "position": full,
        "velocity": [2 * each for each in full],
        "effort": [],
        **changes,
    }


def multi_array(values: Any) -> dict[str, object]:
    return {"layout": {"dim": [], "data_offset": 0}, "data": list(map(float, values))}


def write_joints(file: Ros2File, count: int, *, command: bool = True) -> None:
    """Write joint states and commands at 100 Hz."""
    truth, wanted = positions(count), positions(count, 1)
    for row in range(count):
        ns = START + row * STEP
        file.add("/joint_states", "sensor_msgs/msg/JointState", JOINT_STATE, joint_state(ns, truth[row]), ns + LATENCY)
        if command:
            file.add(
                "/arm/commands", "std_msgs/msg/Float64MultiArray", MULTI_ARRAY, multi_array(wanted[row]), ns + 1000
            )


def write_mcap(path: Path, count: int = 20, *, command: bool = True, **options: Any) -> Path:
    """Write a file of ROS 2 joint states and commands; options are those of `mcap.writer.Writer`."""
    with Ros2File(path, **options) as file:
        write_joints(file, count, command=command)
    return path


def pictures(codec: str, count: int, height: int = 48, width: int = 64) -> list[bytes]:
    """Return coded grey pictures that grow brighter: JPEG (`mjpeg`), `png`, or H.264 packets (`libx264`)."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height = width, height
    context.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24", "libx264": "yuv420p"}[codec]
    context.time_base = Fraction(1, 1000)
    if codec == "libx264":
        context.gop_size, context.options = 5, {"bf": "0", "tune": "zerolatency"}
    made = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 10 * index, np.uint8), format="rgb24")
        frame = frame.reformat(format=context.pix_fmt)
        frame.pts = index * 40
        made += [bytes(packet) for packet in context.encode(frame)]
    return made + [bytes(packet) for packet in context.encode(None)]


def write_everything(path: Path, count: int = 10) -> Path:
    """Write a file with every kind of ROS 2 topic that is read, and some that are left out."""
    coded = {"jpeg": pictures("mjpeg", count), "png": pictures("png", count)}
    with Ros2File(path) as file:
        write_joints(file, count)
        file.metadata("session", {"Task": "fold the towel", "operator": "ada", "site": "lab", "success": "true"})
        for row in range(count):
            ns = START + row * STEP
            xyz = {"x": float(row), "y": 1.0, "z": 2.0}
            wrench = {"header": header(ns), "wrench": {"force": xyz, "torque": xyz}}
            file.add("/wrench", "geometry_msgs/msg/WrenchStamped", WRENCH, wrench, ns + LATENCY)
            frames = [
                {
                    "header": header(ns),
                    "child_frame_id": child,
                    "transform": {"translation": xyz, "rotation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}},
                }
                for child in ("tool", "camera")
            ]
            file.add("/tf", "tf2_msgs/msg/TFMessage", TF, {"transforms": frames}, ns + LATENCY)
            for form, packets in coded.items():
                picture = {"header": header(ns), "format": form, "data": packets[row]}
                file.add(
                    f"/cam_{form}/compressed", "sensor_msgs/msg/CompressedImage", COMPRESSED, picture, ns + LATENCY
                )
            for name, form, channels in (("rgb", "bgr8", 3), ("depth", "16UC1", 2)):
                pixels = np.full((6, 8, channels), row, np.uint8)
                raw = {"header": header(ns), "height": 6, "width": 8, "encoding": form, "is_bigendian": 0}
                file.add(
                    f"/overhead_{name}/image_raw",
                    "sensor_msgs/msg/Image",
                    IMAGE,
                    {**raw, "step": 8 * channels, "data": pixels.tobytes()},
                    ns + LATENCY,
                )
        file.add("/instruction", "std_msgs/msg/String", "string data", {"data": "fold the towel"}, START)
        file.add("/instruction", "std_msgs/msg/String", "string data", {"data": "stop"}, START + 5 * STEP)
        file.add("/chatter", "std_msgs/msg/String", "string data", {"data": "hello"}, START)
    return path


def write_json(path: Path, count: int = 20) -> Path:
    """Write JSON messages without a schema, and a Foxglove image."""
    truth, wanted = positions(count), positions(count, 1)
    jpeg = pictures("mjpeg", count)
    with Ros2File(path) as file:
        image = file.schema("foxglove.CompressedImage", "jsonschema", b"{}")
        for row in range(count):
            ns = START + row * STEP
            time = {"sec": ns // 10**9, "nsec": ns % 10**9}
            state = {"timestamp": time, "arm": {"joints": truth[row].tolist(), "ready": True}, "mode": "run"}
            file.raw("/state", 0, "json", json.dumps(state).encode(), ns + LATENCY)
            file.raw("/action", 0, "json", json.dumps({"target": wanted[row].tolist()}).encode(), ns)
            picture = {"timestamp": time, "format": "jpeg", "data": base64.b64encode(jpeg[row]).decode()}
            file.raw("/cam", image, "json", json.dumps(picture).encode(), ns + LATENCY)
    return path


def _descriptors() -> descriptor_pb2.FileDescriptorSet:
    """Return Foxglove's CompressedVideo and a robot's own message, with the file of Timestamp."""
    field = descriptor_pb2.FieldDescriptorProto
    time = descriptor_pb2.FileDescriptorProto(
        name="google/protobuf/timestamp.proto", package="google.protobuf", syntax="proto3"
    )
    kind = time.message_type.add(name="Timestamp")
    kind.field.add(name="seconds", number=1, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    kind.field.add(name="nanos", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    film = descriptor_pb2.FileDescriptorProto(name="video.proto", package="foxglove", syntax="proto3")
    film.dependency.append(time.name)
    kind = film.message_type.add(name="CompressedVideo")
    stamp = {"type": field.TYPE_MESSAGE, "type_name": ".google.protobuf.Timestamp", "label": field.LABEL_OPTIONAL}
    kind.field.add(name="timestamp", number=1, **stamp)
    kind.field.add(name="frame_id", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    kind.field.add(name="data", number=3, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
    kind.field.add(name="format", number=4, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    own = descriptor_pb2.FileDescriptorProto(name="arm.proto", package="acme", syntax="proto3")
    own.dependency.append(time.name)
    kind = own.message_type.add(name="Arm")
    kind.field.add(name="timestamp", number=1, **stamp)
    kind.field.add(name="joints", number=2, type=field.TYPE_DOUBLE, label=field.LABEL_REPEATED)
    kind.field.add(name="count", number=3, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    kind.field.add(name="inner", number=4, type=field.TYPE_MESSAGE, type_name=".acme.Arm", label=field.LABEL_OPTIONAL)
    return descriptor_pb2.FileDescriptorSet(file=[own, film, time])


def write_protobuf(path: Path, count: int = 20) -> Path:
    """Write Protobuf messages of a robot's own type, and H.264 packets as Foxglove's CompressedVideo."""
    files = _descriptors()
    pool = descriptor_pool.DescriptorPool()
    for file in reversed(files.file):
        pool.Add(file)
    arm, film = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        for name in ("acme.Arm", "foxglove.CompressedVideo")
    )
    truth, wanted = positions(count), positions(count, 1)
    packets = pictures("libx264", count)
    with Ros2File(path) as out:
        schemas = [
            out.schema(name, "protobuf", files.SerializeToString()) for name in ("acme.Arm", "foxglove.CompressedVideo")
        ]
        for row in range(count):
            ns = START + row * STEP
            time = {"seconds": ns // 10**9, "nanos": ns % 10**9}
            state = arm(timestamp=time, joints=truth[row], count=row)
            out.raw("/state", schemas[0], "protobuf", state.SerializeToString(), ns + LATENCY)
            out.raw("/arm/action", schemas[0], "protobuf", arm(joints=wanted[row]).SerializeToString(), ns)
            picture = film(timestamp=time, data=packets[row], format="h264")
            out.raw("/cam/video", schemas[1], "protobuf", picture.SerializeToString(), ns + LATENCY)
    return path


def write_bag1(path: Path, count: int = 20, compression: str = "") -> Path:
    """Write a ROS 1 bag of joint states, commands and JPEG pictures; compression `bz2` or `lz4`."""
    store = get_typestore(Stores.ROS1_NOETIC)
    types: Any = store.types
    truth, wanted, jpeg = positions(count), positions(count, 1), pictures("mjpeg", count)
    bag = Writer1(path)
    if compression:
        bag.set_compression(Writer1.CompressionFormat[compression.upper()])
    with bag as out:
        topics = (
            ("/joint_states", "sensor_msgs/msg/JointState"),
            ("/arm/command", "std_msgs/msg/Float64MultiArray"),
            ("/cam/image_raw/compressed", "sensor_msgs/msg/CompressedImage"),
        )
        links = [out.add_connection(topic, kind, typestore=store) for topic, kind in topics]
        for row in range(count):
            ns = START + row * STEP
            time = types["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
            head = types["std_msgs/msg/Header"](seq=row, stamp=time, frame_id="base")
            layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
            messages = (
                types[topics[0][1]](
                    header=head, name=list(JOINTS), position=truth[row], velocity=2 * truth[row], effort=np.empty(0)
                ),
                types[topics[1][1]](layout=layout, data=wanted[row]),
                types[topics[2][1]](header=head, format="jpeg", data=np.frombuffer(jpeg[row], np.uint8)),
            )
            for link, message in zip(links, messages, strict=True):
                out.write(link, ns + LATENCY, store.serialize_ros1(message, link.msgtype))
    return path


def write_bag2(path: Path, count: int = 20, storage: str = "sqlite3", definitions: bool = True) -> Path:
    """Write the folder of a ROS 2 bag; storage `sqlite3` or `mcap`."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    types: Any = store.types
    truth, wanted = positions(count), positions(count, 1)
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    with Writer2(path, version=9 if definitions else 8, storage_plugin=plugin) as out:
        joints = out.add_connection("/joint_states", "sensor_msgs/msg/JointState", typestore=store)
        commands = out.add_connection("/arm/commands", "std_msgs/msg/Float64MultiArray", typestore=store)
        out.set_custom_data("task", "fold the towel")
        for row in range(count):
            ns = START + row * STEP
            time = types["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
            state = types[joints.msgtype](
                header=types["std_msgs/msg/Header"](stamp=time, frame_id="base"),
                name=list(JOINTS),
                position=truth[row],
                velocity=2 * truth[row],
                effort=np.empty(0),
            )
            layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
            command = types[commands.msgtype](layout=layout, data=wanted[row])
            out.write(joints, ns + LATENCY, store.serialize_cdr(state, joints.msgtype))
            out.write(commands, ns + 1000, store.serialize_cdr(command, commands.msgtype))
    if storage == "sqlite3" and not definitions:
        drop_definitions(next(path.glob("*.db3")))
    return path


def write_db3(path: Path, count: int = 20, definitions: bool = True) -> Path:
    """Write a single database of a ROS 2 bag."""
    folder = write_bag2(path.parent / f"{path.stem}_folder", count, definitions=definitions)
    next(folder.glob("*.db3")).rename(path)
    shutil.rmtree(folder)
    return path


def drop_definitions(path: Path) -> None:
    """Make a database look like those before ROS 2 Iron, which carry no message definitions."""
    database = sqlite3.connect(path)
    database.execute("DROP TABLE IF EXISTS message_definitions")
    database.commit()
    database.close()


WRITERS: dict[str, Callable[[Path], Path]] = {
    "mcap": write_mcap,
    "everything.mcap": write_everything,
    "json.mcap": write_json,
    "protobuf.mcap": write_protobuf,
    "bag": write_bag1,
    "db3": write_db3,
    "ros2_folder": write_bag2,
}
"""A valid small log of each kind; the folder writer makes a folder at the path."""
