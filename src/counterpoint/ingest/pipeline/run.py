"""Ingest: any logs in, episodes out, in any number of processes; one bad item never stops the rest.

find logs --> open each (in parallel) --> name the robots --> each item: read, claim, commit (in parallel)
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow.compute as pc

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import ConfigError, EmbodimentError, IngestError, StoreError, UnknownNameError
from counterpoint.core.records import Json
from counterpoint.engine import Done, Engine, LocalEngine, WorkerDied
from counterpoint.ingest.mapping.robot_mapping import RobotMapping
from counterpoint.ingest.pipeline.find_logs import find_logs
from counterpoint.ingest.pipeline.ledger import Ledger, claim_name
from counterpoint.ingest.pipeline.quarantine import Quarantined, QuarantineList
from counterpoint.ingest.pipeline.worker import Item, ItemResult, Job, Log, OpenedLog, close, ingest_item, open_log
from counterpoint.ingest.recording.source import Labels, ReadOptions
from counterpoint.store import Store, StoreWriter

Task = TypeVar("Task")
Result = TypeVar("Result")
ROBOT = ["embodiment", "embodiment_sha256"]


@dataclass(kw_only=True)
class IngestReport:
    """What happened to every item."""

    added: int = 0
    skipped: int = 0
    """Already in the store, by content hash."""
    quarantined: list[Quarantined] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    """How many episodes (or sources) carry each reason code, for example `missing_video:...`."""
    robots: dict[str, int] = field(default_factory=dict)
    """Number of acting channels of each robot that was used."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        return {**asdict(replace(self, notes=Counter())), "notes": dict(sorted(self.notes.items()))}


def ingest(
    sources: Iterable[Path | str],
    into: Path | str,
    *,
    robot: Embodiment | RobotMapping | None = None,
    format: str | None = None,
    labels: Labels | None = None,
    engine: Engine | None = None,
    progress: bool = True,
) -> IngestReport:
    """Read every episode of `sources` into the store at `into`, which is created if needed.

    Re-running resumes and never imports an episode twice: an episode is in the store whole or not at all,
    and its content hash tells whether it is there. Several ingests may run at once.
    Items that cannot be read are listed in the report and in the store's `quarantine.jsonl`.

    Args:
        sources: logs, datasets, or folders of them; formats are found by content.
        into: the store.
        robot: the robot that the columns belong to; None derives a robot from the column names.
        format: read as this format, a key of `ingest.formats.FORMATS`; None detects it by content.
        labels: site, environment, source, operator and licence of these episodes.
        engine: where the work runs; None for this process alone.
        progress: show a bar on stderr.

    Raises:
        ConfigError: the mapping names channels that its robot does not have.
        StoreError: `into` cannot be written (not a store, disk full), or has another robot of the given
            name; committed episodes stay.
        UnknownNameError: there is no such format.
    """
    root = Path(into)
    with StoreWriter(root) as writer:
        options = ReadOptions(robot=robot, labels=labels or Labels())
        job = Job(root=root, options=options, format=format, run=uuid.uuid4().hex)
        run = _Ingest(job, writer, engine or LocalEngine(1), progress)
        try:
            run.ingest([Path(source) for source in sources])
        finally:
            close(job)
    return run.report


class _Ingest:
    """One ingest, in the process that hands out the work."""

    def __init__(self, job: Job, writer: StoreWriter, engine: Engine, progress: bool) -> None:
        self.report = IngestReport()
        self._job = job
        self._writer = writer
        self._engine = engine
        self._progress = progress
        self._list = QuarantineList(job.root)
        self._names: dict[str, str] = {}
        """Name of each robot in this store, by the hash of its description."""

    def ingest(self, sources: list[Path]) -> None:
        self._record_existing()
        logs: list[Log] = []
        for source in sources:
            logs += self._logs(source, len(logs))
        items = _Items(self._open(logs))
        for done in self._apply(ingest_item, items, "ingest", "episode"):
            failed = ItemResult(status="quarantined", reason=_reason(done.error), message=done.message)
            self._count(done.task, done.result or failed)

    def _record_existing(self) -> None:
        """Record which content and which robots the store has, for all processes."""
        table = Store.open(self._job.root).table
        contents = pc.struct_field(table["provenance"], "content_hash").to_pylist()
        Ledger(self._job.root).bring_up_to_date(zip(contents, table["episode_id"].to_pylist(), strict=True))
        robots = table.select(ROBOT).group_by(ROBOT).aggregate([])
        for name, digest in zip(*(robots[column].to_pylist() for column in ROBOT), strict=True):
            claim_name(self._job.root, name, digest)

    def _logs(self, source: Path, first: int) -> list[Log]:
        found = find_logs(source, self._job.format)
        self.report.notes.update(found.notes)
        for path, error in found.refused:
            self._quarantine(path, "", error.reason, str(error))
        if not (found.logs or found.refused):
            self._quarantine(
                source,
                "",
                "unknown_format",
                f"{source}: found no logs in this folder; see 'counterpoint ingest --help' for the formats",
            )
        named = not found.is_folder_of_logs
        return [Log(path=path, number=first + place, is_named=named) for place, path in enumerate(found.logs)]

    def _open(self, logs: list[Log]) -> list[_Contents]:
        """Return the content of every log that can be opened, in the order given."""
        found: list[OpenedLog | None] = [None] * len(logs)
        for done in self._apply(open_log, logs, "open", "log"):
            found[done.task.number] = done.result or OpenedLog(reason=_reason(done.error), message=done.message)
        contents: list[_Contents] = []
        for log, opened in zip(logs, found, strict=True):
            if opened is None or opened.reason:
                self._quarantine(log.path, "", *((opened.reason, opened.message) if opened else ("unreadable", "")))
                continue
            self.report.notes.update(opened.notes)
            if opened.robot is not None:
                robot = self._name_in_store(opened.robot)
                self.report.robots[robot] = len(opened.robot.acting)
                contents.append(_Contents(path=log.path, items=opened.items, robot=robot))
        return contents

    def _name_in_store(self, robot: Embodiment) -> str:
        """Return the robot's name in this store: a new one where the store has another robot of that name.

        Raises:
            StoreError: the user gave the robot, and the store has another robot of that name.
        """
        digest = self._writer.embodiment_sha256(robot)
        if digest not in self._names:
            self._names[digest] = self._free_name(robot)
        return self._names[digest]

    def _free_name(self, robot: Embodiment) -> str:
        given = self._job.options.robot
        is_given = robot == (given.robot if isinstance(given, RobotMapping) else given)
        candidate, number = robot, 2
        while not claim_name(self._job.root, candidate.name, self._writer.embodiment_sha256(candidate)):
            if is_given:
                raise StoreError(
                    f"{self._job.root}: already has another robot called {robot.name!r}. Rename this one, "
                    "or ingest into another store"
                )
            candidate, number = replace(robot, name=f"{robot.name}_{number}"), number + 1
        return candidate.name

    def _apply(
        self, function: Callable[[Job, Task], Result], tasks: Collection[Task], label: str, unit: str
    ) -> Iterator[Done[Task, Result]]:
        """Run tasks; raise an error that concerns all of them."""
        results = self._engine.run(
            partial(function, self._job), tasks, label=label, unit=unit, progress=self._progress and bool(tasks)
        )
        for done in results:
            if isinstance(done.error, StoreError | ConfigError | EmbodimentError | UnknownNameError):
                raise done.error
            yield done

    def _count(self, task: Item, result: ItemResult) -> None:
        self.report.notes.update(result.notes)
        match result.status:
            case "added":
                self.report.added += 1
            case "skipped":
                self.report.skipped += 1
            case "quarantined":
                self._quarantine(task.path, task.item, result.reason, result.message)

    def _quarantine(self, path: Path, item: str, reason: str, message: str) -> None:
        bad = Quarantined(path=str(path), item=item, reason=reason, message=message)
        self.report.quarantined.append(bad)
        self._list.add(bad)


def _reason(error: Exception | None) -> str:
    """Return the reason code of an error that a task did not handle."""
    match error:
        case IngestError():
            return error.reason
        case WorkerDied():
            return "worker_died"
    return "unreadable"


@dataclass(frozen=True, kw_only=True)
class _Contents:
    """The items of one log."""

    path: Path
    items: tuple[str, ...]
    robot: str


class _Items(Collection[Item]):
    """All items of all logs, created as they are needed."""

    def __init__(self, contents: list[_Contents]) -> None:
        self._contents = contents

    def __len__(self) -> int:
        return sum(len(each.items) for each in self._contents)

    def __iter__(self) -> Iterator[Item]:
        for each in self._contents:
            for item in each.items:
                yield Item(path=each.path, item=item, robot=each.robot)

    def __contains__(self, item: object) -> bool:
        return any(item == each for each in self)
