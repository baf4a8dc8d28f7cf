"""Which logs a folder holds: every file that may be one, and every folder that is a dataset itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.core.errors import IngestError
from counterpoint.ingest.formats import knows

LOG_SUFFIXES = frozenset(
    [".arrow", ".bag", ".csv", ".db3", ".feather", ".h5", ".hdf5", ".ipc", ".mcap", ".parquet", ".tfrecord", ".zip"]
)
"""A file named so that no format knows is a damaged log; one named otherwise is no log."""


@dataclass(kw_only=True)
class Walk:
    """What was found below one source."""

    logs: list[Path] = field(default_factory=list)
    """In a stable order."""
    refused: list[tuple[Path, IngestError]] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    is_folder_of_logs: bool = False
    """Whether the source is no log itself, but was searched for logs."""


def find_logs(source: Path, format: str | None = None) -> Walk:
    """Return `source` where it is a log or a dataset, and else what is in it.

    Links are not followed: one that leads out of the folder is refused (`path_outside`), one that
    stays inside is left out, because what it shows is found in its own place.
    """
    walk = Walk()
    if source.is_dir() and not knows(source, format):
        _search(source, source.resolve(), walk, format)
        walk.is_folder_of_logs = format is None or bool(walk.logs)
    return walk if walk.is_folder_of_logs else Walk(logs=[source])


def is_named_as_log(path: Path) -> bool:
    """Whether a file's name promises a log."""
    return path.suffix.lower() in LOG_SUFFIXES


def _search(folder: Path, root: Path, walk: Walk, format: str | None) -> None:
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            if path.resolve().is_relative_to(root):
                walk.notes["link_left_out"] += 1
            else:
                error = IngestError(f"{path}: a link that leads out of {root}; refused", reason="path_outside")
                walk.refused.append((path, error))
        elif path.is_dir():
            if knows(path, format):
                walk.logs.append(path)
            elif not path.name.startswith("."):
                _search(path, root, walk, format)
        elif path.name.startswith(".") or not path.is_file() or (format is not None and not knows(path, format)):
            walk.notes["not_a_log"] += 1
        else:
            walk.logs.append(path)
