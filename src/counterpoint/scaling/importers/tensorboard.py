"""Runs in a folder of TensorBoard: event files, read by its own loader; hyperparameters of its HParams plugin.

Every folder below LOGDIR that holds event files is a run, named by its path. What `add_hparams` of PyTorch writes
into a folder of its own, named by the time, belongs to the run above it.
"""

from __future__ import annotations

import logging
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util import tensor_util

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.runs.rows import Logged, LoggedRun, Scalar

_FILES = "*tfevents*"
_TIME = re.compile(r"^\d{9,}\.\d+$")
_FRAME = 16
"""Bytes about each record: length, checksum, data, checksum."""
logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of every file that it opens


@dataclass(kw_only=True)
class _Folder:
    settings: dict[str, Scalar] = field(default_factory=dict)
    series: dict[str, dict[int, float]] = field(default_factory=dict)


def read_tensorboard(root: Path) -> Logged:
    """Return the runs below a folder; what precedes damage in an event file is kept, with a warning.

    Raises:
        ConfigError: no such folder, no event files, or none with scalars.
    """
    if not root.is_dir():
        raise ConfigError(f"tensorboard:{root}: no such folder")
    files = sorted(path for path in root.rglob(_FILES) if path.is_file())
    if not files:
        raise ConfigError(f"tensorboard:{root}: no event files (*tfevents*) in this folder or below it")
    folders: dict[Path, _Folder] = {}
    warnings: list[str] = []
    with_events = {path.parent for path in files}
    for path in files:
        own = path.parent
        if _TIME.match(own.name) and own.parent in with_events:
            own = own.parent
        _read(path, folders.setdefault(own, _Folder()), warnings)
    runs = tuple(
        LoggedRun(
            name=root.resolve().name if folder == root else folder.relative_to(root).as_posix(),
            provenance=f"tensorboard:{folder.resolve()}",
            settings=found.settings,
            series=found.series,
        )
        for folder, found in folders.items()
        if found.series or found.settings
    )
    if not runs:
        raise ConfigError(
            f"tensorboard:{root}: {len(files)} event files without a scalar; {'; '.join(warnings)}".rstrip("; ")
        )
    return Logged(runs=runs, warnings=tuple(warnings))


def _read(path: Path, into: _Folder, warnings: list[str]) -> None:
    whole, rest = _whole_records(path)
    count = 0
    problem = f"ends within a record ({rest} bytes left over)" if rest else ""
    try:
        for event in EventFileLoader(str(path)).Load():
            count += 1
            for value in event.summary.value if event.HasField("summary") else ():
                _take(value, event.step, into)
    except Exception as error:  # the loader raises what its own reader, protobuf and numpy raise
        problem = f"is damaged ({type(error).__name__})"
    if not problem and count < whole:
        problem = "is damaged (a checksum does not match)"
    if problem:
        warnings.append(f"{path}: {problem}; {count} events before that are kept")


def _take(value: object, step: int, into: _Folder) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary

    assert isinstance(value, Summary.Value)
    plugin = value.metadata.plugin_data
    if plugin.plugin_name == hparams.PLUGIN_NAME:
        if value.tag == hparams.SESSION_START_INFO_TAG:
            info = hparams.parse_session_start_info_plugin_data(plugin.content).hparams
            for name, each in info.items():
                kind = each.WhichOneof("kind")
                if kind in ("number_value", "string_value", "bool_value"):
                    into.settings[str(name)] = getattr(each, kind)
        return
    if plugin.plugin_name not in ("", "scalars") or not value.HasField("tensor"):
        return
    array = tensor_util.make_ndarray(value.tensor)
    if array.size == 1 and array.dtype.kind in "fiu":
        into.series.setdefault(value.tag, {})[int(step)] = float(array.item())


def _whole_records(path: Path) -> tuple[int, int]:
    """Return how many whole records a file's lengths promise, and how many bytes follow them."""
    size, place, count = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while place + _FRAME <= size:
            file.seek(place)
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - place - _FRAME:
                break
            place, count = place + _FRAME + length, count + 1
    return count, size - place
