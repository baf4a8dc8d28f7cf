"""RLDS datasets as TFDS writes them (TFRecord and `features.json`), read without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from counterpoint.ingest.recording.source import LogSource, ReadOptions


def looks_like_rlds(path: Path) -> bool:
    """Whether `path` is one version of a TFDS dataset, or a record file of it."""
    folder = path if path.is_dir() else path.parent
    if not (folder / "features.json").is_file():
        return False
    if path.is_dir():
        try:
            return any(".tfrecord" in file.name or ".array_record" in file.name for file in path.iterdir())
        except OSError:
            return False
    return ".tfrecord" in path.name


def open_rlds(path: Path, options: ReadOptions) -> LogSource:
    """Open the folder of one version, all splits, or one record file beside its `features.json`.

    Raises:
        IngestError: its metadata cannot be used, or it has no steps.
    """
    from counterpoint.ingest.rlds.log import RldsLog  # needs google-crc32c, which is in an extra

    return RldsLog(path, options)
