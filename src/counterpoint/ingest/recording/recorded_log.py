"""The log source that most readers derive from: each item is loaded whole as a Recording, one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import IngestError, StoreError
from counterpoint.ingest.mapping.robot_mapping import RobotMapping
from counterpoint.ingest.recording.episode import build_episode
from counterpoint.ingest.recording.features import slug
from counterpoint.ingest.recording.recording import Recording
from counterpoint.ingest.recording.source import Ingested, ReadOptions


class RecordedLog(ABC):
    """A log opened for reading; see `recording.source.LogSource`. Holds one item's samples at a time."""

    def __init__(
        self, path: Path, options: ReadOptions, mapping: RobotMapping, notes: Sequence[str], rate_hz: float
    ) -> None:
        """Keep what the reader found; `rate_hz` is the nominal rate of rows without a clock."""
        self.path = path
        self.mapping = mapping
        self.notes: Sequence[str] = tuple(dict.fromkeys(notes))
        self.labels = options.labels
        self.rate_hz = rate_hz
        self._last: tuple[str, Recording, str] | None = None

    @abstractmethod
    def items(self) -> Sequence[str]:
        """Return the names of all items, in a stable order."""

    @abstractmethod
    def load(self, item: str) -> Recording:
        """Read the samples of one item; raises IngestError."""

    def content_hash(self, item: str) -> str:
        """Return the hash of times, values, pixels and texts; raises IngestError."""
        return self._loaded(item)[1]

    def read(self, item: str) -> Ingested:
        """Read one item; raises IngestError."""
        recording, digest = self._loaded(item)
        self._last = None  # frees its memory once the episode is committed
        path = self.path.resolve()
        return build_episode(
            recording,
            self.mapping,
            self.labels,
            where=self._where(item),
            name="-".join(filter(None, (slug(path.stem), slug(item, 64)))) or "episode",
            origin=f"{path.name}:{item}" if item else path.name,
            rate_hz=self.rate_hz,
            content_hash=digest,
        )

    def _where(self, item: str) -> str:
        return f"{self.path}, {item}" if item else str(self.path)

    def _loaded(self, item: str) -> tuple[Recording, str]:
        if self._last is None or self._last[0] != item:
            self._last = None  # frees its memory before the next item is read
            try:
                recording = self.load(item)
            except StoreError as error:
                raise IngestError(f"{self._where(item)}: {error}", reason="unreadable_video") from error
            self._last = item, recording, recording.content_hash()
        return self._last[1], self._last[2]


def choose_rate(
    stated: float | None, robot: Embodiment | RobotMapping | None, fallback: float
) -> tuple[float, list[str]]:
    """Return the rate of rows without a clock, and the note `assumed_rate:...` where the log does not state it.

    The robot's control rate takes precedence over `fallback`.
    """
    if stated is not None:
        return stated, []
    match robot:
        case RobotMapping():
            rate = robot.robot.control_rate_hz
        case Embodiment():
            rate = robot.control_rate_hz
        case None:
            rate = fallback
    return rate, [f"assumed_rate:{rate:g}"]
