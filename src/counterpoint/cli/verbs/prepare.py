"""The verb `prepare`: training views and quality checks of a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from counterpoint.cli.engines import ParallelArguments
from counterpoint.cli.verb import Reply, Verb

if TYPE_CHECKING:
    from counterpoint.ingest import PrepareReport


@dataclass(frozen=True, kw_only=True)
class PrepareArguments(ParallelArguments):
    """Arguments of `prepare`."""

    store: Positional[Path]
    """Store to make ready."""
    preset: Literal["5hz", "10hz", "native"] = "5hz"
    """Pictures a second in the video view; `native` keeps every picture, for small stores."""


def run_prepare(arguments: PrepareArguments) -> Reply:
    """Build what is missing for training; exit code 1 where an episode could not be prepared."""
    from counterpoint.ingest import prepare

    report = prepare(arguments.store, preset=arguments.preset, engine=arguments.open_engine())
    return Reply(data=report.to_dict(), text=describe_prepared(arguments.store, report), passed=not report.failed)


def describe_prepared(root: Path, report: PrepareReport) -> str:
    """Say what was built and checked, and what failed."""
    lines = [
        f"{root}: {report.episodes} episodes ready; new in the views: {report.low_built} episodes, "
        f"{report.streams_built} camera streams; {report.checked} episodes checked"
    ]
    if report.findings:
        lines.append(f"{report.findings} warnings and failures of quality in all; see: counterpoint check {root}")
    lines += [f"{name}: {message}" for name, message in report.failed.items()]
    return "\n".join(lines)


VERB = Verb(
    example="counterpoint prepare data/mine --workers 4",
    arguments=PrepareArguments,
    run=run_prepare,
    resume="what was built is kept; run the same command again to go on.",
)
