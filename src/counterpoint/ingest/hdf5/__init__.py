"""HDF5 in the layouts of ALOHA (one episode per file) and robomimic (many demonstrations per file)."""

from __future__ import annotations

from pathlib import Path

from counterpoint.ingest.files.paths import starts_with
from counterpoint.ingest.recording.source import LogSource, ReadOptions

MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_USER_BLOCK = 2**16
SUFFIXES = frozenset({".h5", ".hdf5", ".he5"})
BESIDE = frozenset({"", ".json", ".md", ".txt", ".yaml", ".yml"})
"""Other files that a folder of HDF5 files may contain."""


def looks_like_hdf5(path: Path) -> bool:
    """Whether `path` is an HDF5 file, or a folder of such files only."""
    if not path.is_dir():
        return _has_magic(path)
    try:
        files = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
    except OSError:
        return False
    logs = [file for file in files if file.suffix.lower() not in BESIDE]
    promised = [file.suffix.lower() in SUFFIXES or _has_magic(file) for file in logs]
    return all(promised) and any(map(_has_magic, logs))


def hdf5_files(folder: Path) -> list[Path]:
    """Return the HDF5 files of a folder, including damaged ones with such a suffix."""
    return [
        file
        for file in sorted(folder.iterdir())
        if not file.name.startswith(".") and (file.suffix.lower() in SUFFIXES or _has_magic(file))
    ]


def open_hdf5(path: Path, options: ReadOptions) -> LogSource:
    """Open a file, or every HDF5 file of a folder as one log of one robot.

    Raises:
        IngestError: no file can be opened, or none has a known layout.
    """
    from counterpoint.ingest.hdf5.log import Hdf5Log  # needs h5py, which is in an extra

    return Hdf5Log(path, options)


def _has_magic(path: Path) -> bool:
    """The magic is at 0 or, after a user block, at a power of two from 512 on."""
    offset = 0
    while offset <= MAX_USER_BLOCK:
        if starts_with(path, MAGIC, offset):
            return True
        offset = max(512, 2 * offset)
    return False
