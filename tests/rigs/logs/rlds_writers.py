"""Small RLDS datasets as TFDS lays them out, with `google.protobuf` and a checksum of our own."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray
from picture_files import jpeg_files


class Message(Protocol):
    """The part of a protobuf message that is used here."""

    def SerializeToString(self) -> bytes: ...
    def ParseFromString(self, data: bytes) -> int: ...


def example_class() -> type[Message]:
    """Return `tf.train.Example`, built from a description in code."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    for name, kind in (
        ("BytesList", kinds.TYPE_BYTES),
        ("FloatList", kinds.TYPE_FLOAT),
        ("Int64List", kinds.TYPE_INT64),
    ):
        file.message_type.add(name=name).field.add(name="value", number=1, type=kind, label=kinds.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        kind = "".join(word.title() for word in name.split("_"))
        feature.field.add(
            name=name, number=number, type=kinds.TYPE_MESSAGE, type_name=f".t.{kind}", label=1, oneof_index=0
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=kinds.TYPE_MESSAGE, type_name=".t.Feature", label=1)
    features.field.add(name="feature", number=1, type=kinds.TYPE_MESSAGE, type_name=".t.Features.FeatureEntry", label=3)
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, type=kinds.TYPE_MESSAGE, type_name=".t.Features", label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return cast(type[Message], message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example")))


EXAMPLE = example_class()


def encode_example(values: dict[str, list[bytes] | NDArray[np.floating] | NDArray[np.integer]]) -> bytes:
    """Return the bytes of an Example."""
    message = EXAMPLE()
    for name, each in values.items():
        feature = message.features.feature[name]  # type: ignore[attr-defined]  # made at run time
        if isinstance(each, list):
            feature.bytes_list.value.extend(each)
        elif np.issubdtype(each.dtype, np.floating):
            feature.float_list.value.extend(each.reshape(-1).tolist())
        else:
            feature.int64_list.value.extend(each.reshape(-1).tolist())
    return message.SerializeToString()


def decode_example(data: bytes) -> dict[str, list[bytes] | list[float] | list[int]]:
    """Return the features of an Example, by `google.protobuf`."""
    message = EXAMPLE()
    message.ParseFromString(data)
    found = {}
    for name, feature in message.features.feature.items():  # type: ignore[attr-defined]  # made at run time
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found


def crc32c(data: bytes) -> int:
    """Return CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    """Return TFRecord's masked checksum of `data`, little-endian."""
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data: bytes) -> bytes:
    """Return one record."""
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def records(data: bytes) -> Iterator[bytes]:
    """Yield the data of each record, trusting everything."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def tensor(dtype: str, *shape: int) -> dict[str, object]:
    """Return a tensor of features.json."""
    return {
        "pythonClassName": "tensorflow_datasets.core.features.tensor_feature.Tensor",
        "tensor": {"shape": {"dimensions": [str(side) for side in shape]}, "dtype": dtype, "encoding": "none"},
    }


def features_dict(features: dict[str, object]) -> dict[str, object]:
    """Return a FeaturesDict of features.json."""
    return {"featuresDict": {"features": features}}


def write_metadata(root: Path, step: dict[str, object], counts: dict[str, int]) -> None:
    """Write features.json and dataset_info.json."""
    root.mkdir(parents=True, exist_ok=True)
    steps = {"sequence": {"feature": features_dict(step), "length": "-1"}}
    episode = features_dict({"has_image": tensor("bool"), "success": tensor("bool"), "file_path": {"text": {}}})
    (root / "features.json").write_text(json.dumps(features_dict({"steps": steps, "episode_metadata": episode})))
    splits = [{"name": name, "shardLengths": [str(count)], "numBytes": "1"} for name, count in counts.items()]
    info = {"name": "test_set", "version": "1.0.0", "fileFormat": "tfrecord", "splits": splits}
    (root / "dataset_info.json").write_text(json.dumps(info))


STEP: dict[str, object] = {
    "action": features_dict(
        {"move": tensor("float32", 3), "grip": tensor("float32"), "terminate_episode": tensor("int32")}
    ),
    "observation": features_dict(
        {
            "state": tensor("float32", 4),
            "counts": tensor("int64", 2),
            "depth": tensor("float32", 8, 8, 1),
            "image": {
                "image": {"shape": {"dimensions": ["16", "32", "3"]}, "dtype": "uint8", "encodingFormat": "jpeg"}
            },
        }
    ),
    "language_instruction": {"text": {}},
    "reward": tensor("float32"),
    "is_last": tensor("bool"),
}


def make_episode(seed: int, rows: int) -> dict[str, list[bytes] | NDArray[np.floating] | NDArray[np.integer]]:
    """Return the flat features of one episode."""
    rng = np.random.default_rng(seed)
    return {
        "steps/action/move": rng.normal(size=(rows, 3)).astype(np.float32),
        "steps/action/grip": rng.normal(size=rows).astype(np.float32),
        "steps/action/terminate_episode": np.zeros(rows, np.int64),
        "steps/observation/state": rng.normal(size=(rows, 4)).astype(np.float32),
        "steps/observation/counts": rng.integers(-(2**62), 2**62, (rows, 2)),
        "steps/observation/depth": np.zeros((rows, 64), np.float32),
        "steps/observation/image": jpeg_files(rows, first=20 + seed),
        "steps/language_instruction": [f"do task {seed}".encode()] * rows,
        "steps/reward": np.eye(rows, dtype=np.float32)[-1],
        "steps/is_last": np.eye(rows, dtype=np.int64)[-1],
        "episode_metadata/has_image": np.ones(1, np.int64),
        "episode_metadata/success": np.asarray([seed % 2]),
        "episode_metadata/file_path": [b"/somewhere"],
    }


def write_rlds(root: Path, lengths: tuple[int, ...] = (5, 4, 6)) -> None:
    """Write a dataset of one split in one file."""
    write_metadata(root, STEP, {"train": len(lengths)})
    data = b"".join(frame(encode_example(make_episode(seed, rows))) for seed, rows in enumerate(lengths))
    (root / "test_set-train.tfrecord-00000-of-00001").write_bytes(data)
