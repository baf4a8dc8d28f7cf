"""The index of a store: one row an episode, gathered from manifests, derived and rebuildable.

A commit renames a folder into one of 256 parents and so changes that parent's modification time;
opening a store looks at 256 times and reads only manifests that are new.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from counterpoint.core.errors import StoreError
from counterpoint.store.commit import write_durably
from counterpoint.store.layout import MANIFEST, VERSION, next_step
from counterpoint.store.manifest import EpisodeInfo, manifest_from_bytes

logger = logging.getLogger(__name__)

INDEX = "catalogue/episodes.parquet"
SETTLE_NS = 2_000_000_000
"""A parent changed this shortly before it was listed is listed again: file systems round times."""

_STREAM = pa.struct(
    [
        ("name", pa.string()),
        ("kind", pa.string()),
        ("spec_sha256", pa.string()),
        ("samples", pa.int64()),
        ("time_source", pa.string()),
        ("video", pa.string()),
        ("encoding", pa.string()),
    ]
)
_FILE = pa.struct([("path", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string())])
_PROVENANCE = pa.struct(
    [
        *((name, pa.string()) for name in ("robot", "task", "instruction", "site", "environment", "source")),
        *((name, pa.string()) for name in ("operator", "licence", "origin", "content_hash")),
        ("success", pa.bool_()),
        ("notes", pa.list_(pa.string())),
    ]
)
SCHEMA = pa.schema(
    [
        ("parent", pa.string()),
        ("folder", pa.string()),
        ("episode_id", pa.string()),
        ("embodiment", pa.string()),
        ("embodiment_sha256", pa.string()),
        ("provenance", _PROVENANCE),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("streams", pa.list_(_STREAM)),
        ("files", pa.list_(_FILE)),
        ("content_sha256", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with a store."""

    reason: str
    """Stable code: `damaged_manifest`, `missing_file`, `checksum`, ..."""
    path: str
    """File, relative to the store."""
    message: str
    episode_id: str = ""


def load_index(root: Path) -> tuple[pa.Table, list[Problem]]:
    """Return the index of all committed episodes, sorted by id, and the manifests that cannot be read.

    Brings the cached index up to date and saves it where the store can be written.
    """
    cached, parents = _cached(root / INDEX)
    started_ns = time.time_ns()
    now = _parents(root)
    fresh = {name for name, changed in parents.items() if now.get(name) == changed}
    problems: list[Problem] = []
    kept = cached.filter(pc.is_in(cached["parent"], pa.array(sorted(fresh), pa.string())))
    if fresh == set(now) and kept.num_rows == cached.num_rows:
        return cached, problems
    pairs = zip(cached["parent"].to_pylist(), cached["folder"].to_pylist(), strict=True)
    known = {pair: row for row, pair in enumerate(pairs)}
    again: list[int] = []
    rows: list[dict[str, object]] = []
    for parent in sorted(set(now) - fresh):
        for folder in sorted(path.name for path in (root / "episodes" / parent).iterdir()):
            if (parent, folder) in known:
                again.append(known[parent, folder])
            else:
                _read_into(root, parent, folder, rows, problems)
    table = pa.concat_tables(
        [kept, cached.take(pa.array(again, pa.int64())), pa.Table.from_pylist(rows, schema=SCHEMA)]
    ).sort_by("episode_id")
    settled = {name: changed for name, changed in now.items() if changed < started_ns - SETTLE_NS}
    for problem in problems:  # look at damaged episodes again next time
        settled.pop(Path(problem.path).parts[1], None)
    _save(root / INDEX, table, settled)
    return table, problems


def read_manifest(root: Path, folder: Path) -> EpisodeInfo:
    """Read the manifest of a committed episode; raises StoreError naming the file."""
    path = folder / MANIFEST
    try:
        info = manifest_from_bytes(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(f"{path}: missing; {next_step(root)}") from error
    except (StoreError, OSError) as error:
        raise StoreError(f"{path}: damaged: {error}; {next_step(root)}") from error
    return info


def info_to_row(info: EpisodeInfo, parent: str, folder: str) -> dict[str, object]:
    """Return one row of SCHEMA as plain values."""
    return {"parent": parent, "folder": folder, **asdict(info)}


def _read_into(root: Path, parent: str, folder: str, rows: list[dict[str, object]], problems: list[Problem]) -> None:
    try:
        rows.append(info_to_row(read_manifest(root, root / "episodes" / parent / folder), parent, folder))
    except StoreError as error:
        logger.warning("%s", error)
        path = f"episodes/{parent}/{folder}/{MANIFEST}"
        problems.append(Problem(reason="damaged_manifest", path=path, message=str(error), episode_id=folder))


def _parents(root: Path) -> dict[str, int]:
    folder = root / "episodes"
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_dir()}


def _cached(path: Path) -> tuple[pa.Table, Mapping[str, int]]:
    try:
        table = pq.read_table(path)
        state = json.loads(table.schema.metadata[b"counterpoint"])
        if state["version"] == VERSION and table.schema.equals(SCHEMA):
            return table, state["parents"]
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        pass  # absent, torn or of another release: it is derived, so it is built again
    return SCHEMA.empty_table(), {}


def _save(path: Path, table: pa.Table, parents: Mapping[str, int]) -> None:
    state = json.dumps({"version": VERSION, "parents": parents}).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({b"counterpoint": state}), sink, compression="zstd")
    try:
        path.parent.mkdir(exist_ok=True)
        write_durably(path, sink.getvalue().to_pybytes())
    except (OSError, StoreError) as error:
        logger.info("index not saved: %s", error)
