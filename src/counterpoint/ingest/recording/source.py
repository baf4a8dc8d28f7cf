"""What a reader of a log format returns: a source with items, each of which becomes one episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode, Source
from counterpoint.ingest.mapping.robot_mapping import RobotMapping
from counterpoint.store import EncodedVideo


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a log does not say about itself; goes into the provenance of every episode."""

    site: str = ""
    environment: str = ""
    source: Source = "real"
    operator: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The user's options for a reader."""

    robot: Embodiment | RobotMapping | None = None
    """None derives a robot from the log's column names."""
    labels: Labels = field(default_factory=Labels)
    is_draft: bool = False
    """A mapping is being written for people to correct: measured state is used where a log has no commands."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ingested:
    """An episode as read, with videos that stay encoded."""

    episode: Episode
    videos: Mapping[str, EncodedVideo] = field(default_factory=dict)


class LogSource(Protocol):
    """A log opened for reading. Items are independent: a damaged item does not affect the others."""

    @property
    def path(self) -> Path:
        """The folder or file."""
        ...

    @property
    def mapping(self) -> RobotMapping:
        """The robot mapping in use, given or guessed."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Reason codes of what is missing or left out in the whole source."""
        ...

    def items(self) -> Sequence[str]:
        """Return the names of all items, in a stable order, without reading their samples."""
        ...

    def content_hash(self, item: str) -> str:
        """Return the SHA-256 of the item's content, which makes ingest idempotent.

        Raises:
            IngestError: the item cannot be read.
        """
        ...

    def read(self, item: str) -> Ingested:
        """Read one item.

        Raises:
            IngestError: the item cannot be read; carries the reason code.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LogFormat:
    """One row of the table of formats."""

    name: str
    sniff: Callable[[Path], bool]
    """Whether the content looks like this format; opens few files and never raises."""
    open: Callable[[Path, ReadOptions], LogSource]
