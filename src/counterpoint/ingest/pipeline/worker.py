"""What one process of an ingest does: open a log and list its items, or bring one item into the store."""

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
"""Logs that a process keeps open."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all tasks of one ingest share."""

    root: Path
    options: ReadOptions
    format: str | None
    run: str
    """Different for each ingest, so that a process never answers from what it had open before."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log to be opened."""

    path: Path
    number: int
    """Place in the order in which logs were given."""
    is_named: bool = True
    """Whether the user named it; else it was found in a folder, where not every file is a log."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What is known of a log once it was opened."""

    items: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    robot: Embodiment | None = None
    """None where there is no log."""
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
    """What became of an item."""

    fate: Literal["added", "skipped", "quarantined"]
    episode_id: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""


class _WorkerState:
    """What a process keeps between the tasks of one ingest."""

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
"""At most one: of the ingest that this process works for."""


def open_log(job: Job, log: Log) -> Opened:
    """Open a log and list its items.

    Raises:
        ConfigError, UnknownNameError: a mapping or a format that the user has to correct.
    """
    try:
        with _explained(str(log.path)):
            source = _state(job).source(log.path)
            return Opened(items=tuple(source.items()), notes=tuple(source.notes), robot=source.mapping.robot)
    except IngestError as error:
        if error.reason == "unknown_format" and not log.is_named and not is_named_as_log(log.path):
            return Opened(notes=(f"not_a_log:{log.path.suffix}",))
        return Opened(reason=error.reason, message=str(error))


def ingest_item(job: Job, task: Item) -> ItemResult:
    """Read one item and commit it, unless the store has its content.

    Raises:
        StoreError: the store cannot be written.
    """
    state = _state(job)
    try:
        with _explained(f"{task.path}, {task.item}"):
            source = state.source(task.path)
            holder = state.ledger.holder(source.content_hash(task.item))
            if holder is not None:
                return _skipped(source, task.item, holder)
            ingested = _read(source, task.item)
    except IngestError as error:
        return ItemResult(fate="quarantined", reason=error.reason, message=str(error))
    episode = _with_robot(ingested.episode, task.robot)
    with state.ledger.claim(episode.provenance.content_hash, episode.episode_id) as holder:
        if holder is not None:  # another process was quicker
            return ItemResult(fate="skipped")
        state.writer.add(episode, videos=ingested.videos)
    return ItemResult(fate="added", episode_id=episode.episode_id, notes=episode.provenance.notes)


def _state(job: Job) -> _WorkerState:
    if job.run not in _states:
        _states.clear()
        _states[job.run] = _WorkerState(job)
    return _states[job.run]


def close(job: Job) -> None:
    """Forget what this process has open for an ingest."""
    _states.pop(job.run, None)


def _read(source: LogSource, item: str) -> Ingested:
    try:
        return source.read(item)
    except IngestError:
        raise
    except CounterpointError as error:  # a stream or robot that breaks the core contracts
        raise IngestError(f"{source.path}, {item}: {error}", reason="bad_value") from error


def _skipped(source: LogSource, item: str, holder: Path) -> ItemResult:
    """Say so where the log has a video by now that the episode, which never changes, came in without."""
    try:
        there = manifest_from_bytes((holder / MANIFEST).read_bytes())
    except (StoreError, OSError):
        return ItemResult(fate="skipped")  # damaged: `check` reports it
    missing = {note for note in there.provenance.notes if note.startswith("missing_video:")}
    found: list[str] = []
    if missing:
        try:
            now = _read(source, item)
        except IngestError as error:
            logger.info("%s, %s: is in the store; its video cannot be read: %s", source.path, item, error)
        else:
            cameras = {*now.videos, *(name for name, each in now.episode.streams.items() if each.spec.kind == "image")}
            if any(there.stream(name) is None for name in cameras):  # else this log knows less, not more
                found = sorted(missing - set(now.episode.provenance.notes))
    notes = tuple(note.replace("missing_video:", "video_found_later:", 1) for note in found)
    if notes:
        logger.warning(
            "%s, %s: in the store without a video that is there now; its folder: %s", source.path, item, holder
        )
    return ItemResult(fate="skipped", episode_id=there.episode_id, notes=notes)


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
def _explained(where: str) -> Iterator[None]:
    """Turn what a reader did not foresee into a reason code: no log may stop the others."""
    try:
        yield
    except (StoreError, IngestError):
        raise
    except (EmbodimentError, StreamError) as error:  # what the log says of its robot breaks the core contracts
        raise IngestError(f"{where}: {error}", reason="bad_value") from error
    except CounterpointError:  # a mapping or a format that does not fit concerns all items
        raise
    except Exception as error:
        logger.debug("unforeseen in %s", where, exc_info=True)
        reason = next((code for kind, code in _REASONS if isinstance(error, kind)), "unreadable")
        raise IngestError(f"{where}: {type(error).__name__}: {error}", reason=reason) from error
