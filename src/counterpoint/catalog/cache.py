"""Derived arrays and tables under `catalogue/`: written atomically, and ignored when damaged."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[np.generic]]


def save_arrays(folder: Path, key: str, arrays: Arrays, texts: Mapping[str, list[str]]) -> None:
    """Replace `folder` by these arrays and texts; `key` names their inputs. A failure is logged, not raised."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name, array in arrays.items():
                np.save(fresh / f"{name}.npy", array, allow_pickle=False)
            for name, words in texts.items():
                (fresh / f"{name}.json").write_text(json.dumps(words), encoding="utf-8")
            sums = {path.name: _sum(path) for path in fresh.iterdir()}
            (fresh / "index.json").write_text(json.dumps({"key": key, "crc32": sums}), encoding="utf-8")
            fresh.chmod(0o755)
            if folder.exists():
                os.replace(folder, old := fresh.with_suffix(".old"))
                shutil.rmtree(old, ignore_errors=True)
            os.replace(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        logger.info("%s: not saved (%s); it will be computed again next time", folder, error)


def load_arrays(folder: Path, key: str) -> tuple[dict[str, NDArray[np.generic]], dict[str, list[str]]] | None:
    """Return what `save_arrays` wrote for `key`; None where it is missing, damaged, or of another key."""
    try:
        state = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if state["key"] != key or any(_sum(folder / name) != value for name, value in state["crc32"].items()):
            return None
        arrays: dict[str, NDArray[np.generic]] = {}
        texts: dict[str, list[str]] = {}
        for name in cast(dict[str, int], state["crc32"]):
            path = folder / name
            if path.suffix == ".npy":
                arrays[path.stem] = np.load(path, mmap_mode="r", allow_pickle=False)
            else:
                texts[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        return arrays, texts
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save_table(path: Path, table: pa.Table, key: str) -> None:
    """Replace a Parquet file; `key` names its inputs. A failure is logged, not raised."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            table.replace_schema_metadata({b"key": key.encode()}), partial, compression="zstd", write_page_checksum=True
        )
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        logger.info("%s: not saved (%s); it will be computed again next time", path, error)


def load_table(path: Path, key: str, schema: pa.Schema) -> pa.Table | None:
    """Return what `save_table` wrote for `key`; None where it is missing, damaged, or of another key."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        if (table.schema.metadata or {}).get(b"key") == key.encode() and table.schema.equals(schema):
            return table.replace_schema_metadata(None)
    except (OSError, pa.ArrowException):
        pass
    return None


def _sum(path: Path) -> int:
    return zlib.crc32(path.read_bytes())
