"""What one process of an ingest does: open a log and list its items, or read one item and commit it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode
from counterpoint.core.errors import CounterpointError, EmbodimentError, IngestError, StoreError, StreamError
from counterpoint.ingest.formats import open_source
from counterpoint.ingest.pipeline.find_logs import is_named_as_log
from counterpoint.ingest.pipeline.ledger import Ledger
from counterpoint.ingest.recording.source import Ingested, LogSource, ReadOptions
from counterpoint.store import StoreWriter
from counterpoint.store.files.layout import MANIFEST
from counterpoint.store.files.manifest import manifest_from_bytes

logger = logging.getLogger(__name__)

OPEN_SOURCES = 4
"""Number of logs that a process keeps open."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all tasks of one ingest share."""

    root: Path
    options: ReadOptions
    format: str | None
    run: str
    """Unique per ingest, so that a process never reuses what an earlier ingest had open."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log to be opened."""

    path: Path
    number: int
    """Position among all logs."""
    is_named: bool = True
    """Whether the user named it; other logs were found in a folder, where not every file is a log."""


@dataclass(frozen=True, kw_only=True)
class OpenedLog:
    """What opening a log found."""

    items: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    robot: Embodiment | None = None
    """None where the file is not a log."""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a log, to become an episode of the robot called `robot`."""

    path: Path
    item: str
    robot: str


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """What happened to an item."""

    status: Literal["added", "skipped", "quarantined"]
    episode_id: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""


class _WorkerState:
    """What a process keeps open between the tasks of one ingest."""

    def __init__(self, job: Job) -> None:
        self.run = job.run
        self.writer = StoreWriter(job.root)
        self.ledger = Ledger(job.root)
        self._job = job
        self._open: OrderedDict[Path, LogSource] = OrderedDict()

    def source(self, path: Path) -> LogSource:
        if path not in self._open:
            self._open[path] = open_source(path, self._job.options, self._job.format)
            if len(self._open) > OPEN_SOURCES:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return self._open[path]


_states: dict[str, _WorkerState] = {}
"""At most one: the ingest that this process works for."""


def open_log(job: Job, log: Log) -> OpenedLog:
    """Open a log and list its items.

    Raises:
        ConfigError, UnknownNameError: a mapping or format that the user has to correct.
    """
    try:
        with _reason_codes(str(log.path)):
            source = _state(job).source(log.path)
            return OpenedLog(items=tuple(source.items()), notes=tuple(source.notes), robot=source.mapping.robot)
    except IngestError as error:
        if error.reason == "unknown_format" and not log.is_named and not is_named_as_log(log.path):
            return OpenedLog(notes=(f"not_a_log:{log.path.suffix}",))
        return OpenedLog(reason=error.reason, message=str(error))


def ingest_item(job: Job, task: Item) -> ItemResult:
    """Read one item and commit it, unless the store has its content.

    Raises:
        StoreError: the store cannot be written.
    """
    state = _state(job)
    try:
        with _reason_codes(f"{task.path}, {task.item}"):
            source = state.source(task.path)
            existing = state.ledger.existing(source.content_hash(task.item))
            if existing is not None:
                return _skipped(source, task.item, existing)
            ingested = _read(source, task.item)
    except IngestError as error:
        return ItemResult(status="quarantined", reason=error.reason, message=str(error))
    episode = _with_robot(ingested.episode, task.robot)
    with state.ledger.claim(episode.provenance.content_hash, episode.episode_id) as existing:
        if existing is not None:  # another process committed it first
            return ItemResult(status="skipped")
        state.writer.add(episode, videos=ingested.videos)
    return ItemResult(status="added", episode_id=episode.episode_id, notes=episode.provenance.notes)


def _state(job: Job) -> _WorkerState:
    if job.run not in _states:
        _states.clear()
        _states[job.run] = _WorkerState(job)
    return _states[job.run]


def close(job: Job) -> None:
    """Close what this process has open for an ingest."""
    _states.pop(job.run, None)


def _read(source: LogSource, item: str) -> Ingested:
    try:
        return source.read(item)
    except IngestError:
        raise
    except CounterpointError as error:  # a stream or robot that breaks a contract of core
        raise IngestError(f"{source.path}, {item}: {error}", reason="bad_value") from error


def _skipped(source: LogSource, item: str, existing: Path) -> ItemResult:
    """Report where the log now has a video that the committed episode lacks; episodes never change."""
    try:
        there = manifest_from_bytes((existing / MANIFEST).read_bytes())
    except (StoreError, OSError):
        return ItemResult(status="skipped")  # damaged: `check` reports it
    missing = {note for note in there.provenance.notes if note.startswith("missing_video:")}
    found: list[str] = []
    if missing:
        try:
            now = _read(source, item)
        except IngestError as error:
            logger.info("%s, %s: already in the store; its video cannot be read: %s", source.path, item, error)
        else:
            cameras = {*now.videos, *(name for name, each in now.episode.streams.items() if each.spec.kind == "image")}
            if any(there.stream(name) is None for name in cameras):  # otherwise the log has fewer cameras, not more
                found = sorted(missing - set(now.episode.provenance.notes))
    notes = tuple(note.replace("missing_video:", "video_found_later:", 1) for note in found)
    if notes:
        logger.warning(
            "%s, %s: the log now has a video that the stored episode lacks; folder of the episode: %s",
            source.path,
            item,
            existing,
        )
    return ItemResult(status="skipped", episode_id=there.episode_id, notes=notes)


def _with_robot(episode: Episode, name: str) -> Episode:
    if episode.embodiment.name == name:
        return episode
    robot = replace(episode.embodiment, name=name)
    return replace(episode, embodiment=robot, provenance=replace(episode.provenance, robot=name))


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (FileNotFoundError, "missing_file"),
    (PermissionError, "not_permitted"),
    (MemoryError, "out_of_memory"),
)


@contextmanager
def _reason_codes(where: str) -> Iterator[None]:
    """Turn unexpected errors of a reader into reason codes, so that no log stops the others."""
    try:
        yield
    except (StoreError, IngestError):
        raise
    except (EmbodimentError, StreamError) as error:  # the log's description of its robot breaks a contract of core
        raise IngestError(f"{where}: {error}", reason="bad_value") from error
    except CounterpointError:  # a mapping or format that does not fit concerns all items
        raise
    except Exception as error:
        logger.debug("unexpected error in %s", where, exc_info=True)
        reason = next((code for kind, code in _REASONS if isinstance(error, kind)), "unreadable")
        raise IngestError(f"{where}: {type(error).__name__}: {error}", reason=reason) from error
