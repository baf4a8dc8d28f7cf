"""LeRobotDataset v2.1: one Parquet and one mp4 per camera for each episode, metadata in JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from counterpoint.core.records import Json
from counterpoint.export.lerobot import (
    CHUNK,
    Dataset,
    clip_to_copy,
    episode_table,
    pixel_statistics,
    row_statistics,
    start_dataset,
    write_clip,
)
from counterpoint.export.mp4 import Mp4Writer
from counterpoint.export.rows import Rows, feature_name
from counterpoint.export.selection import Selection
from counterpoint.export.statistics import QUANTILES, Values, as_lists
from counterpoint.store import EpisodeInfo

DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"


def write_lerobot_v21(selection: Selection, folder: Path) -> Iterator[EpisodeInfo]:
    """Write a v2.1 dataset into `folder`; yields each episode once it is written, then writes the metadata."""
    dataset = start_dataset(selection)
    episodes: list[dict[str, Json]] = []
    statistics: list[dict[str, object]] = []
    for number, info in enumerate(selection.episodes):
        rows = selection.rows(info)
        table = episode_table(dataset, rows, number, f"episode {info.episode_id!r}")
        path = folder / f"data/chunk-{number // CHUNK:03d}/episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="snappy")
        found = row_statistics(dataset, rows, table) | _write_videos(dataset, folder, number, info, rows)
        dataset.num_rows += len(rows.capture_ns)
        tasks: list[Json] = [*sorted(set(rows.tasks), key=rows.tasks.index)]
        episodes.append({"episode_index": number, "tasks": tasks, "length": len(rows.capture_ns)})
        statistics.append({"episode_index": number, "stats": {name: _plain(each) for name, each in found.items()}})
        yield info
    meta = folder / "meta"
    meta.mkdir(parents=True, exist_ok=True)
    _write_lines(meta / "episodes.jsonl", episodes)
    _write_lines(meta / "episodes_stats.jsonl", statistics)
    _write_lines(meta / "tasks.jsonl", [{"task_index": index, "task": text} for text, index in dataset.tasks.items()])
    num_videos = len(episodes) * len(selection.cameras)
    num_chunks = (len(episodes) + CHUNK - 1) // CHUNK
    content = dataset.info("v2.1", DATA_PATH, VIDEO_PATH, total_videos=num_videos, total_chunks=num_chunks)
    (meta / "info.json").write_text(json.dumps(content, indent=4))


def _write_videos(dataset: Dataset, folder: Path, number: int, info: EpisodeInfo, rows: Rows) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for camera, shown in rows.cameras.items():
        key = feature_name(camera)
        path = folder / f"videos/chunk-{number // CHUNK:03d}/{key}/episode_{number:06d}.mp4"
        clip = clip_to_copy(dataset.selection, info, camera, shown)
        if clip is not None and clip.leading:
            clip = None  # v2.1 counts frames from the start of the file
        writer = Mp4Writer(path, dataset.selection.fps)
        segment = write_clip(writer, clip, dataset.selection, info, camera, shown)
        writer.close()
        dataset.selection.conversions.encoded += not segment.is_copied
        found[key] = pixel_statistics(dataset, info, camera, shown)
    return found


def _plain(found: Values) -> dict[str, object]:
    """Return the statistics of v2.1: those of v3.0 without quantiles."""
    return {name: value for name, value in as_lists(found).items() if name not in QUANTILES}


def _write_lines(path: Path, rows: Sequence[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
