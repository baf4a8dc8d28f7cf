"""A process that reads a file first: the HDF5 library loops or takes all memory on some spoilt files.

    reader --path--> probe (own process, memory and time limited) --"ok" or reason--> reader opens the file

About one in 80,000 files with a few changed bytes makes the library allocate without end inside one
call, which no check before it can see and no exception ends. What the probe has read whole, the
reader reads by the same calls. One probe serves a process; it ends with its standard input.
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
"""For a small file, and for the process to start; a busy machine must not make a whole file a damaged one."""
BYTES_PER_S = 2e7
"""More patience for larger files."""
SPARE_BYTES = 2**29
MOST_BYTES = 12 * 2**30


def probe(path: Path) -> None:
    """Return once the library has read the file whole in another process.

    Raises:
        IngestError: `damaged_hdf5` where it crashed or did not come back, else the reason that the probe found.
    """
    if path.is_file():
        status = path.stat()
        answer = _answer(str(path.resolve()), status.st_size, status.st_mtime_ns)
        if answer:
            raise IngestError(answer["message"], reason=answer["reason"])


@lru_cache(maxsize=4096)
def _answer(path: str, size: int, changed_ns: int) -> dict[str, str]:
    del changed_ns  # part of the key alone
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
    message = f"{path}: the HDF5 library crashed or did not come back on it; the file is damaged"
    return {"reason": "damaged_hdf5", "message": message}


_CHILDREN: dict[int, subprocess.Popen[str]] = {}
"""By process id of the parent: a forked parent starts its own."""


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
    """Answer one line of JSON a path on standard input, until it ends."""
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
"""Reasons for which the reader must not touch the file; others it finds itself, an item at a time."""


def _limit_memory(size: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + min(SPARE_BYTES + 16 * size, MOST_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _read_everything(file: h5py.File) -> None:
    """Make every call that the reader makes; what one dataset is refused for does not end the others."""
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
    except OSError:  # a chunk that does not unpack costs its own episode; the reader will find it too
        return
