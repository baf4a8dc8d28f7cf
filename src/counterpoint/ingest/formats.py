"""The table of log formats, tried in this order; a format is recognised by content, never by a file's name.

A format is one row here and one room with a `looks_like_...` and an `open_...` function; see `recording.source`.
"""

from __future__ import annotations

from pathlib import Path

from counterpoint.core.errors import IngestError, unknown_name
from counterpoint.ingest.hdf5 import looks_like_hdf5, open_hdf5
from counterpoint.ingest.lerobot import looks_like_lerobot, open_lerobot
from counterpoint.ingest.mcap import looks_like_mcap, open_mcap
from counterpoint.ingest.recording.source import LogFormat, LogSource, ReadOptions
from counterpoint.ingest.rlds import looks_like_rlds, open_rlds
from counterpoint.ingest.rosbag import looks_like_ros, open_ros
from counterpoint.ingest.table import looks_like_csv, looks_like_table, open_csv, open_table
from counterpoint.ingest.zarr import looks_like_zarr, open_zarr

FORMATS: dict[str, LogFormat] = {
    each.name: each
    for each in (
        LogFormat(name="zarr", sniff=looks_like_zarr, open=open_zarr),  # before lerobot: both have data/ and meta/
        LogFormat(name="lerobot", sniff=looks_like_lerobot, open=open_lerobot),
        LogFormat(name="rlds", sniff=looks_like_rlds, open=open_rlds),
        LogFormat(name="mcap", sniff=looks_like_mcap, open=open_mcap),
        LogFormat(name="ros", sniff=looks_like_ros, open=open_ros),
        LogFormat(name="hdf5", sniff=looks_like_hdf5, open=open_hdf5),
        LogFormat(name="table", sniff=looks_like_table, open=open_table),
        LogFormat(name="csv", sniff=looks_like_csv, open=open_csv),  # last: it accepts any text with columns
    )
}


def open_source(path: Path, options: ReadOptions, name: str | None = None) -> LogSource:
    """Open `path` with the format called `name`, or with the first that knows its content.

    Raises:
        IngestError: `missing_file`, `unknown_format`, or the reader's own reasons.
        UnknownNameError: there is no format of that name.
    """
    if name is not None and name not in FORMATS:
        raise unknown_name("log format", name, FORMATS)
    if not (path.is_file() or path.is_dir()):
        raise IngestError(f"{path}: expected a file or folder, found none", reason="missing_file")
    if path.is_file() and path.stat().st_size == 0:
        raise IngestError(f"{path}: empty file, expected a log", reason="empty_file")
    for each in [FORMATS[name]] if name is not None else FORMATS.values():
        if name is not None or each.sniff(path):
            return each.open(path, options)
    raise IngestError(
        f"{path}: not a known log format. Known: {', '.join(FORMATS)}; choose one with --format",
        reason="unknown_format",
    )


def knows(path: Path, name: str | None = None) -> bool:
    """Whether the format called `name`, or any, knows the content of `path`.

    Raises:
        UnknownNameError: there is no format of that name.
    """
    if name is not None and name not in FORMATS:
        raise unknown_name("log format", name, FORMATS)
    return any(each.sniff(path) for each in ([FORMATS[name]] if name is not None else FORMATS.values()))
