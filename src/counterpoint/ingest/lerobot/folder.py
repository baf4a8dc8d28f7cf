"""What both LeRobot versions share: items by index, caching of rows, hashes and task texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from counterpoint.ingest.lerobot.episode import Rows
from counterpoint.ingest.lerobot.info import Info
from counterpoint.ingest.lerobot.robot import map_robot
from counterpoint.ingest.mapping.robot_mapping import RobotMapping
from counterpoint.ingest.recording.source import ReadOptions


class LeRobotFolder(ABC):
    """A folder opened for reading; subclasses know where rows, videos and task texts are."""

    def __init__(
        self, path: Path, info: Info, options: ReadOptions, tasks: Mapping[int, str], indices: Collection[int]
    ) -> None:
        """Map the robot, and compare the number of listed episodes with the stated total; raises IngestError."""
        self.path = path
        self.info = info
        self.mapping: RobotMapping
        self.mapping, notes = map_robot(info, path, options)
        self._labels = options.labels
        self._tasks = tasks
        self._indices = indices
        if info.total_episodes is not None and info.total_episodes != len(indices):
            notes.append("total_episodes_mismatch")
        self.notes: Sequence[str] = tuple(notes)
        self._last: Rows | None = None

    def items(self) -> list[str]:
        """Return the episodes listed in the metadata."""
        return [f"episode_{index:06d}" for index in self._indices]

    def content_hash(self, item: str) -> str:
        """Return the hash of times, values and task texts; raises IngestError."""
        rows = self._rows(item)
        return rows.content_hash(self._texts(rows))

    @abstractmethod
    def _load(self, index: int) -> Rows:
        """Read the rows of one episode; raises IngestError."""

    @abstractmethod
    def _first_task(self, index: int) -> str:
        """Return the first task text in the episode's metadata."""

    def _rows(self, item: str) -> Rows:
        index = int(item.removeprefix("episode_"))
        if self._last is None or self._last.index != index:
            self._last = self._load(index)
        return self._last

    def _texts(self, rows: Rows) -> list[str]:
        fallback = self._first_task(rows.index)
        return [self._tasks.get(int(task), fallback) for task in rows.task_index]
