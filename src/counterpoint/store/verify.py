"""Checking a store byte by byte: every file against its checksum, every count against its samples.

Files are read in pieces and folders are checked in parallel, so memory use does not grow with the store.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from counterpoint.core.errors import StoreError
from counterpoint.engine import Engine, LocalEngine
from counterpoint.store.files.blocks import DAMAGED
from counterpoint.store.files.layout import (
    FORMAT,
    MANIFEST,
    STREAMS,
    VERSION,
    canonical_json,
    check_store,
    episode_folder,
    sha256_file,
)
from counterpoint.store.files.manifest import EpisodeInfo
from counterpoint.store.index.refresh import Problem, read_manifest

NAMED = re.compile(r"(?:[a-z]+-)?([0-9a-f]{64})\.\w+")
"""Names that hold the SHA-256 of the file's bytes."""
TASK_FILES = 16
REBUILD = "it is derived from the episodes: delete it, and it is rebuilt when needed"


@dataclass(frozen=True, kw_only=True)
class VerifyTask:
    """Files named by their content, or a folder of episodes, to check in one go."""

    root: Path
    named: tuple[Path, ...] = ()
    parent: Path | None = None


def verify_store(root: Path, engine: Engine | None = None, progress: bool = False) -> list[Problem]:
    """Read every file of the store; return what is wrong, in order of path."""
    problems = _check_mark(root)
    parents = sorted(path for path in (root / "episodes").iterdir() if path.is_dir())
    tasks = [*_named_tasks(root), *(VerifyTask(root=root, parent=parent) for parent in parents)]
    for done in (engine or LocalEngine(workers=1)).run(
        verify_part, tasks, label="verify", unit="part", progress=progress
    ):
        if done.result is None:
            raise StoreError(f"{root}: checking failed: {done.message}")
        problems += done.result
    return sorted(problems, key=lambda problem: (problem.path, problem.reason))


def verify_part(task: VerifyTask) -> list[Problem]:
    """Check the files and folders of one task, in a worker process."""
    problems = []
    for path in task.named:
        problems += _check_named(task.root, path)
    for folder in sorted(task.parent.iterdir()) if task.parent else ():
        problems += _check_episode(task.root, folder)
    return problems


def _named_tasks(root: Path) -> Iterator[VerifyTask]:
    folders = [root / "embodiments", root / "specs"]
    folders += [each for top in ("catalogue", "views") for each in (root / top).glob("**/") if each.is_dir()]
    paths = sorted(
        path for folder in folders for path in folder.glob("*") if NAMED.fullmatch(path.name) and path.is_file()
    )
    for first in range(0, len(paths), TASK_FILES):
        yield VerifyTask(root=root, named=tuple(paths[first : first + TASK_FILES]))


def _check_mark(root: Path) -> list[Problem]:
    mark = root / "store.json"
    try:
        check_store(root)
    except StoreError as error:
        return [_problem(root, mark, "damaged_mark", str(error))]
    if mark.read_bytes() != canonical_json({"format": FORMAT, "version": VERSION}):
        return [_problem(root, mark, "damaged_mark", "its bytes have changed since it was written")]
    return []


def _check_named(root: Path, path: Path) -> list[Problem]:
    found = NAMED.fullmatch(path.name)
    assert found is not None  # _named_tasks chose it
    is_derived = path.relative_to(root).parts[0] in ("catalogue", "views")
    try:
        if sha256_file(path) == found[1]:
            return []
    except FileNotFoundError:
        return [] if is_derived else [_problem(root, path, "missing_file", "it disappeared during the check")]
    message = "its content does not match its name, which is its SHA-256"
    return [_problem(root, path, "checksum", f"{message}; {REBUILD}" if is_derived else message)]


def _check_episode(root: Path, folder: Path) -> list[Problem]:
    try:
        info = read_manifest(root, folder)
    except StoreError as error:
        return [_problem(root, folder / MANIFEST, "damaged_manifest", str(error), folder.name)]
    if episode_folder(root, info.episode_id) != folder:
        message = f"holds episode {info.episode_id!r}, which belongs elsewhere; was the folder renamed?"
        return [_problem(root, folder, "misplaced", message, info.episode_id)]
    problems = _check_files(root, folder, info)
    problems += _check_references(root, folder, info)
    if not any(problem.path.endswith(STREAMS) for problem in problems):
        problems += _check_samples(root, folder, info)
    return problems


def _check_files(root: Path, folder: Path, info: EpisodeInfo) -> list[Problem]:
    problems = []
    for file in info.files:
        path = folder / file.path
        if not path.is_file():
            problems.append(
                _problem(root, path, "missing_file", "listed in the manifest, but missing", info.episode_id)
            )
            continue
        size = path.stat().st_size
        if size != file.bytes:
            message = f"expected {file.bytes} bytes, got {size}"
            problems.append(_problem(root, path, "truncated", message, info.episode_id))
        elif sha256_file(path) != file.sha256:
            problems.append(
                _problem(root, path, "checksum", "its bytes have changed since it was written", info.episode_id)
            )
    return problems


def _check_references(root: Path, folder: Path, info: EpisodeInfo) -> list[Problem]:
    wanted = {root / "embodiments" / f"{info.embodiment_sha256}.json"}
    wanted |= {root / "specs" / f"{stream.spec_sha256}.json" for stream in info.streams}
    return [
        _problem(root, path, "missing_file", f"missing; needed by {folder.name}", info.episode_id)
        for path in sorted(wanted)
        if not path.is_file()
    ]


def _check_samples(root: Path, folder: Path, info: EpisodeInfo) -> list[Problem]:
    path = folder / STREAMS
    counts: Counter[str] = Counter()
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(columns=["stream", "capture_ns"], use_threads=False):
                lengths = batch.column("capture_ns").value_lengths().to_pylist()
                for name, length in zip(batch.column("stream").to_pylist(), lengths, strict=True):
                    counts[name] += length
    except DAMAGED as error:
        return [_problem(root, path, "damaged_streams", str(error), info.episode_id)]
    return [
        _problem(root, path, "count", f"stream {stream.name!r}: expected {stream.samples} samples", info.episode_id)
        for stream in info.streams
        if counts.get(stream.name, -1) != stream.samples
    ]


def _problem(root: Path, path: Path, reason: str, message: str, episode_id: str = "") -> Problem:
    return Problem(reason=reason, path=str(path.relative_to(root)), message=message, episode_id=episode_id)
