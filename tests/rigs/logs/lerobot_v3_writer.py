"""A LeRobotDataset v3.0 written to its specification, several episodes a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot_writers import CAMERA, FPS, Made, draw, info, make_rows, to_table, write_video
from numpy.typing import NDArray


def write_v30(
    root: Path,
    lengths: tuple[int, ...] = (7, 5, 6, 8, 4),
    *,
    episodes_a_file: int = 3,
    video: bool = True,
    codec: str = "libx264",
    gop: int = 2,
    task_column: Literal["task", "__index_level_0__"] = "task",
    state_name: str = "observation.state",
    action_name: str = "action",
    **changes: object,
) -> Made:
    """Write a dataset; videos restart their clock in each new mp4, as the format asks."""
    made = Made(root)
    meta = root / "meta"
    (meta / "episodes" / "chunk-000").mkdir(parents=True)
    content = info(
        "v3.0",
        "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4" if video else None,
        len(lengths),
        state_name=state_name,
        action_name=action_name,
        **changes,
    )
    (meta / "info.json").write_text(json.dumps(content))
    rows: list[dict[str, object]] = []
    for first in range(0, len(lengths), episodes_a_file):
        file = first // episodes_a_file
        tables: list[pa.Table] = []
        frames: list[NDArray[np.uint8]] = []
        for episode in range(first, min(first + episodes_a_file, len(lengths))):
            length = lengths[episode]
            columns = make_rows(made, episode, length, episode % 2, state_name, action_name)
            tables.append(to_table(columns))
            made.tasks.append(f"Do task {episode % 2}.")
            start = sum(map(len, frames)) / FPS
            frames.append(draw(episode, length))
            rows.append(_place(episode, length, made.tasks[-1], file, start, sum(lengths[:episode]), video))
        _write_groups(root / f"data/chunk-000/file-{file:03d}.parquet", tables)
        if video:
            path = root / f"videos/{CAMERA}/chunk-000/file-{file:03d}.mp4"
            write_video(path, np.concatenate(frames), codec=codec, gop=gop)
    pq.write_table(pa.Table.from_pylist(rows), meta / "episodes" / "chunk-000" / "file-000.parquet")
    tasks = {"task_index": [0, 1], task_column: ["Do task 0.", "Do task 1."]}
    pq.write_table(pa.table(tasks), meta / "tasks.parquet")
    return made


def _place(
    episode: int, length: int, task: str, file: int, start: float, first_row: int, video: bool
) -> dict[str, object]:
    row: dict[str, object] = {
        "episode_index": episode,
        "tasks": [task],
        "length": length,
        "data/chunk_index": 0,
        "data/file_index": file,
        "dataset_from_index": first_row,
        "dataset_to_index": first_row + length,
    }
    if video:
        row |= {f"videos/{CAMERA}/chunk_index": 0, f"videos/{CAMERA}/file_index": file}
        row |= {f"videos/{CAMERA}/from_timestamp": start, f"videos/{CAMERA}/to_timestamp": start + length / FPS}
    return row


def _write_groups(path: Path, tables: list[pa.Table]) -> None:
    """Write one row group an episode, snappy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, tables[0].schema, compression="snappy") as writer:
        for table in tables:
            writer.write_table(table)
