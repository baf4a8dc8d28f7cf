"""Folders of JSON and safetensors files that appear whole or not at all, with a manifest of hashes.

    write_folder(path)   files go to a hidden sibling, are flushed to disk, then the folder is renamed
    read_json / read_tensors   strict: what is missing, truncated or changed is an error that names the file

What the files mean is left to `checkpoint`. Nothing is pickled, so loading runs no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from counterpoint.core.errors import CheckpointError
from counterpoint.core.records import Json, finite_json

_TRY = "copy the checkpoint again or use an earlier one"


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Yield a fresh folder that becomes `path` when the block ends well, replacing what was there.

    Raises:
        CheckpointError: the disk refused; nothing that was there before is changed.
    """
    staging, old = path.with_name(f".{path.name}.{os.getpid()}.part"), path.with_name(f".{path.name}.old")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        yield staging
        for file in staging.rglob("*"):
            _flush(file)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        staging.rename(path)
        _flush(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot write: {error.strerror or error}; earlier checkpoints are untouched; free some space or "
            "choose another folder, then resume"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if old.exists() and not path.exists():
            old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Json) -> None:
    """Write one JSON value, readable by people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(finite_json(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors as safetensors, from any device."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:  # it hides the OSError of a full disk
        raise OSError(str(error)) from error


def manifest(folder: Path) -> dict[str, Json]:
    """Return `{relative name: {"bytes", "sha256"}}` of every file below `folder`, sorted."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": _sha256(file)} for file in files
    }


def check_manifest(folder: Path, expected: Mapping[str, Json], names: tuple[str, ...]) -> None:
    """Check that files `names` (or folders, with a closing slash) are as they were when written.

    Raises:
        CheckpointError: a file is missing, truncated, or has changed.
    """
    for name, facts in expected.items():
        if not any(name == wanted or (wanted.endswith("/") and name.startswith(wanted)) for wanted in names):
            continue
        file, size = folder / name, cast(dict[str, Json], facts)["bytes"]
        if not file.is_file():
            raise CheckpointError(f"{file}: missing from the checkpoint; {_TRY}")
        if file.stat().st_size != size:
            raise CheckpointError(f"{file}: expected {size} bytes, found {file.stat().st_size}: truncated; {_TRY}")
        if _sha256(file) != cast(dict[str, Json], facts)["sha256"]:
            raise CheckpointError(f"{file}: its content has changed since it was written; {_TRY}")


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object; raises CheckpointError where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: missing; expected a Counterpoint checkpoint folder") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error}); {_TRY}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(value).__name__}; {_TRY}")
    return value


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors to the CPU; raises CheckpointError for missing, truncated or foreign files."""
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; {_TRY}")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error}); {_TRY}") from error
