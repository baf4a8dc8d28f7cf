"""From the rows of one LeRobot episode to an Episode; shared by v2.1 and v3.0."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterpoint.core.clock import absolute_ns, periodic_ns
from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import IngestError, StoreError
from counterpoint.ingest.files.columns import column_values, matrix, scalars
from counterpoint.ingest.files.parquet import read_columns
from counterpoint.ingest.files.paths import file_size
from counterpoint.ingest.lerobot.info import Info
from counterpoint.ingest.mapping.robot_mapping import RobotMapping
from counterpoint.ingest.recording.episode import MAX_SECONDS, build_episode, check_order
from counterpoint.ingest.recording.features import slug
from counterpoint.ingest.recording.pictures import camera_names, picture_bytes, picture_video
from counterpoint.ingest.recording.recording import Recording, Series, merged_texts
from counterpoint.ingest.recording.source import Ingested, Labels
from counterpoint.store import EncodedVideo
from counterpoint.store.episodes.video import copy_video, frames_between, list_pts, video_size

NOMINAL_TOLERANCE_S = 5e-4


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """The low-dimensional part of one episode, checked."""

    index: int
    capture_ns: NDArray[np.int64]
    values: dict[str, NDArray[np.float32]]
    """By feature, float32 [rows, width]."""
    task_index: NDArray[np.int64]
    success: bool | None
    irregular: bool
    """The log's times are not rows at its nominal rate."""
    pictures: dict[str, list[object]]
    """By feature of dtype `image`, one per row; features without a column are absent."""

    def content_hash(self, tasks: list[str]) -> str:
        """Return the SHA-256 of times, values and task texts; the same in v2.1 and v3.0."""
        digest = hashlib.sha256(json.dumps(tasks).encode())
        digest.update(self.capture_ns.astype("<i8").tobytes())
        for name in sorted(self.values):
            digest.update(name.encode())
            digest.update(self.values[name].astype("<f4").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class VideoPiece:
    """The part of a video file that shows an episode; the file may be missing."""

    key: str
    path: Path
    start_s: float | None = None
    end_s: float | None = None


def needed_columns(mapping: RobotMapping) -> list[str]:
    """Return the columns that every episode must have."""
    return ["timestamp", *(each.feature for each in mapping.features)]


OPTIONAL_COLUMNS = ("task_index", "episode_index", "next.success")


def read_rows(file: pq.ParquetFile, path: Path, info: Info, mapping: RobotMapping) -> pa.Table:
    """Read the columns that an episode needs; raises IngestError."""
    return read_columns(file, path, needed_columns(mapping), (*OPTIONAL_COLUMNS, *info.images))


def check_rows(table: pa.Table, index: int, length: int | None, info: Info, mapping: RobotMapping, where: str) -> Rows:
    """Check the rows of one episode and convert their types.

    Raises:
        IngestError: `no_rows`, `length_mismatch`, `time_backwards`, `absurd_time`, or as `columns.matrix`.
    """
    if not table.num_rows:
        raise IngestError(f"{where}: no rows", reason="no_rows")
    if length is not None and table.num_rows != length:
        raise IngestError(f"{where}: {table.num_rows} rows, but the metadata says {length}", reason="length_mismatch")
    widths = {feature.name: feature.width for feature in info.features}
    capture, irregular = _times(scalars(table, "timestamp", where), info.fps, where)
    names = set(table.column_names)
    tasks = scalars(table, "task_index", where) if "task_index" in names else np.zeros(table.num_rows)
    return Rows(
        index=index,
        capture_ns=capture,
        values={each.feature: matrix(table, each.feature, widths[each.feature], where) for each in mapping.features},
        task_index=tasks.astype(np.int64),
        success=bool(matrix(table, "next.success", 1, where)[-1, 0]) if "next.success" in names else None,
        irregular=irregular,
        pictures={key: column_values(table, key, where) for key in info.images if key in names},
    )


def read_episode(
    rows: Rows,
    texts: list[str],
    videos: list[VideoPiece],
    info: Info,
    mapping: RobotMapping,
    root: Path,
    labels: Labels,
) -> Ingested:
    """Build an episode; `texts` has one task text per row.

    Raises:
        IngestError: `empty_file`, `unreadable_video`, `short_video` or `bad_value`.
    """
    notes = ["irregular_time"] if rows.irregular else []
    encoded: dict[str, EncodedVideo] = {}
    for piece in videos:
        if not piece.path.is_file():
            notes.append(f"missing_video:{piece.key}")
            continue
        video = _open_video(piece, rows, info)
        encoded[video.spec.name] = video
    notes += _add_pictures(encoded, rows, info, root)
    recording = Recording(
        series={
            name: Series(values=values, capture_ns=rows.capture_ns, time_source="nominal")
            for name, values in rows.values.items()
        },
        videos=encoded,
        texts=merged_texts(rows.capture_ns.tolist(), texts),
        success=rows.success,
        notes=tuple(notes),
    )
    name = root.resolve().name
    item = f"episode_{rows.index:06d}"
    return build_episode(
        recording,
        mapping,
        labels,
        where=f"{root}, {item}",
        name=f"{slug(name) or 'lerobot'}-{rows.index:06d}",
        origin=f"lerobot-{info.version}:{name}:{item}",
        rate_hz=info.fps,
        content_hash=rows.content_hash(texts),
    )


def _times(timestamp: NDArray[np.float64], fps: float, where: str) -> tuple[NDArray[np.int64], bool]:
    """Return capture times, and whether they are irregular; regular ones become exact multiples of 1/fps."""
    if np.abs(timestamp).max() > MAX_SECONDS:
        raise IngestError(f"{where}: a timestamp of {np.abs(timestamp).max():g} s", reason="absurd_time")
    check_order(timestamp, where)
    expected = timestamp[0] + np.arange(len(timestamp)) / fps
    tolerance = NOMINAL_TOLERANCE_S + 1e-7 * np.abs(timestamp).max()  # float32 in the log
    if np.abs(timestamp - expected).max() <= tolerance:
        start = round(float(timestamp[0]) * 1e9) if abs(timestamp[0]) > tolerance else 0
        return periodic_ns(start, fps, len(timestamp)), False
    return absolute_ns(timestamp, 0), True


def _add_pictures(encoded: dict[str, EncodedVideo], rows: Rows, info: Info, root: Path) -> list[str]:
    """Add a video for each feature of dtype `image`, keeping its files byte for byte; return notes."""
    names = camera_names([*info.videos, *info.images])
    for key, values in rows.pictures.items():
        where = f"{root}, episode {rows.index}: {key}"
        files = picture_bytes(values, key, root, where)
        encoded[names[key]] = picture_video(names[key], files, rows.capture_ns, info.fps, where)
    return [f"missing_video:{key}" for key in info.images if key not in rows.pictures]


def _open_video(piece: VideoPiece, rows: Rows, info: Info) -> EncodedVideo:
    file_size(piece.path, "mp4")
    count = len(rows.capture_ns)
    try:
        height, width, _ = video_size(piece.path)
        if piece.start_s is None or piece.end_s is None:
            found = len(list_pts(piece.path))
        else:
            found = frames_between(piece.path, piece.start_s, piece.end_s)
        if found < count:
            raise IngestError(
                f"{piece.path}: {found} frames, expected {count}, one per row of episode {rows.index}",
                reason="short_video",
            )
        data, pts = copy_video(piece.path, count, piece.start_s)
    except StoreError as error:
        raise IngestError(f"video {piece.key!r}: {error}", reason="unreadable_video") from error
    return EncodedVideo(
        spec=StreamSpec(
            name=f"camera/{piece.key.rsplit('.', 1)[-1]}", kind="image", height=height, width=width, rate_hz=info.fps
        ),
        data=data,
        pts=pts,
        capture_ns=rows.capture_ns,
        arrival_ns=rows.capture_ns,
        time_source="nominal",
    )
