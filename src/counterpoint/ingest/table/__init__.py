"""Tables as logs: Arrow and Parquet as Hugging Face `datasets` writes them, and CSV; one row per time step."""

from __future__ import annotations

from pathlib import Path

from counterpoint.ingest.recording.source import LogSource, ReadOptions
from counterpoint.ingest.table.csv_file import is_csv
from counterpoint.ingest.table.files import is_table_file, is_table_folder


def looks_like_table(path: Path) -> bool:
    """Whether `path` is an Arrow or Parquet file, or a folder that Hugging Face `datasets` wrote."""
    return is_table_folder(path) if path.is_dir() else is_table_file(path)


def looks_like_csv(path: Path) -> bool:
    """Whether `path` is a text file with rows of numbers and a delimiter."""
    return path.is_file() and is_csv(path)


def open_table(path: Path, options: ReadOptions) -> LogSource:
    """Open a file, or all files of a dataset folder as one log; raises IngestError."""
    from counterpoint.ingest.table.files import open_files
    from counterpoint.ingest.table.log import TableLog

    return TableLog(path, options, open_files(path))


def open_csv(path: Path, options: ReadOptions) -> LogSource:
    """Open a CSV file; raises IngestError."""
    from counterpoint.ingest.table.csv_file import CsvShard
    from counterpoint.ingest.table.log import TableLog

    return TableLog(path, options, {"": [CsvShard(path)]})
