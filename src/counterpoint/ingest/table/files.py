"""The files of a table: one of Arrow or Parquet, or a folder of Hugging Face `datasets` with its splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.json_files import MAX_INFO_BYTES, parse_object
from counterpoint.ingest.files.parquet import MAGIC, damaged_parquet, open_parquet
from counterpoint.ingest.files.paths import inside, starts_with
from counterpoint.ingest.table.arrow_file import ArrowShard, is_arrow
from counterpoint.ingest.table.shard import Shard, checked_schema

BESIDE = frozenset({"", ".json", ".jsonl", ".md", ".txt", ".yaml", ".yml", ".jpg", ".jpeg", ".png", ".lock"})
"""Other files that a dataset's folder may contain."""
TABLES = frozenset({".arrow", ".feather", ".parquet"})
MAX_FILES = 100_000
MAX_ROWS_A_BYTE = 4096


def is_table_file(path: Path) -> bool:
    """Whether a file starts like Parquet or Arrow IPC."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return head.startswith(MAGIC) or is_arrow(head)


def is_table_folder(path: Path) -> bool:
    """Whether a folder (or `data` in it, or its splits) has tables and no other logs."""
    if (path / "dataset_dict.json").is_file():
        return True
    for folder in (path, path / "data"):
        files = _plain_files(folder)
        logs = [file for file in files if file.suffix.lower() not in BESIDE]
        if logs and all(file.suffix.lower() in TABLES or is_table_file(file) for file in logs):
            return any(map(is_table_file, logs))
        if logs:
            return False
    return False


def open_files(path: Path) -> dict[str, Sequence[Shard]]:
    """Return the files by split; the split is '' where there are none.

    Raises:
        IngestError: `missing_file` where there are no files or one in `state.json` is missing, or as the formats raise.
    """
    if not path.is_dir():
        return {"": [_open(path)]}
    found: dict[str, Sequence[Shard]] = {}
    for folder in _splits(path):
        files = _listed(folder)
        if not files:
            candidates = [file for file in _plain_files(folder) if file.suffix.lower() not in BESIDE]
            files = [inside(path, str(file.relative_to(path))) for file in candidates]
        if files:
            split = folder.relative_to(path).as_posix()
            found["" if split in (".", "data") else split] = [_open(file) for file in files]
    if not found:
        raise IngestError(f"{path}: found no Arrow or Parquet file in this folder", reason="missing_file")
    return found


class ParquetShard:
    """A Parquet file, read a few row groups at a time; see `ingest.table.shard.Shard`."""

    def __init__(self, path: Path) -> None:
        """Read the footer; raises IngestError as `open_parquet`."""
        self.path = path
        self._file = open_parquet(path)
        metadata = self._file.metadata
        self.schema: pa.Schema = checked_schema(self._file.schema_arrow, path)
        counts = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        self._starts = [sum(counts[:index]) for index in range(len(counts) + 1)]
        self.num_rows: int = self._starts[-1]
        if self.num_rows != metadata.num_rows or self.num_rows > MAX_ROWS_A_BYTE * path.stat().st_size:
            raise IngestError(f"{path}: claims {metadata.num_rows} rows; refused", reason="absurd_size")

    def rows(self, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Return rows [start, stop) of some columns; raises IngestError `damaged_parquet`."""
        groups = [
            index
            for index in range(len(self._starts) - 1)
            if self._starts[index] < stop and self._starts[index + 1] > start
        ]
        with damaged_parquet(self.path):
            table = self._file.read_row_groups(groups, columns=list(columns), use_threads=False)
            piece = table.slice(start - (self._starts[groups[0]] if groups else 0), stop - start)
            piece.validate(full=True)
        if piece.num_rows != stop - start:
            raise IngestError(f"{self.path}: has fewer rows than its footer says", reason="damaged_parquet")
        return piece.select(list(columns))


def _open(path: Path) -> Shard:
    return ParquetShard(path) if starts_with(path, MAGIC) or path.suffix.lower() == ".parquet" else ArrowShard(path)


def _plain_files(folder: Path) -> list[Path]:
    try:
        files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".") and not file.is_dir()]
    except OSError:
        return []
    return files[:MAX_FILES]


def _splits(path: Path) -> Iterator[Path]:
    yield path
    for folder in sorted(path.iterdir()):
        if folder.is_dir() and not folder.is_symlink() and not folder.name.startswith("."):
            yield folder


def _listed(folder: Path) -> list[Path]:
    """Return the files listed in `state.json`, in order; none where there is no such list."""
    state = folder / "state.json"
    if not state.is_file() or state.stat().st_size > MAX_INFO_BYTES:
        return []
    entries = parse_object(state.read_bytes(), str(state)).get("_data_files")
    names = (
        [entry.get("filename") for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
    )
    return [inside(folder, name) for name in names if isinstance(name, str)]
