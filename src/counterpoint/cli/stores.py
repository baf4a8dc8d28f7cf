"""Verbs about stores: ingest, catalog, check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Source
from counterpoint.core.errors import IngestError
from counterpoint.core.records import Json

if TYPE_CHECKING:
    from counterpoint.ingest import RobotMapping


@dataclass(frozen=True, kw_only=True)
class IngestArguments(VerbArguments):
    """Arguments of `ingest`."""

    sources: Positional[tuple[Path, ...]]
    """Folders of logs, for example LeRobot v2.1 or v3.0 datasets; at least one."""
    into: Path
    """Store to write into; made where it does not exist. What is in it already is skipped."""
    robot: str | None = None
    """Robot of `counterpoint robots list`, or a .json file that maps columns to channels; else guessed from names."""
    format: str | None = None
    """Format of the logs; recognised by its own files where left out."""
    site: str = ""
    """Where they were recorded, for example `lab_3`."""
    environment: str = ""
    """Kind of place: home, bakery, laundry, warehouse, factory, ..."""
    source: Source = "real"
    """How they came about."""
    operator: str = ""
    """Who or what moved the robot."""
    licence: str = ""
    """Under which licence they may be used."""


@dataclass(frozen=True, kw_only=True)
class CatalogArguments(VerbArguments):
    """Arguments of `catalog`."""

    store: Positional[Path]
    """Store to look at."""
    view: Positional[Literal["summary", "list"]] = "summary"
    """`summary`: hours by robot, task, site, environment, source. `list`: one line an episode."""
    robot: str | None = None
    """List only episodes of this robot."""
    task: str | None = None
    """List only episodes of this task."""


@dataclass(frozen=True, kw_only=True)
class CheckArguments(VerbArguments):
    """Arguments of `check`."""

    store: Positional[Path]
    """Store to check."""
    verify: bool = False
    """Read every byte and compare checksums; without it only the episodes' manifests are read."""


def run_ingest(arguments: IngestArguments) -> Reply:
    """Read logs into a store; what cannot be read is put aside with a reason, and the exit code is 1."""
    from counterpoint.ingest import Labels, ingest

    for path in arguments.sources:
        if not path.exists():
            raise IngestError(f"{path}: no such file or folder; expected logs to read", reason="missing_file")
    labels = Labels(
        site=arguments.site,
        environment=arguments.environment,
        source=arguments.source,
        operator=arguments.operator,
        licence=arguments.licence,
    )
    robot = None if arguments.robot is None else _robot(arguments.robot)
    report = ingest(arguments.sources, arguments.into, robot=robot, format=arguments.format, labels=labels)
    lines = [f"{report.added} episodes added to {arguments.into}, {report.skipped} were there already"]
    lines += [f"robot {name}: {count} acting channels" for name, count in report.robots.items()]
    lines += [f"note, {count} times: {note}" for note, count in sorted(report.notes.items())]
    if report.quarantined:  # each was logged when it happened
        lines.append(f"{len(report.quarantined)} put aside, listed in {arguments.into / 'quarantine.jsonl'}")
    return Reply(data=report.to_dict(), text="\n".join(lines), passed=not report.quarantined)


def _robot(name: str) -> Embodiment | RobotMapping:
    from counterpoint.ingest import load_mapping
    from counterpoint.robots.library import load_embodiment

    return load_mapping(Path(name)) if name.endswith(".json") else load_embodiment(name)


def run_catalog(arguments: CatalogArguments) -> Reply:
    """Say what a store holds."""
    from counterpoint.catalog import episode_row, list_episodes, summarize
    from counterpoint.store import Store

    store = Store.open(arguments.store)
    if arguments.view == "summary":
        summary = summarize(store)
        success = "" if summary.success_rate is None else f", {summary.success_rate:.0%} successful"
        parts = [f"{arguments.store}: {summary.episodes} episodes, {summary.hours:.3f} hours{success}"]
        if summary.damaged:
            parts.append(f"{summary.damaged} damaged episodes; see: counterpoint check {arguments.store} --verify")
        for key in ("robot", "task", "environment", "site", "source"):
            shares = getattr(summary, f"by_{key}")
            parts.append(
                "\n" + table((key, "episodes", "hours"), [(n, s.episodes, s.hours) for n, s in shares.items()])
            )
        return Reply(data=summary.to_dict(), text="\n".join(parts))
    rows = [episode_row(info) for info in list_episodes(store, robot=arguments.robot, task=arguments.task)]
    keys = ("episode_id", "robot", "task", "environment", "success", "duration_s", "instruction")
    listed: list[Json] = [*rows]
    return Reply(data={"episodes": listed}, text=table(keys, [[row[key] for key in keys] for row in rows]))


def run_check(arguments: CheckArguments) -> Reply:
    """Look for damage; exit code 1 where there is some."""
    from counterpoint.store import Store

    store = Store.open(arguments.store)
    problems = store.verify() if arguments.verify else store.damaged
    found: list[Json] = [
        {"reason": each.reason, "path": each.path, "message": each.message, "episode_id": each.episode_id}
        for each in problems
    ]
    data: dict[str, Json] = {"ok": not problems, "episodes": len(store), "problems": found}
    if not problems:
        depth = "every checksum holds" if arguments.verify else "every manifest can be read; --verify reads every byte"
        return Reply(data=data, text=f"{arguments.store}: {len(store)} episodes, {depth}")
    rows = [(each.reason, each.path, each.message) for each in problems]
    text = f"{arguments.store}: {len(problems)} problems\n{table(('reason', 'file', 'what'), rows)}"
    return Reply(data=data, text=text, passed=False)


VERBS = (
    Verb(
        name="ingest",
        summary="Read logs of robots into a store; resumable, and twice is the same as once.",
        example="counterpoint ingest my_lerobot_dataset --into data/mine --robot my_arm",
        arguments=IngestArguments,
        run=run_ingest,
        resume="whole episodes are kept; run the same command again to go on.",
    ),
    Verb(
        name="catalog",
        summary="Say what a store holds: episodes and hours by robot, task, site, environment.",
        example="counterpoint catalog data/ur5e list --task reach",
        arguments=CatalogArguments,
        run=run_catalog,
    ),
    Verb(
        name="check",
        summary="Look for damage in a store; exit code 1 where there is some.",
        example="counterpoint check data/ur5e --verify",
        arguments=CheckArguments,
        run=run_check,
    ),
)
