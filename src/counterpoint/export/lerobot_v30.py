"""LeRobotDataset v3.0: many episodes per Parquet file, many episodes per mp4, metadata in Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
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
from counterpoint.export.statistics import Values, as_lists
from counterpoint.store import EpisodeInfo

DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
DATA_MB = 100
VIDEO_MB = 200
EPISODES_A_FILE = 10_000
"""Rows of metadata per file."""


@dataclass
class _Place:
    """A running file number."""

    number: int = 0

    @property
    def indices(self) -> tuple[int, int]:
        return self.number // CHUNK, self.number % CHUNK


def write_lerobot_v30(selection: Selection, folder: Path) -> Iterator[EpisodeInfo]:
    """Write a v3.0 dataset into `folder`; yields each episode once it is written, then writes the metadata."""
    dataset = start_dataset(selection)
    data, videos, meta = _Data(folder), _Videos(folder, selection), _Episodes(folder)
    try:
        for number, info in enumerate(selection.episodes):
            rows = selection.rows(info)
            table = episode_table(dataset, rows, number, f"episode {info.episode_id!r}")
            statistics = row_statistics(dataset, rows, table)
            places, seen = videos.add(dataset, info, rows)
            statistics |= seen
            chunk, file = data.add(table, dataset)
            first = dataset.num_rows
            dataset.num_rows += len(rows.capture_ns)
            meta.add(
                {
                    "episode_index": number,
                    "tasks": sorted(set(rows.tasks), key=rows.tasks.index),
                    "length": len(rows.capture_ns),
                    "data/chunk_index": chunk,
                    "data/file_index": file,
                    "dataset_from_index": first,
                    "dataset_to_index": dataset.num_rows,
                    **places,
                    **_flat_statistics(statistics),
                }
            )
            yield info
    finally:
        data.close()
        videos.close()
    meta.close()
    _write_metadata(folder, dataset)


def _write_metadata(folder: Path, dataset: Dataset) -> None:
    sizes: dict[str, Json] = {"data_files_size_in_mb": DATA_MB, "video_files_size_in_mb": VIDEO_MB}
    info = dataset.info("v3.0", DATA_PATH, VIDEO_PATH, **sizes)
    (folder / "meta" / "info.json").write_text(json.dumps(info, indent=4))
    (folder / "meta" / "stats.json").write_text(json.dumps(dataset.statistics(), indent=4))
    texts = list(dataset.tasks)
    table = pa.table({"task_index": pa.array(range(len(texts)), pa.int64()), "task": pa.array(texts, pa.string())})
    index = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    number = {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [{**number, "metadata": None}, index],
        "creator": {"library": "pyarrow", "version": pa.__version__},
    }
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), folder / "meta" / "tasks.parquet")


class _Data:
    """The Parquet files of rows: one row group per episode, and a new file beyond DATA_MB."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = _Place()
        self._writer: pq.ParquetWriter | None = None
        self._bytes = 0

    def add(self, table: pa.Table, dataset: Dataset) -> tuple[int, int]:
        if self._writer is not None and self._bytes + table.nbytes > DATA_MB * 2**20:
            self.close()
            self._place.number += 1
        chunk, file = self._place.indices
        if self._writer is None:
            path = self._folder / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            schema = table.schema.with_metadata({"huggingface": json.dumps({"info": {"features": _hf(dataset)}})})
            self._writer, self._bytes = pq.ParquetWriter(path, schema, compression="snappy"), 0
        self._writer.write_table(table.cast(self._writer.schema))
        self._bytes += table.nbytes
        return chunk, file

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class _Videos:
    """The mp4s of every camera: episodes share a file while their coding is the same."""

    def __init__(self, folder: Path, selection: Selection) -> None:
        self._folder = folder
        self._chosen = selection
        self._open: dict[str, Mp4Writer] = {}
        self._places = {camera: _Place(-1) for camera in selection.cameras}

    def add(self, dataset: Dataset, info: EpisodeInfo, rows: Rows) -> tuple[dict[str, Json], dict[str, Values]]:
        places: dict[str, Json] = {}
        statistics: dict[str, Values] = {}
        for camera in self._chosen.cameras:
            shown, key = rows.cameras[camera], feature_name(camera)
            clip = clip_to_copy(self._chosen, info, camera, shown)
            writer = self._open.get(camera)
            if writer is None or not writer.fits(clip) or writer.num_bytes > VIDEO_MB * 2**20:
                writer = self._next(camera, key, writer)
            segment = write_clip(writer, clip, self._chosen, info, camera, shown)
            self._chosen.conversions.encoded += not segment.is_copied
            chunk, file = self._places[camera].indices
            places |= {f"videos/{key}/chunk_index": chunk, f"videos/{key}/file_index": file}
            places |= {
                f"videos/{key}/from_timestamp": segment.start_s,
                f"videos/{key}/to_timestamp": segment.end_s,
            }
            statistics[key] = pixel_statistics(dataset, info, camera, shown)
        return places, statistics

    def close(self) -> None:
        for writer in self._open.values():
            writer.close()

    def _next(self, camera: str, key: str, before: Mp4Writer | None) -> Mp4Writer:
        if before is not None:
            before.close()
        self._places[camera].number += 1
        chunk, file = self._places[camera].indices
        path = self._folder / f"videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4"
        self._open[camera] = Mp4Writer(path, self._chosen.fps)
        return self._open[camera]


class _Episodes:
    """The metadata of episodes, one row each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "meta" / "episodes"
        self._place = _Place()
        self._rows: list[dict[str, object]] = []

    def add(self, row: dict[str, object]) -> None:
        chunk, file = self._place.indices
        self._rows.append({**row, "meta/episodes/chunk_index": chunk, "meta/episodes/file_index": file})
        if len(self._rows) >= EPISODES_A_FILE:
            self.close()

    def close(self) -> None:
        if self._rows:
            chunk, file = self._place.indices
            path = self._folder / f"chunk-{chunk:03d}/file-{file:03d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(self._rows), path)
            self._rows, self._place.number = [], self._place.number + 1


def _flat_statistics(statistics: dict[str, Values]) -> dict[str, object]:
    return {f"stats/{name}/{key}": value for name, each in statistics.items() for key, value in as_lists(each).items()}


def _hf(dataset: Dataset) -> dict[str, object]:
    """Return the features as the `datasets` package names them."""
    found: dict[str, object] = {}
    for name, feature in dataset.features.items():
        if not isinstance(feature, dict) or feature["dtype"] == "video":
            continue
        value = {"dtype": feature["dtype"], "_type": "Value"}
        shape = feature["shape"]
        assert isinstance(shape, list)  # start_dataset made it
        found[name] = value if shape == [1] else {"feature": value, "length": shape[0], "_type": "List"}
    return found
