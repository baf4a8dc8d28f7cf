"""LeRobotDataset v2.1 and v3.0, read without the `lerobot` package."""

from __future__ import annotations

from pathlib import Path

from counterpoint.ingest.lerobot.info import load_info
from counterpoint.ingest.lerobot.v21 import LeRobotV21
from counterpoint.ingest.lerobot.v30 import LeRobotV30
from counterpoint.ingest.recording.source import LogSource, ReadOptions


def looks_like_lerobot(path: Path) -> bool:
    """Whether `path` is a folder with the layout of a LeRobot dataset, complete or damaged."""
    return (path / "meta" / "info.json").is_file() or ((path / "meta").is_dir() and (path / "data").is_dir())


def open_lerobot(path: Path, options: ReadOptions) -> LogSource:
    """Open a dataset of either version.

    Raises:
        IngestError: its metadata cannot be used; carries the reason code.
    """
    info = load_info(path)
    match info.version:
        case "v2.1":
            return LeRobotV21(path, info, options)
        case "v3.0":
            return LeRobotV30(path, info, options)
