"""The verb `ingest`: robot logs into a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from counterpoint.cli.engines import ParallelArguments
from counterpoint.cli.verb import Reply, Verb
from counterpoint.cli.verbs.prepare import describe_prepared
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Source
from counterpoint.core.errors import ConfigError, IngestError
from counterpoint.core.records import Json

if TYPE_CHECKING:
    from counterpoint.ingest import RobotMapping


@dataclass(frozen=True, kw_only=True)
class IngestArguments(ParallelArguments):
    """Arguments of `ingest`."""

    sources: Positional[tuple[Path, ...]]
    """Logs, datasets, or folders that are searched for them; at least one."""
    into: Path | None = None
    """Store to write into; made where it does not exist. What is in it already is skipped."""
    robot: str | None = None
    """Robot of `counterpoint robots list`, or a .json file that maps columns to channels; else guessed from names."""
    write_mapping: Path | None = None
    """Only write the mapping that would be used for the first source to this .json file, to be edited and given to
    --robot; nothing is read into a store."""
    prepare: bool = True
    """Whether to build the training views and check the episodes afterwards, as `counterpoint prepare` does."""
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


def run_ingest(arguments: IngestArguments) -> Reply:
    """Read logs into a store; what cannot be read is put aside with a reason, and the exit code is 1."""
    from counterpoint.ingest import Labels, ingest, prepare

    if not arguments.sources:
        raise ConfigError("ingest: expected at least one log, dataset or folder of them to read, got none")
    for path in arguments.sources:
        if not path.exists():
            raise IngestError(f"{path}: no such file or folder; expected logs to read", reason="missing_file")
    robot = None if arguments.robot is None else _robot(arguments.robot)
    if arguments.write_mapping is not None:
        return _write_mapping(arguments, robot, arguments.write_mapping)
    if arguments.into is None:
        raise ConfigError("into: expected a store to write into, for example --into data/mine")
    labels = Labels(
        site=arguments.site,
        environment=arguments.environment,
        source=arguments.source,
        operator=arguments.operator,
        licence=arguments.licence,
    )
    engine = arguments.open_engine()
    report = ingest(
        arguments.sources, arguments.into, robot=robot, format=arguments.format, labels=labels, engine=engine
    )
    lines = [
        f"{report.added} episodes added to {arguments.into}, {report.skipped} left out because their content is there"
    ]
    lines += [f"robot {name}: {count} acting channels" for name, count in report.robots.items() if report.added]
    lines += [f"note, {count} x {note}{_meaning(note)}" for note, count in sorted(report.notes.items())]
    if any(note.startswith("video_found_later:") for note in report.notes):
        lines.append(
            "episodes in the store never change: to have the videos that turned up, remove the folders of those "
            "episodes (named above) and run the same command again, or ingest into another store"
        )
    if report.quarantined:  # each was logged when it happened
        lines.append(f"{len(report.quarantined)} put aside, listed in {arguments.into / 'quarantine.jsonl'}")
    data = report.to_dict()
    passed = not report.quarantined
    if arguments.prepare and report.added + report.skipped:  # skipped ones too: an ingest before may have been killed
        prepared = prepare(arguments.into, engine=engine)
        data["prepared"] = prepared.to_dict()
        lines.append(describe_prepared(arguments.into, prepared))
        passed = passed and not prepared.failed
    return Reply(data=data, text="\n".join(lines), passed=passed)


def _write_mapping(arguments: IngestArguments, robot: Embodiment | RobotMapping | None, path: Path) -> Reply:
    """Write the mapping of the first source, and say what to do with it."""
    from counterpoint.ingest import ReadOptions, find_logs, knows, open_source, save_mapping

    if path.exists():
        raise ConfigError(f"{path}: is there already; choose another file for the mapping")
    logs = find_logs(arguments.sources[0], arguments.format).logs
    first = next((log for log in logs if knows(log, arguments.format)), arguments.sources[0])
    source = open_source(first, ReadOptions(robot=robot, is_draft=True), arguments.format)
    save_mapping(source.mapping, path)
    streams: dict[str, Json] = {each.stream: each.feature for each in source.mapping.features}
    lines = [f"{path}: mapping of {first}, robot {source.mapping.robot.name!r}"]
    lines += [f"  {feature} -> {stream}" for stream, feature in streams.items()]
    if "action_from_state" in source.notes:
        lines.append("the log has no commands: what was measured stands for them until the file says better")
    lines.append(f"correct units, channels and limits there, then: counterpoint ingest ... --robot {path}")
    return Reply(data={"mapping": str(path), "log": str(first), "streams": streams}, text="\n".join(lines))


def _meaning(note: str) -> str:
    from counterpoint.ingest import explain

    words = explain(note)
    return f": {words}" if words else ""


def _robot(name: str) -> Embodiment | RobotMapping:
    from counterpoint.ingest import load_mapping
    from counterpoint.robots.library import load_embodiment

    return load_mapping(Path(name)) if name.endswith(".json") else load_embodiment(name)


VERB = Verb(
    example="counterpoint ingest my_lerobot_dataset logs/ --into data/mine --robot my_arm --workers 4",
    arguments=IngestArguments,
    run=run_ingest,
    resume="whole episodes are kept; run the same command again to go on.",
)
