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
    """Logs, datasets, or folders to search for them; at least one."""
    into: Path | None = None
    """Store to write to. It is created if it does not exist; episodes it already holds are skipped."""
    robot: str | None = None
    """Robot of `counterpoint robots list`, or a .json file that maps columns to channels. Default: guessed from column
    names."""
    write_mapping: Path | None = None
    """Only write the mapping of the first source to this .json file. Edit it, then give it to --robot."""
    prepare: bool = True
    """Skip building the training views and checking the episodes; `counterpoint prepare` does it later."""
    format: str | None = None
    """Format of the logs. Default: detected from their content."""
    site: str = ""
    """Where the episodes were recorded, for example `lab_3`."""
    environment: str = ""
    """Kind of place: home, bakery, laundry, warehouse, factory, ..."""
    source: Source = "real"
    """How the episodes were made."""
    operator: str = ""
    """Who or what moved the robot."""
    licence: str = ""
    """Licence of the data."""


def run_ingest(arguments: IngestArguments) -> Reply:
    """Read logs into a store; exit code 1 if a log could not be read."""
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
    lines = [f"{report.added} episodes added to {arguments.into}, {report.skipped} skipped because the store has them"]
    lines += [f"robot {name}: {count} acting channels" for name, count in report.robots.items() if report.added]
    lines += [f"note ({count} times): {note}{_meaning(note)}" for note, count in sorted(report.notes.items())]
    if any(note.startswith("video_found_later:") for note in report.notes):
        lines.append(
            "episodes in a store never change. To add the videos found later, delete the folders of the episodes "
            "named above and run the same command again, or ingest into another store"
        )
    if report.quarantined:  # each was logged when it happened
        lines.append(f"{len(report.quarantined)} logs could not be read; see {arguments.into / 'quarantine.jsonl'}")
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
        raise ConfigError(f"{path}: file exists; choose another file for the mapping")
    logs = find_logs(arguments.sources[0], arguments.format).logs
    first = next((log for log in logs if knows(log, arguments.format)), arguments.sources[0])
    source = open_source(first, ReadOptions(robot=robot, is_draft=True), arguments.format)
    save_mapping(source.mapping, path)
    streams: dict[str, Json] = {each.stream: each.feature for each in source.mapping.features}
    lines = [f"{path}: mapping of {first}, robot {source.mapping.robot.name!r}"]
    lines += [f"  {feature} -> {stream}" for stream, feature in streams.items()]
    if "action_from_state" in source.notes:
        lines.append("the log has no commands, so the measured state is used as the action; correct this in the file")
    lines.append(f"correct units, channels and limits in the file, then run: counterpoint ingest ... --robot {path}")
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
    resume="finished episodes are kept; run the same command again to resume.",
)
