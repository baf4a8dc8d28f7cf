"""LeRobot v2.1: one Parquet and one mp4 per camera for each episode, metadata in JSON lines."""

from __future__ import annotations

from pathlib import Path

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.json_files import read_json_lines
from counterpoint.ingest.files.parquet import open_parquet
from counterpoint.ingest.files.paths import fill_template, inside
from counterpoint.ingest.lerobot.episode import Rows, VideoPiece, check_rows, read_episode, read_rows
from counterpoint.ingest.lerobot.folder import LeRobotFolder
from counterpoint.ingest.lerobot.info import Info
from counterpoint.ingest.recording.source import Ingested, ReadOptions

MAX_EPISODES = 10**8


class LeRobotV21(LeRobotFolder):
    """A v2.1 folder opened for reading; see `recording.source.LogSource`."""

    def __init__(self, path: Path, info: Info, options: ReadOptions) -> None:
        """Read the metadata; raises IngestError."""
        self._lengths, self._episode_tasks = _episodes(path)
        super().__init__(path, info, options, _tasks(path), self._lengths)

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
        return read_episode(rows, self._texts(rows), videos, self.info, self.mapping, self.path, self._labels)

    def _load(self, index: int) -> Rows:
        path = inside(self.path, fill_template(self.info.data_path, self._fields(index)))
        table = read_rows(open_parquet(path), path, self.info, self.mapping)
        return check_rows(table, index, self._lengths[index], self.info, self.mapping, str(path))

    def _fields(self, index: int) -> dict[str, int | str]:
        return {"episode_chunk": index // self.info.chunks_size, "episode_index": index}

    def _first_task(self, index: int) -> str:
        return self._episode_tasks[index]


def _tasks(root: Path) -> dict[int, str]:
    path = inside(root, "meta/tasks.jsonl")
    rows = read_json_lines(path) if path.is_file() else []
    return {row["task_index"]: str(row.get("task", "")) for row in rows if isinstance(row.get("task_index"), int)}  # type: ignore[misc]  # checked in the filter


def _episodes(root: Path) -> tuple[dict[int, int | None], dict[int, str]]:
    """Return the length and the first task text by episode index."""
    path = inside(root, "meta/episodes.jsonl")
    lengths: dict[int, int | None] = {}
    tasks: dict[int, str] = {}
    for row in read_json_lines(path):
        index, length, texts = row.get("episode_index"), row.get("length"), row.get("tasks")
        if not isinstance(index, int) or not 0 <= index < MAX_EPISODES or index in lengths:
            raise IngestError(
                f"{path}: episode_index {index!r} is repeated or not a valid index", reason="bad_episode_index"
            )
        lengths[index] = length if isinstance(length, int) else None
        tasks[index] = str(texts[0]) if isinstance(texts, list) and texts else ""
    return lengths, tasks
