"""LeRobot v3.0: many episodes per Parquet file and per mp4; an episode is a range of rows and a stretch of video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.columns import column_values, scalars
from counterpoint.ingest.files.parquet import open_parquet, read_columns
from counterpoint.ingest.files.paths import fill_template, inside
from counterpoint.ingest.lerobot.episode import Rows, VideoPiece, check_rows, read_episode, read_rows
from counterpoint.ingest.lerobot.folder import LeRobotFolder
from counterpoint.ingest.lerobot.info import Info
from counterpoint.ingest.recording.source import Ingested, ReadOptions

PLACE = ("episode_index", "length", "data/chunk_index", "data/file_index")
PIECE = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


class LeRobotV30(LeRobotFolder):
    """A v3.0 folder opened for reading; see `recording.source.LogSource`."""

    def __init__(self, path: Path, info: Info, options: ReadOptions) -> None:
        """Read the metadata; raises IngestError."""
        self._episodes = _episodes(path, info)
        super().__init__(path, info, options, _tasks(path), self._episodes)
        self._file: tuple[Path, pa.Table] | None = None

    def read(self, item: str) -> Ingested:
        """Read one episode; raises IngestError."""
        rows = self._rows(item)
        place = self._episodes[rows.index]
        videos = [self._piece(key, place) for key in (self.info.videos if self.info.video_path else ())]
        return read_episode(rows, self._texts(rows), videos, self.info, self.mapping, self.path, self._labels)

    def _piece(self, key: str, place: dict[str, float | str]) -> VideoPiece:
        chunk, file, start, end = (float(place[f"videos/{key}/{name}"]) for name in PIECE)
        if not (np.isfinite([chunk, file, start, end]).all() and 0 <= start <= end):
            return VideoPiece(key=key, path=self.path / "missing")  # NaN: the episode has no such video
        fields: dict[str, int | str] = {"video_key": key, "chunk_index": int(chunk), "file_index": int(file)}
        path = inside(self.path, fill_template(self.info.video_path, fields))
        return VideoPiece(key=key, path=path, start_s=start, end_s=end)

    def _load(self, index: int) -> Rows:
        place = self._episodes[index]
        fields: dict[str, int | str] = {name: int(place[f"data/{name}"]) for name in ("chunk_index", "file_index")}
        path = inside(self.path, fill_template(self.info.data_path, fields))
        if self._file is None or self._file[0] != path:
            self._file = None
            self._file = path, read_rows(open_parquet(path), path, self.info, self.mapping)
        table = self._file[1]
        where = f"{path}, episode {index}"
        if "episode_index" not in table.column_names:
            raise IngestError(f"{path}: no column 'episode_index'", reason="missing_column")
        chosen = np.flatnonzero(scalars(table, "episode_index", str(path)) == index)
        if len(chosen) and chosen[-1] - chosen[0] + 1 == len(chosen):
            table = table.slice(int(chosen[0]), len(chosen))
        else:
            table = table.take(pa.array(chosen))
        return check_rows(table, index, int(place["length"]), self.info, self.mapping, where)

    def _first_task(self, index: int) -> str:
        return str(self._episodes[index]["task"])


def _tasks(root: Path) -> dict[int, str]:
    """Read `meta/tasks.parquet`: the text is the pandas index, in `__index_level_0__` or `task`."""
    path = inside(root, "meta/tasks.parquet")
    if not path.is_file():
        return {}
    table = read_columns(open_parquet(path), path, ["task_index"], ["task", "__index_level_0__"])
    column = next((name for name in ("task", "__index_level_0__") if name in table.column_names), None)
    if column is None:
        raise IngestError(f"{path}: found neither column 'task' nor '__index_level_0__'", reason="missing_column")
    indices = scalars(table, "task_index", str(path)).astype(np.int64).tolist()
    return {index: str(text) for index, text in zip(indices, column_values(table, column, str(path)), strict=True)}


def _episodes(root: Path, info: Info) -> dict[int, dict[str, float | str]]:
    """Read `meta/episodes/*/*.parquet`: the location of each episode, by index."""
    paths = sorted(root.glob("meta/episodes/*/*.parquet"))
    if not paths:
        raise IngestError(f"{root / 'meta/episodes'}: found no table of episodes", reason="missing_file")
    wanted = [*PLACE, *(f"videos/{key}/{name}" for key in info.videos if info.video_path for name in PIECE)]
    found: dict[int, dict[str, float | str]] = {}
    for listed in paths:
        path = inside(root, str(listed.relative_to(root)))
        table = read_columns(open_parquet(path), path, PLACE, [*wanted[len(PLACE) :], "tasks"])
        columns = {name: _numbers(table, name, str(path)) for name in wanted}
        tasks = column_values(table, "tasks", str(path)) if "tasks" in table.column_names else [None] * table.num_rows
        for row in range(table.num_rows):
            place: dict[str, float | str] = {name: column[row] for name, column in columns.items()}
            index = int(place["episode_index"])
            if index < 0 or index in found:
                raise IngestError(
                    f"{path}: episode_index {index} is repeated or not a valid index", reason="bad_episode_index"
                )
            texts = tasks[row]
            found[index] = {**place, "task": str(texts[0]) if isinstance(texts, list) and texts else ""}
    return found


def _numbers(table: pa.Table, name: str, where: str) -> list[float]:
    """Return a column of numbers; NaN where a video's location is empty or absent."""
    if name not in table.column_names:
        return [float("nan")] * table.num_rows
    if name.startswith("videos/"):
        column = column_values(table, name, where)
        return [float(value) if isinstance(value, int | float) else float("nan") for value in column]
    return scalars(table, name, where).tolist()  # type: ignore[no-any-return]  # float64 gives floats
