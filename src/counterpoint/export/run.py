"""Exports episodes of a store into a folder of another format, completely or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from counterpoint.core.errors import ExportError, unknown_name
from counterpoint.core.records import Json
from counterpoint.engine.progress import track
from counterpoint.export.selection import Selection, check_has_action, select
from counterpoint.store import EpisodeInfo, Store

ExportFormat = Literal["lerobot-v3", "lerobot-v2.1", "mcap", "rlds"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

Write = Callable[[Selection, Path], Iterator[EpisodeInfo]]


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was written."""

    format: ExportFormat
    folder: str
    robot: str
    episodes: int
    hours: float
    fps: int | None
    """Rows per second; None for formats that keep every stream on its own clock."""
    left_out: dict[str, int]
    """Streams that only some episodes have, with the number of episodes; the format cannot hold them."""
    resampled: list[str]
    """Streams that were resampled to the rows, holding their last sample."""
    encoded: int
    """Videos that were re-encoded because their frames do not match the rows."""
    bytes: int

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        return asdict(self)


def export_store(
    path: Path | str,
    to: Path | str,
    format: ExportFormat,
    *,
    robot: str | None = None,
    task: str | None = None,
    episodes: Sequence[str] = (),
    with_cameras: bool = False,
    fps: int | None = None,
    progress: bool = True,
) -> ExportReport:
    """Write episodes of one robot into the new folder `to`.

    The folder appears under its final name only when it is complete; a re-run replaces what an interrupted run left.

    Args:
        path: the store.
        to: a folder that does not exist or is empty.
        format: one of FORMATS.
        robot: whose episodes; optional where the store has one robot.
        task: only episodes of this task.
        episodes: only these.
        with_cameras: drop episodes that lack a camera of the others, instead of dropping the camera.
        fps: rows per second of row-based formats; None for the robot's control rate.
        progress: show a bar on stderr.

    Raises:
        ExportError: nothing to export, several robots, no commands, or `to` is not empty.
        StoreError: the store, or a file in it, is damaged.
        UnknownNameError: no such format or episode.
    """
    if format not in FORMATS:
        raise unknown_name("export format", format, FORMATS)
    if fps is not None and not 1 <= fps <= 1000:
        raise ExportError(f"fps: expected 1 to 1000 rows per second, got {fps}")
    target = Path(to)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportError(f"{target}: already exists and is not empty; choose another folder")
    selection = select(Store.open(path), robot=robot, task=task, episodes=episodes, with_cameras=with_cameras, fps=fps)
    if format != "mcap":
        check_has_action(selection)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    written = _writer(format)(selection, partial)
    for _ in track(written, f"export {format}", total=len(selection.episodes), unit="episode", shown=progress):
        pass
    if target.is_dir():
        target.rmdir()
    os.rename(partial, target)
    return _report(selection, format, target)


def _report(selection: Selection, format: ExportFormat, target: Path) -> ExportReport:
    return ExportReport(
        format=format,
        folder=str(target),
        robot=selection.robot.name,
        episodes=len(selection.episodes),
        hours=sum(each.duration_s for each in selection.episodes) / 3600,
        fps=None if format == "mcap" else selection.fps,
        left_out={} if format == "mcap" else selection.left_out,
        resampled=sorted(selection.conversions.resampled),
        encoded=selection.conversions.encoded,
        bytes=sum(file.stat().st_size for file in target.rglob("*") if file.is_file()),
    )


def _writer(format: ExportFormat) -> Write:
    match format:
        case "lerobot-v3":
            from counterpoint.export.lerobot_v30 import write_lerobot_v30

            return write_lerobot_v30
        case "lerobot-v2.1":
            from counterpoint.export.lerobot_v21 import write_lerobot_v21

            return write_lerobot_v21
        case "mcap":
            from counterpoint.export.mcap_files import write_mcap

            return write_mcap
        case "rlds":
            from counterpoint.export.rlds import write_rlds

            return write_rlds
