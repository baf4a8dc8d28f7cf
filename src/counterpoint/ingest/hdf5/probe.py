"""Reads each file first in a process of its own: on some damaged files the HDF5 library hangs or takes all memory.

    reader --path--> probe (own process, memory and time limited) --"ok" or reason--> reader opens the file

About one in 80,000 files with a few changed bytes makes the library allocate without end inside one call, which no
check can foresee and no exception ends. Once the probe has read a file, the reader makes the same calls. One probe
serves each process; it ends when its standard input closes.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import select
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import h5py

from counterpoint.core.errors import IngestError
from counterpoint.ingest.hdf5.layout import is_pictures, is_series
from counterpoint.ingest.hdf5.safe import datasets, find, names, opened, read_array

PATIENCE_S = 60.0
"""For a small file and the start of the process; generous, so that a busy machine does not make a file look damaged."""
BYTES_PER_S = 2e7
"""Larger files get more time."""
SPARE_BYTES = 2**29
MOST_BYTES = 12 * 2**30


def probe(path: Path) -> None:
    """Return once the library has read the whole file in another process.

    Raises:
        IngestError: `damaged_hdf5` where the library crashed or hung, otherwise the reason that the probe found.
    """
    if path.is_file():
        status = path.stat()
        answer = _answer(str(path.resolve()), status.st_size, status.st_mtime_ns)
        if answer:
            raise IngestError(answer["message"], reason=answer["reason"])


@lru_cache(maxsize=4096)
def _answer(path: str, size: int, changed_ns: int) -> dict[str, str]:
    del changed_ns  # only part of the cache key
    child = _child()
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(path) + "\n")
        child.stdin.flush()
        ready, _, _ = select.select([child.stdout], [], [], PATIENCE_S + size / BYTES_PER_S)
        line = child.stdout.readline() if ready else ""
    except OSError:
        line = ""
    if line:
        found: dict[str, str] = json.loads(line)
        return found
    _stop(child)
    message = f"{path}: the HDF5 library crashed or hung while reading it; the file is damaged"
    return {"reason": "damaged_hdf5", "message": message}


_CHILDREN: dict[int, subprocess.Popen[str]] = {}
"""By process id of the parent: a forked process starts its own."""


def _child() -> subprocess.Popen[str]:
    child = _CHILDREN.get(os.getpid())
    if child is None or child.poll() is not None:
        command = [sys.executable, "-c", "from counterpoint.ingest.hdf5.probe import serve; serve()"]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        _CHILDREN.clear()
        _CHILDREN[os.getpid()] = child
        atexit.register(_stop, child)
    return child


def _stop(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def serve() -> None:
    """Answer each path on standard input with one line of JSON, until the input ends."""
    for line in sys.stdin:
        path = Path(json.loads(line))
        _limit_memory(path.stat().st_size if path.is_file() else 0)
        answer = {}
        try:
            with opened(path) as file:
                _read_everything(file)
        except IngestError as error:
            reason = "absurd_size" if isinstance(error.__cause__, MemoryError) else error.reason
            answer = {"reason": reason, "message": str(error)} if reason in _FATAL else {}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


_FATAL = frozenset({"missing_file", "empty_file", "wrong_magic", "truncated", "damaged_hdf5", "absurd_size"})
"""Reasons for which the reader must not open the file; it finds other damage itself, item by item."""


def _limit_memory(size: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + min(SPARE_BYTES + 16 * size, MOST_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _read_everything(file: h5py.File) -> None:
    """Make every call that the reader makes; a refused dataset does not stop the others."""
    for holder in [file, *(each for name in names(file) if isinstance(each := _found(file, name), h5py.Group))]:
        dict(holder.attrs)
        for name in names(holder):
            member = _found(holder, name)
            found = datasets(holder, name) if isinstance(member, h5py.Group) else {name: member}
            for path, each in found.items():
                if isinstance(each, h5py.Dataset) and (is_series(each) or is_pictures(path, each)):
                    _try_reading(each, path)


def _found(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    try:
        return find(group, name)
    except IngestError:
        return None


def _try_reading(dataset: h5py.Dataset, path: str) -> None:
    try:
        read_array(dataset, path)
    except IngestError:
        return
    except OSError:  # a damaged chunk affects its own episode only; the reader finds it too
        return
