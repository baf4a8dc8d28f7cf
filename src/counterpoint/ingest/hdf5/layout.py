"""What an HDF5 layout says about an episode before its samples are read."""

from __future__ import annotations

from dataclasses import dataclass

import h5py

from counterpoint.core.episode import Source
from counterpoint.core.errors import IngestError
from counterpoint.ingest.recording.features import LogFeature
from counterpoint.ingest.recording.pictures import is_picture_shape

MAX_WIDTH = 4096
"""Most numbers per sample of one feature."""


@dataclass(frozen=True, kw_only=True)
class Hdf5Layout:
    """The features of an episode; a log has the layout of its first readable episode."""

    name: str
    """`aloha` or `robomimic`."""
    features: tuple[LogFeature, ...]
    """Named by their paths below the episode's group."""
    pictures: tuple[str, ...]
    """Datasets of pictures, raw or as files."""
    robot: str
    rate_hz: float | None
    """None where the file does not state it."""
    usual_rate_hz: float
    source: Source | None = None
    """None where the file does not say."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EpisodeLabels:
    """What a file says about one episode besides its samples."""

    instruction: str = ""
    success: bool | None = None
    notes: tuple[str, ...] = ()


def is_series(dataset: h5py.Dataset) -> bool:
    """Whether a dataset has a number or a row of numbers per sample."""
    return dataset.shape is not None and dataset.ndim in (1, 2) and dataset.dtype.kind in "fiub"


def is_pictures(path: str, dataset: h5py.Dataset) -> bool:
    """Whether a dataset holds raw pictures, or picture files padded to one length."""
    if dataset.shape is None:
        return False
    if dataset.dtype.kind == "S" and dataset.ndim == 1:
        return True
    is_files = dataset.ndim == 2 and dataset.dtype == "u1" and ("images/" in path or dataset.shape[1] > 256)
    return is_picture_shape(dataset.shape) or is_files


def width_of(path: str, dataset: h5py.Dataset) -> int:
    """Return the numbers per sample; raises IngestError `absurd_size`."""
    width = int(dataset.shape[1]) if dataset.ndim == 2 else 1
    if width > MAX_WIDTH:
        raise IngestError(
            f"{dataset.file.filename}: {path} claims {width} numbers per sample, at most {MAX_WIDTH}",
            reason="absurd_size",
        )
    return width
