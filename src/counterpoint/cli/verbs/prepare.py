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
    """Store to prepare."""
    preset: Literal["5hz", "10hz", "native"] = "5hz"
    """Frames per second of the video view; `native` keeps every frame and suits small stores."""
    publish: str | None = None
    """Folder in object storage to upload the training views to, for example `s3://bucket/folder`. Keys come from the
    environment (AWS_ACCESS_KEY_ID, ...); a later run uploads only what is new."""


def run_prepare(arguments: PrepareArguments) -> Reply:
    """Build what training needs and is missing; exit code 1 if an episode failed."""
    from counterpoint.ingest import prepare

    report = prepare(arguments.store, preset=arguments.preset, engine=arguments.open_engine())
    data, text = report.to_dict(), describe_prepared(arguments.store, report)
    if arguments.publish is not None and not report.failed:
        from counterpoint.store import Store
        from counterpoint.store.cloud import publish_views

        published = publish_views(Store.open(arguments.store), arguments.publish, preset=arguments.preset)
        data["published"] = {"url": arguments.publish, "episodes": published.episodes, "uploaded": published.uploaded}
        text += f"\n{arguments.publish}: {published.episodes} episodes published, {published.uploaded} files uploaded"
    return Reply(data=data, text=text, passed=not report.failed)


def describe_prepared(root: Path, report: PrepareReport) -> str:
    """Say what was built and checked, and what failed."""
    lines = [
        f"{root}: {report.episodes} episodes ready; added {report.low_built} episodes and "
        f"{report.streams_built} camera streams to the training views; checked {report.checked} episodes"
    ]
    if report.findings:
        lines.append(f"{report.findings} quality warnings and failures; see: counterpoint check {root}")
    lines += [f"{name}: {message}" for name, message in report.failed.items()]
    return "\n".join(lines)


VERB = Verb(
    example="counterpoint prepare data/mine --workers 4",
    arguments=PrepareArguments,
    run=run_prepare,
    resume="what was built is kept; run the same command again to resume.",
)
