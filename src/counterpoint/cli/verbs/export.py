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
    """`lerobot-*` and `rlds` have one rate, so streams are put on rows; `mcap` keeps every stream on its own clock."""
    to: Path
    """New folder to write; it appears when it is whole."""
    robot: str | None = None
    """Whose episodes; may be left out where the store has one robot."""
    task: str | None = None
    """Only episodes of this task."""
    episodes: tuple[str, ...] = ()
    """Only these episodes, by id."""
    with_cameras: bool = False
    """Leave out episodes that lack a camera which others have; else such a camera is left out."""
    fps: int | None = None
    """Rows a second; the robot's control rate, rounded, where left out."""


def run_export(arguments: ExportArguments) -> Reply:
    """Write another format and say what it could not hold."""
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
    rate = "every stream on its own clock" if report.fps is None else f"{report.fps} rows a second"
    lines = [
        f"{report.folder}: {report.episodes} episodes of {report.robot}, {report.hours:.3f} hours, {rate}, "
        f"{report.bytes / 2**20:.1f} MiB ({report.format})"
    ]
    lines += [f"left out: {name}, which only {count} episodes have" for name, count in report.left_out.items()]
    lines += [f"put on rows, holding the last sample: {name}" for name in report.resampled]
    if report.encoded:
        lines.append(f"{report.encoded} videos encoded again, because their frames are not the rows")
    return Reply(data=report.to_dict(), text="\n".join(lines))


VERB = Verb(
    example="counterpoint export data/mine --format lerobot-v3 --to exports/mine",
    arguments=ExportArguments,
    run=run_export,
    resume="an unfinished folder has the ending .partial; run the same command again, it starts anew.",
)
