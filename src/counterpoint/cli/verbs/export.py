"""The verb `export`: episodes of a store in another format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments


@dataclass(frozen=True, kw_only=True)
class ExportArguments(VerbArguments):
    """Arguments of `export`."""

    store: Positional[Path]
    """Store to read."""
    format: Literal["lerobot-v3", "lerobot-v2.1", "mcap", "rlds"]
    """`lerobot-*` and `rlds` hold one rate, so streams are resampled to it; `mcap` keeps all timestamps."""
    to: Path
    """Folder to create; it appears when the export is complete."""
    robot: str | None = None
    """Only episodes of this robot; required if the store has several."""
    task: str | None = None
    """Only episodes of this task."""
    episodes: tuple[str, ...] = ()
    """Only these episodes, by id."""
    with_cameras: bool = False
    """Keep every camera and skip episodes that lack one. Without it, a camera that some episodes lack is left out."""
    fps: int | None = None
    """Rows per second. Default: the robot's control rate, rounded."""


def run_export(arguments: ExportArguments) -> Reply:
    """Write another format and report what it could not hold."""
    from counterpoint.export import export_store

    report = export_store(
        arguments.store,
        arguments.to,
        arguments.format,
        robot=arguments.robot,
        task=arguments.task,
        episodes=arguments.episodes,
        with_cameras=arguments.with_cameras,
        fps=arguments.fps,
    )
    rate = "every stream keeps its own timestamps" if report.fps is None else f"{report.fps} rows per second"
    lines = [
        f"{report.folder}: {report.episodes} episodes of {report.robot}, {report.hours:.3f} hours, {rate}, "
        f"{report.bytes / 2**20:.1f} MiB ({report.format})"
    ]
    lines += [f"left out: {name}, which only {count} episodes have" for name, count in report.left_out.items()]
    lines += [f"resampled to the rows by holding the last sample: {name}" for name in report.resampled]
    if report.encoded:
        lines.append(f"{report.encoded} videos were re-encoded because their frames do not match the rows")
    return Reply(data=report.to_dict(), text="\n".join(lines))


VERB = Verb(
    example="counterpoint export data/mine --format lerobot-v3 --to exports/mine",
    arguments=ExportArguments,
    run=run_export,
    resume="the unfinished folder ends in .partial; running the same command again starts over.",
)
