"""RLDS: episodes of steps in the layout of TensorFlow Datasets, for `tfds.builder_from_directory`.

    TO/1.0.0/dataset_info.json  features.json  <robot>-train.tfrecord-00000-of-00004 ...

A step holds observation (state, images, other vectors), action, instruction, flags and the time in seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from counterpoint.export.pictures import jpegs
from counterpoint.export.rows import ACTION, STATE, Rows, feature_name
from counterpoint.export.selection import Selection
from counterpoint.export.tfrecord import Value, encode_example, frame_record
from counterpoint.store import EpisodeInfo
from counterpoint.store.episodes.video import video_size

VERSION = "1.0.0"
SHARD_BYTES = 200 * 2**20
_FEATURES = "tensorflow_datasets.core.features"


@dataclass(kw_only=True)
class _Shards:
    """Record files of one split; renamed at the end, once their number is known."""

    folder: Path
    name: str
    lengths: list[int] = field(default_factory=list)
    num_bytes: int = 0
    _room: int = 0

    def add(self, record: bytes) -> None:
        if not self.lengths or self._room < len(record):
            self.lengths.append(0)
            self._room = SHARD_BYTES
        with self._path(len(self.lengths) - 1).open("ab") as file:
            file.write(record)
        self.lengths[-1] += 1
        self.num_bytes += len(record)
        self._room -= len(record)

    def close(self) -> None:
        for number in range(len(self.lengths)):
            final = f"{self.name}-train.tfrecord-{number:05d}-of-{len(self.lengths):05d}"
            os.rename(self._path(number), self.folder / final)

    def _path(self, number: int) -> Path:
        return self.folder / f"shard-{number}"


def write_rlds(selection: Selection, folder: Path) -> Iterator[EpisodeInfo]:
    """Write a dataset of one split, `train`, into `folder`; yields each episode once it is written."""
    inner = folder / VERSION
    inner.mkdir()
    shards = _Shards(folder=inner, name=selection.robot.name)
    for info in selection.episodes:
        rows = selection.rows(info)
        shards.add(frame_record(encode_example(_example(selection, info, rows))))
        yield info
    shards.close()
    (inner / "features.json").write_text(json.dumps(_features(selection), indent=2))
    described = {
        "name": selection.robot.name,
        "version": VERSION,
        "description": f"{len(selection.episodes)} episodes of {selection.robot.name} at {selection.fps} Hz.",
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": "train",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "shardLengths": [str(length) for length in shards.lengths],
                "numBytes": str(shards.num_bytes),
            }
        ],
    }
    (inner / "dataset_info.json").write_text(json.dumps(described, indent=2))


def step_name(feature: str) -> str:
    """Return the path of a feature within a step: `observation/state`, `action`, `observation/image_front`."""
    if feature == ACTION:
        return ACTION
    if feature.startswith("observation.images."):
        return "observation/image_" + feature.removeprefix("observation.images.")
    return "observation/" + feature.removeprefix("observation.").replace(".", "_")


def _example(selection: Selection, info: EpisodeInfo, rows: Rows) -> dict[str, Value]:
    count = len(rows.capture_ns)
    last = np.arange(count) == count - 1
    success = bool(info.provenance.success)
    found: dict[str, Value] = {
        f"steps/{step_name(name)}": np.ascontiguousarray(column.values, dtype=np.float32).ravel()
        for name, column in rows.columns.items()
    }
    for camera, shown in rows.cameras.items():
        found[f"steps/{step_name(feature_name(camera))}"] = list(
            jpegs(selection.store, info, camera, shown, selection.video(info, camera))
        )
    return {
        **found,
        "steps/language_instruction": [text.encode() for text in rows.tasks],
        "steps/is_first": (np.arange(count) == 0).astype(np.int64),
        "steps/is_last": last.astype(np.int64),
        "steps/is_terminal": last.astype(np.int64),
        "steps/reward": (last * success).astype(np.float32),
        "steps/discount": np.ones(count, np.float32),
        "steps/timestamp": ((rows.capture_ns - rows.capture_ns[0]) / 1e9).astype(np.float32),
        "episode_metadata/episode_id": [info.episode_id.encode()],
        "episode_metadata/robot": [info.embodiment.encode()],
        "episode_metadata/task": [info.provenance.task.encode()],
        "episode_metadata/success": np.asarray([int(success)], dtype=np.int64),
    }


def _features(selection: Selection) -> dict[str, object]:
    """Return the content of `features.json`."""
    rows = selection.rows(selection.episodes[0])
    observation: dict[str, object] = {}
    step: dict[str, object] = {}
    for name, column in rows.columns.items():
        where, key = (step, ACTION) if name == ACTION else (observation, step_name(name).partition("/")[2])
        kind = "commands" if name == ACTION else "state" if name == STATE else "sensed"
        where[key] = _tensor([len(column.names)], "float32", f"{kind}: {', '.join(column.names)}")
    for camera in selection.cameras:
        height, width, _ = video_size(selection.video(selection.episodes[0], camera))
        shape = {"dimensions": [str(height), str(width), "3"]}
        observation[step_name(feature_name(camera)).partition("/")[2]] = {
            "pythonClassName": f"{_FEATURES}.image_feature.Image",
            "image": {"shape": shape, "dtype": "uint8", "encodingFormat": "jpeg"},
        }
    step["observation"] = _dictionary(observation)
    step["language_instruction"] = _text("instruction to the robot")
    for flag in ("is_first", "is_last", "is_terminal"):
        step[flag] = _scalar("bool")
    for number in ("reward", "discount", "timestamp"):
        step[number] = _scalar("float32")
    metadata = {name: _text("") for name in ("episode_id", "robot", "task")} | {"success": _scalar("bool")}
    steps = {
        "pythonClassName": f"{_FEATURES}.dataset_feature.Dataset",
        "sequence": {"feature": _dictionary(step), "length": "-1"},
    }
    return _dictionary({"steps": steps, "episode_metadata": _dictionary(metadata)})


def _dictionary(features: Mapping[str, object]) -> dict[str, object]:
    return {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }


def _tensor(shape: list[int], dtype: str, description: str) -> dict[str, object]:
    return {
        "pythonClassName": f"{_FEATURES}.tensor_feature.Tensor",
        "tensor": {"shape": {"dimensions": [str(side) for side in shape]}, "dtype": dtype, "encoding": "none"},
        "description": description,
    }


def _scalar(dtype: str) -> dict[str, object]:
    tensor = {"shape": {}, "dtype": dtype, "encoding": "none"}
    return {"pythonClassName": f"{_FEATURES}.scalar.Scalar", "tensor": tensor}


def _text(description: str) -> dict[str, object]:
    return {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}, "description": description}
