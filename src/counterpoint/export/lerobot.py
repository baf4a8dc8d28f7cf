"""What the LeRobot v2.1 and v3.0 exports share: features, rows of an episode, `info.json`, statistics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.errors import ExportError
from counterpoint.core.records import Json
from counterpoint.export.mp4 import Clip, Mp4Writer, Segment, clip_of
from counterpoint.export.pictures import shown_frames
from counterpoint.export.rows import Rows, feature_name
from counterpoint.export.selection import Selection
from counterpoint.export.statistics import Merged, Values, as_lists, describe, describe_pixels
from counterpoint.store import EpisodeInfo
from counterpoint.store.episodes.video import video_size

BOOKKEEPING = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}
CHUNK = 1000
"""Files (in v2.1: episodes) per folder."""
SAMPLED_FRAMES = 16
"""Frames per episode and camera for the pixel statistics."""


@dataclass(kw_only=True)
class Dataset:
    """What is collected while episodes are written."""

    selection: Selection
    features: dict[str, Json]
    tasks: dict[str, int] = field(default_factory=dict)
    """Index of each task text."""
    merged: dict[str, Merged] = field(default_factory=dict)
    num_rows: int = 0

    def task_indices(self, texts: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the index of each text, int64 [rows]; new texts get new indices."""
        return np.asarray([self.tasks.setdefault(text, len(self.tasks)) for text in texts], dtype=np.int64)

    def info(self, version: str, data_path: str, video_path: str, **more: Json) -> dict[str, Json]:
        """Return the content of `meta/info.json`."""
        total = len(self.selection.episodes)
        return {
            "codebase_version": version,
            "robot_type": self.selection.robot.name,
            "fps": self.selection.fps,
            "total_episodes": total,
            "total_frames": self.num_rows,
            "total_tasks": len(self.tasks),
            "chunks_size": CHUNK,
            "splits": {"train": f"0:{total}"},
            "data_path": data_path,
            "video_path": video_path if self.selection.cameras else None,
            "features": self.features,
            **more,
        }

    def statistics(self) -> dict[str, object]:
        """Return the content of `meta/stats.json`."""
        return {name: as_lists(each.result()) for name, each in self.merged.items()}


def start_dataset(selection: Selection) -> Dataset:
    """Take the features from the first episode; all others must have them."""
    first = selection.episodes[0]
    rows = selection.rows(first)
    features: dict[str, Json] = {
        name: {"dtype": "float32", "shape": [len(column.names)], "names": list(column.names)}
        for name, column in rows.columns.items()
    }
    for camera in selection.cameras:
        height, width, codec = video_size(selection.video(first, camera))
        features[feature_name(camera)] = {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": codec,
                "video.pix_fmt": "yuv420p",
                "video.is_depth_map": False,
                "video.fps": selection.fps,
                "video.channels": 3,
                "has_audio": False,
            },
        }
    for name, kind in {**BOOKKEEPING, "task_index": "int64"}.items():
        features[name] = {"dtype": kind, "shape": [1], "names": None}
    return Dataset(selection=selection, features=features)


def episode_table(dataset: Dataset, rows: Rows, episode: int, where: str) -> pa.Table:
    """Return the rows of one episode in LeRobot's columns; raises ExportError where its columns differ."""
    count = len(rows.capture_ns)
    columns: dict[str, pa.Array] = {}
    for name, feature in dataset.features.items():
        if name in BOOKKEEPING or name == "task_index" or not isinstance(feature, dict) or feature["dtype"] == "video":
            continue
        column = rows.columns.get(name)
        if column is None or list(column.names) != feature["names"]:
            found = "none" if column is None else ", ".join(column.names)
            raise ExportError(
                f"{where}: {name!r} has channels {found}, expected those of the first episode, {feature['names']}"
            )
        width = len(column.names)
        flat = pa.array(np.ascontiguousarray(column.values).ravel())
        columns[name] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    indices = np.arange(count)
    columns["timestamp"] = pa.array((indices / dataset.selection.fps).astype(np.float32))
    columns["frame_index"] = pa.array(indices)
    columns["episode_index"] = pa.array(np.full(count, episode))
    columns["index"] = pa.array(indices + dataset.num_rows)
    columns["task_index"] = pa.array(dataset.task_indices(rows.tasks))
    return pa.table(columns)


def row_statistics(dataset: Dataset, rows: Rows, table: pa.Table) -> dict[str, Values]:
    """Return the statistics of an episode's numbers, and merge them into the dataset's."""
    found: dict[str, Values] = {}
    arrays = {name: column.values for name, column in rows.columns.items() if name in dataset.features}
    for name in (*BOOKKEEPING, "task_index"):
        arrays[name] = table[name].to_numpy()[:, None]
    for name, values in arrays.items():
        found[name] = describe(values)
        dataset.merged.setdefault(name, Merged()).add(found[name], values)
    return found


def pixel_statistics(dataset: Dataset, info: EpisodeInfo, camera: str, shown: NDArray[np.int64]) -> Values:
    """Return the pixel statistics of a few frames, and merge them into the dataset's."""
    places = np.unique(shown[np.linspace(0, len(shown) - 1, min(len(shown), SAMPLED_FRAMES)).astype(np.int64)])
    found = describe_pixels(dataset.selection.store.frames(info.episode_id, camera, places))
    dataset.merged.setdefault(feature_name(camera), Merged()).add(found)
    return found


def clip_to_copy(selection: Selection, info: EpisodeInfo, camera: str, shown: NDArray[np.int64]) -> Clip | None:
    """Return the clip to copy, or None where rows and frames do not match one to one."""
    pts = selection.store.frame_pts(info.episode_id, camera)
    if not np.array_equal(shown, shown[0] + np.arange(len(shown))):
        return None
    return clip_of(selection.video(info, camera), pts[shown])


def write_clip(
    writer: Mp4Writer, clip: Clip | None, selection: Selection, info: EpisodeInfo, camera: str, shown: NDArray[np.int64]
) -> Segment:
    """Append an episode to an mp4, copied where possible."""
    if clip is not None:
        return writer.copy(clip, len(shown))
    return writer.encode(shown_frames(selection.store, info, camera, shown))
