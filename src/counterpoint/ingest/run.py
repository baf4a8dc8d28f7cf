"""Ingest: any logs in, episodes out; one bad item never stops the rest."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode
from counterpoint.core.errors import CounterpointError, IngestError, StoreError
from counterpoint.core.records import Json
from counterpoint.ingest.formats import open_source
from counterpoint.ingest.mapping import RobotMapping
from counterpoint.ingest.source import Ingested, Labels, LogSource, ReadOptions
from counterpoint.store import Store, StoreWriter

logger = logging.getLogger(__name__)

QUARANTINE = "quarantine.jsonl"


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """An item that could not be read."""

    path: str
    item: str
    """Empty where the whole source could not be opened."""
    reason: str
    """Stable code: `truncated`, `not_finite`, ..."""
    message: str


@dataclass(kw_only=True)
class IngestReport:
    """What became of every item."""

    added: int = 0
    skipped: int = 0
    """Already in the store, by content hash."""
    quarantined: list[Quarantined] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    """How many episodes (or sources) carry each reason code, for example `missing_video:...`."""
    robots: dict[str, int] = field(default_factory=dict)
    """Acting channels of each robot that was used."""

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
    progress: bool = True,
) -> IngestReport:
    """Read every episode of `sources` into the store at `into`, making it where there is none.

    Stopped at any moment and started again it goes on where it was: an episode is in the store whole
    or not at all, and what is there is skipped by content. Items that cannot be read are listed in
    the report and appended to `quarantine.jsonl` in the store.

    Args:
        sources: folders or files; formats are found by content.
        into: the store.
        robot: whose channels the columns are; None makes a robot from the column names.
        format: insist on one format, a key of `ingest.formats.FORMATS`.
        labels: site, environment, source, operator and licence of all these episodes.
        progress: show a bar on stderr.

    Raises:
        StoreError: `into` cannot be written (foreign, disk full); what was committed stays.
        UnknownNameError: there is no such format.
    """
    root = Path(into)
    report = IngestReport()
    with StoreWriter(root) as writer:
        there = Store.open(root)
        known = {info.provenance.content_hash for info in there.episodes} - {""}
        robots = {info.embodiment: info.embodiment_sha256 for info in there.episodes}
        options = ReadOptions(robot=robot, labels=labels or Labels())
        for path in map(Path, sources):
            try:
                with _explained(str(path)):
                    source = open_source(path, options, format)
            except IngestError as error:
                _quarantine(root, report, Quarantined(path=str(path), item="", reason=error.reason, message=str(error)))
                continue
            report.notes.update(source.notes)
            renamed = _own_name(source.mapping.robot, robots, writer) if robot is None else source.mapping.robot
            report.robots[renamed.name] = len(renamed.acting)
            _ingest_items(source, renamed, writer, known, report, progress)
    return report


def _ingest_items(
    source: LogSource, robot: Embodiment, writer: StoreWriter, known: set[str], report: IngestReport, progress: bool
) -> None:
    items: Sequence[str] = source.items()
    for item in tqdm(items, desc=f"ingest {source.path.name}", unit="episode", disable=not progress):
        try:
            with _explained(f"{source.path}, {item}"):
                if source.content_hash(item) in known:
                    report.skipped += 1
                    continue
                ingested = _read(source, item)
        except IngestError as error:
            bad = Quarantined(path=str(source.path), item=item, reason=error.reason, message=str(error))
            _quarantine(writer.root, report, bad)
            continue
        episode = _with_robot(ingested.episode, robot)
        writer.add(episode, videos=ingested.videos)
        known.add(episode.provenance.content_hash)
        report.notes.update(episode.provenance.notes)
        report.added += 1


def _read(source: LogSource, item: str) -> Ingested:
    try:
        return source.read(item)
    except IngestError:
        raise
    except CounterpointError as error:  # a stream or robot that breaks the core contracts
        raise IngestError(f"{source.path}, {item}: {error}", reason="bad_value") from error


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn what a reader did not foresee into a reason code: no log may stop the others."""
    try:
        yield
    except CounterpointError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, TypeError, ValueError) as error:
        logger.debug("unforeseen in %s", where, exc_info=True)
        raise IngestError(f"{where}: {type(error).__name__}: {error}", reason="unreadable") from error


def _with_robot(episode: Episode, robot: Embodiment) -> Episode:
    if episode.embodiment.name == robot.name:
        return episode
    return replace(episode, embodiment=robot, provenance=replace(episode.provenance, robot=robot.name))


def _own_name(robot: Embodiment, known: dict[str, str], writer: StoreWriter) -> Embodiment:
    """Rename a made-up robot where the store has another robot of its name."""
    candidate, number = robot, 2
    while known.setdefault(candidate.name, digest := writer.embodiment_sha256(candidate)) != digest:
        candidate, number = replace(robot, name=f"{robot.name}_{number}"), number + 1
    return candidate


def _quarantine(root: Path, report: IngestReport, bad: Quarantined) -> None:
    logger.warning("quarantined: %s: %s", bad.reason, bad.message)
    report.quarantined.append(bad)
    line = json.dumps({"time_s": round(time.time(), 3), **asdict(bad)}) + "\n"
    try:
        with (root / QUARANTINE).open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise StoreError(f"{root / QUARANTINE}: cannot write ({error.strerror})") from error
