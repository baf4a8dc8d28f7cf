"""LeRobot v2.1: one Parquet and one mp4 a camera for each episode, metadata in JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from counterpoint.core.errors import IngestError
from counterpoint.ingest.lerobot.episode import Rows, VideoPiece, build_episode, check_rows, read_rows
from counterpoint.ingest.lerobot.info import Info, read_json_lines
from counterpoint.ingest.lerobot.robot import map_robot
from counterpoint.ingest.mapping import RobotMapping
from counterpoint.ingest.paths import fill_template, inside
from counterpoint.ingest.source import Ingested, ReadOptions
from counterpoint.ingest.tables import open_parquet

MAX_EPISODES = 10**8


class LeRobotV21:
    """A v2.1 folder opened for reading; see `ingest.source.LogSource`."""

    def __init__(self, path: Path, info: Info, options: ReadOptions) -> None:
        """Read the metadata; raises IngestError."""
        self.path = path
        self.info = info
        self.mapping: RobotMapping
        self.mapping, notes = map_robot(info, path, options.robot)
        self._labels = options.labels
        self._tasks = _tasks(path)
        self._lengths, self._episode_tasks = _episodes(path)
        if info.total_episodes is not None and info.total_episodes != len(self._lengths):
            notes.append("total_episodes_mismatch")
        self.notes: Sequence[str] = tuple(notes)
        self._last: tuple[str, Rows] | None = None

    def items(self) -> list[str]:
        """Return the episodes that `meta/episodes.jsonl` lists."""
        return [f"episode_{index:06d}" for index in self._lengths]

    def content_hash(self, item: str) -> str:
        """Return the hash of times, values and task texts; raises IngestError."""
        rows = self._rows(item)
        return rows.content_hash(self._texts(rows))

    def read(self, item: str) -> Ingested:
        """Read one episode; raises IngestError."""
        rows = self._rows(item)
        fields = self._fields(rows.index)
        videos = [
            VideoPiece(
                key=key, path=inside(self.path, fill_template(self.info.video_path, {**fields, "video_key": key}))
            )
            for key in (self.info.videos if self.info.video_path else ())
        ]
        return build_episode(rows, self._texts(rows), videos, self.info, self.mapping, self.path, self._labels)

    def _rows(self, item: str) -> Rows:
        if self._last is not None and self._last[0] == item:
            return self._last[1]
        index = int(item.removeprefix("episode_"))
        path = inside(self.path, fill_template(self.info.data_path, self._fields(index)))
        table = read_rows(open_parquet(path), path, self.mapping)
        rows = check_rows(table, index, self._lengths[index], self.info, self.mapping, str(path))
        self._last = item, rows
        return rows

    def _fields(self, index: int) -> dict[str, int | str]:
        return {"episode_chunk": index // self.info.chunks_size, "episode_index": index}

    def _texts(self, rows: Rows) -> list[str]:
        fallback = self._episode_tasks[rows.index]
        return [self._tasks.get(int(task), fallback) for task in rows.task_index]


def _tasks(root: Path) -> dict[int, str]:
    path = inside(root, "meta/tasks.jsonl")
    rows = read_json_lines(path) if path.is_file() else []
    return {row["task_index"]: str(row.get("task", "")) for row in rows if isinstance(row.get("task_index"), int)}  # type: ignore[misc]  # checked in the filter


def _episodes(root: Path) -> tuple[dict[int, int | None], dict[int, str]]:
    """Return lengths and first task text by episode index."""
    path = inside(root, "meta/episodes.jsonl")
    lengths: dict[int, int | None] = {}
    tasks: dict[int, str] = {}
    for row in read_json_lines(path):
        index, length, texts = row.get("episode_index"), row.get("length"), row.get("tasks")
        if not isinstance(index, int) or not 0 <= index < MAX_EPISODES or index in lengths:
            raise IngestError(f"{path}: episode_index {index!r} is doubled or no index", reason="bad_episode_index")
        lengths[index] = length if isinstance(length, int) else None
        tasks[index] = str(texts[0]) if isinstance(texts, list) and texts else ""
    return lengths, tasks
