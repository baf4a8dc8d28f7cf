"""ROS bags of every kind: `.bag` of ROS 1, `.db3` of ROS 2, and the folder with `metadata.yaml` of a ROS 2 bag."""

from __future__ import annotations

from pathlib import Path

from counterpoint.ingest.files.paths import starts_with
from counterpoint.ingest.recording.source import LogSource, ReadOptions

BAG_MAGIC = b"#ROSBAG V2.0\n"
SQLITE_MAGIC = b"SQLite format 3\0"
METADATA = "metadata.yaml"
METADATA_ROOT = "rosbag2_bagfile_information"
_LOOK = 65_536


def looks_like_ros(path: Path) -> bool:
    """Whether `path` is a bag of ROS 1, a database of ROS 2, or the folder of a ROS 2 bag."""
    if path.is_dir():
        return METADATA_ROOT.encode() in _head(path / METADATA, 4096)
    return starts_with(path, BAG_MAGIC[:7]) or looks_like_db3(path)


def looks_like_db3(path: Path) -> bool:
    """Whether a file is an SQLite database with the tables of a ROS 2 bag, judging by its first page."""
    return starts_with(path, SQLITE_MAGIC) and b"serialization_format" in _head(path, _LOOK)


def open_ros(path: Path, options: ReadOptions) -> LogSource:
    """Open a bag as one episode; the files of a split bag are joined.

    Raises:
        IngestError: it cannot be used; carries the reason code.
    """
    from counterpoint.ingest.messages.log import MessageLog
    from counterpoint.ingest.rosbag.bags import open_bag  # needs rosbags, which is in an extra

    return MessageLog(open_bag(path), options)


def _head(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""
