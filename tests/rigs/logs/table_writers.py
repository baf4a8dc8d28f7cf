"""Small tables as Hugging Face `datasets` and people write them: Arrow, Parquet, CSV."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hdf5_writers import numbers
from picture_files import jpeg_files


def make_table(lengths: tuple[int, ...] = (5, 4, 6), *, pictures: bool = False, path_of: str | None = None) -> pa.Table:
    """Return the rows of several episodes: state and action of 3 joints at 10 Hz, an instruction, pictures."""
    episodes = [index for index, rows in enumerate(lengths) for _ in range(rows)]
    frames = [frame for rows in lengths for frame in range(rows)]
    columns: dict[str, object] = {
        "action": pa.array(np.concatenate([numbers(i, rows, 3) for i, rows in enumerate(lengths)]).tolist()),
        "observation.state": pa.FixedSizeListArray.from_arrays(
            pa.array(np.concatenate([numbers(50 + i, rows, 3) for i, rows in enumerate(lengths)]).reshape(-1)), 3
        ),
        "timestamp": pa.array(np.asarray(frames, np.float32) / 10),
        "frame_index": frames,
        "episode_index": episodes,
        "task": [f"task {index}" for index in episodes],
        "next.success": [index == 1 for index in episodes],
        "comment": [[["nested"]]] * len(frames),
    }
    if pictures:
        files = jpeg_files(len(frames), first=10)
        columns["image"] = [{"bytes": None if path_of else data, "path": path_of or "a.jpg"} for data in files]
    return pa.table(columns)


def write_arrow(path: Path, table: pa.Table, *, stream: bool = True, compression: str | None = None) -> None:
    """Write an Arrow IPC stream or file, several batches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=4)


def write_hf(root: Path, table: pa.Table, shards: int = 2) -> None:
    """Write a folder as `Dataset.save_to_disk` does; an episode may go on in the next file."""
    root.mkdir(parents=True, exist_ok=True)
    step = -(-table.num_rows // shards)
    names = [f"data-{index:05d}-of-{shards:05d}.arrow" for index in range(shards)]
    for index, name in enumerate(names):
        write_arrow(root / name, table.slice(index * step, step))
    (root / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (root / "dataset_info.json").write_text("{}")


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write Parquet with small row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=4)


CSV_HEADER = ["t_ms", "joint_1", "joint_2", "cmd_joint_1", "cmd_joint_2", "vel_1", "note"]


def csv_rows(rows: int = 6) -> list[list[float]]:
    """Return the numbers of `write_csv`: time in ms, two joints, two commands, a velocity."""
    return [[1000 + 20.5 * row, *(round(float(x), 6) for x in numbers(row, 1, 5)[0])] for row in range(rows)]


def write_csv(path: Path, rows: int = 6, *, delimiter: str = ",", comma: bool = False) -> None:
    """Write a log of two joints with a clock in milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [delimiter.join(CSV_HEADER)]
    for row in csv_rows(rows):
        cells = [str(number).replace(".", ",") if comma else str(number) for number in row]
        lines.append(delimiter.join([*cells, "fine"]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
