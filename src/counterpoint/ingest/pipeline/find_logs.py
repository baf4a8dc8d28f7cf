"""Which logs a folder holds: every file that may be a log, and every folder that is a dataset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.core.errors import IngestError
from counterpoint.ingest.formats import knows

LOG_SUFFIXES = frozenset(
    [".arrow", ".bag", ".csv", ".db3", ".feather", ".h5", ".hdf5", ".ipc", ".mcap", ".parquet", ".tfrecord", ".zip"]
)
"""A file with such a suffix that no format recognises is a damaged log; any other unknown file is not a log."""


@dataclass(kw_only=True)
class FoundLogs:
    """What was found in one source."""

    logs: list[Path] = field(default_factory=list)
    """In a stable order."""
    refused: list[tuple[Path, IngestError]] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    is_folder_of_logs: bool = False
    """Whether the source is a folder that was searched for logs, not a log itself."""


def find_logs(source: Path, format: str | None = None) -> FoundLogs:
    """Return `source` where it is a log or a dataset, otherwise the logs in it.

    Links are not followed: a link out of the folder is refused (`path_outside`), and a link within it is skipped,
    because its target is found in its own place.
    """
    found = FoundLogs()
    if source.is_dir() and not knows(source, format):
        _search(source, source.resolve(), found, format)
        found.is_folder_of_logs = format is None or bool(found.logs)
    return found if found.is_folder_of_logs else FoundLogs(logs=[source])


def is_named_as_log(path: Path) -> bool:
    """Whether a file's suffix is that of a log."""
    return path.suffix.lower() in LOG_SUFFIXES


def _search(folder: Path, root: Path, found: FoundLogs, format: str | None) -> None:
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            if path.resolve().is_relative_to(root):
                found.notes["link_left_out"] += 1
            else:
                error = IngestError(f"{path}: this link points outside {root}; refused", reason="path_outside")
                found.refused.append((path, error))
        elif path.is_dir():
            if knows(path, format):
                found.logs.append(path)
            elif not path.name.startswith("."):
                _search(path, root, found, format)
        elif path.name.startswith(".") or not path.is_file() or (format is not None and not knows(path, format)):
            found.notes["not_a_log"] += 1
        else:
            found.logs.append(path)
