"""HDF5 files as a log: items are episodes, found by the layout of the first readable file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.columns import widened
from counterpoint.ingest.files.paths import inside
from counterpoint.ingest.hdf5 import aloha, hdf5_files, robomimic
from counterpoint.ingest.hdf5.layout import Hdf5Layout
from counterpoint.ingest.hdf5.probe import probe
from counterpoint.ingest.hdf5.safe import find, opened, read_array
from counterpoint.ingest.recording.features import LogRobot, map_features, slug
from counterpoint.ingest.recording.pictures import camera_names, frame_stream, picture_video
from counterpoint.ingest.recording.recorded_log import RecordedLog, choose_rate
from counterpoint.ingest.recording.recording import Recording, Series, num_rows
from counterpoint.ingest.recording.source import ReadOptions
from counterpoint.store import EncodedVideo


class Hdf5Log(RecordedLog):
    """A file or a folder of files; see `recording.source.LogSource`."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Find the episodes and the layout of the first readable one; raises IngestError."""
        root = path if path.is_dir() else path.parent
        files = hdf5_files(path) if path.is_dir() else [path]
        self._places: dict[str, tuple[Path, str]] = {}
        layout: Hdf5Layout | None = None
        first_error: IngestError | None = None
        for file in files:
            short = file.name if path.is_dir() else ""
            try:
                demos, found = _survey(inside(root, file.name) if path.is_dir() else file, layout)
                layout = layout or found
            except IngestError as error:
                first_error = first_error or error
                demos = [""]
            for demo in demos:
                item = ":".join(filter(None, (short, demo.removeprefix("data/")))) or path.name
                self._places[item] = file, demo
        if layout is None:
            raise first_error or IngestError(f"{path}: found no HDF5 file in this folder", reason="missing_file")
        self._root, self._layout, self._is_folder = root, layout, path.is_dir()
        rate, notes = choose_rate(layout.rate_hz, options.robot, layout.usual_rate_hz)
        log = LogRobot(
            name=layout.robot or slug(path.resolve().stem) or "robot",
            rate_hz=rate,
            description=f"Made from an HDF5 log in the layout of {layout.name}; what no name says is unknown.",
            source=f"HDF5 {path.name}",
        )
        mapping, mapped = map_features(layout.features, log, options, str(path))
        super().__init__(path, options, mapping, [*notes, *layout.notes, *mapped], rate)
        if layout.source is not None and self.labels.source == "real":
            self.labels = replace(self.labels, source=layout.source)

    def items(self) -> Sequence[str]:
        """Return file names, demonstrations, or both joined by `:`."""
        return list(self._places)

    def load(self, item: str) -> Recording:
        """Read one episode; raises IngestError."""
        path, demo = self._places[item]
        path = inside(self._root, path.name) if self._is_folder else path
        probe(path)
        with opened(path) as file:
            if _layout_name(file) != self._layout.name:
                raise IngestError(
                    f"{path}: expected the layout of {self._layout.name}, as in the first file", reason="unknown_layout"
                )
            group = find(file, demo) if demo else file
            if not isinstance(group, h5py.Group):
                raise IngestError(f"{path}: group {demo!r} is missing", reason="missing_column")
            return self._load_group(file, group, demo, f"{path}, {demo}" if demo else str(path))

    def _load_group(self, file: h5py.File, group: h5py.Group, demo: str, where: str) -> Recording:
        values = {each.feature: _numbers(group, each.feature, where) for each in self.mapping.features}
        capture = periodic_ns(0, self.rate_hz, num_rows(values, where))
        videos: dict[str, EncodedVideo] = {}
        frames = {}
        notes: list[str] = []
        for feature, name in camera_names(self._layout.pictures).items():
            dataset = find(group, feature)
            if not isinstance(dataset, h5py.Dataset):
                notes.append(f"missing_video:{feature}")
                continue
            pictures = read_array(dataset, f"{where}: {feature}")
            if pictures.ndim == 4:
                frames[name] = frame_stream(name, pictures, capture, self.rate_hz, f"{where}: {feature}")
            else:
                files = _unpadded(pictures)
                videos[name] = picture_video(name, files, capture, self.rate_hz, f"{where}: {feature}")
        module = aloha if self._layout.name == "aloha" else robomimic
        said = module.labels_of(file, demo)
        return Recording(
            series={
                name: Series(values=each, capture_ns=capture, time_source="nominal") for name, each in values.items()
            },
            videos=videos,
            frames=frames,
            texts=((int(capture[0]), said.instruction),) if said.instruction else (),
            success=said.success,
            notes=(*notes, *said.notes),
        )


def _survey(path: Path, known: Hdf5Layout | None) -> tuple[list[str], Hdf5Layout | None]:
    """Return the episodes in a file ('' for the file itself) and, where none is known yet, their layout."""
    if known is not None and known.name == "aloha":
        return [""], None  # a folder may have thousands of files; each is opened when it is read
    probe(path)
    with opened(path) as file:
        if _layout_name(file) == "aloha":
            return [""], None if known else aloha.describe(file)
        demos = robomimic.demonstrations(file)
        error: IngestError | None = None
        for demo in demos if known is None else ():
            try:
                return demos, robomimic.describe(file, demo)
            except IngestError as damaged:
                error = error or damaged
        if error is not None:
            raise error
        return demos, None


def _layout_name(file: h5py.File) -> str:
    if aloha.is_aloha(file):
        return "aloha"
    if robomimic.is_robomimic(file):
        return "robomimic"
    raise IngestError(
        f"{file.filename}: expected ALOHA (/action, /observations) or robomimic (/data/*/actions), found "
        f"{', '.join(list(file)[:8]) or 'nothing'}",
        reason="unknown_layout",
    )


def _numbers(group: h5py.Group, feature: str, where: str) -> NDArray[np.float64]:
    dataset = find(group, feature)
    if not isinstance(dataset, h5py.Dataset):
        raise IngestError(f"{where}: dataset {feature!r} is missing", reason="missing_column")
    values = read_array(dataset, f"{where}: {feature}")
    if values.dtype.kind == "S" or values.ndim not in (1, 2):
        raise IngestError(
            f"{where}: {feature} is {values.dtype} {values.shape}, expected [samples, width]",
            reason="dimension_mismatch",
        )
    return widened(values[:, None] if values.ndim == 1 else values)


def _unpadded(pictures: NDArray[np.generic]) -> list[bytes]:
    """Return files without trailing zeros: JPEG ends in 0xFFD9, PNG in a checksum after IEND."""
    return [_without_zeros(row.tobytes() if isinstance(row, np.ndarray) else bytes(row)) for row in pictures]


def _without_zeros(data: bytes) -> bytes:
    end = data.rfind(b"IEND")
    return data[: end + 8] if data.startswith(b"\x89PNG") and end > 0 else data.rstrip(b"\0")
