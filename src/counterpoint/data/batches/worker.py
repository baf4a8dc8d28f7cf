"""A background process that makes batches, an interpreter that runs `main`.

    parent --stdin-->  search path, then (sources, processor, config, first step, stride), pickled
    parent <--stdout-- one pickled message a batch, each behind its length (8 bytes, little-endian)

A fresh interpreter rather than a fork: it shares no threads and no locks with a parent that trains, and
a parent script needs no main guard. When either side dies, the other's pipe breaks and it ends.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from counterpoint.core.errors import CounterpointError
from counterpoint.data.batches.batches import BatchMaker, LoaderConfig
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.source import EpisodeSource

LENGTH_BYTES = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """What a worker has to do: the batches of steps first_step, first_step + stride, ..."""

    sources: Sequence[EpisodeSource]
    processor: Processor
    config: LoaderConfig
    first_step: int
    stride: int


def write_message(pipe: BinaryIO, message: bytes) -> None:
    """Write one message behind its length."""
    pipe.write(len(message).to_bytes(LENGTH_BYTES, "little"))
    pipe.write(message)
    pipe.flush()


def read_message(pipe: BinaryIO) -> bytes:
    """Read one message; raises EOFError where the other side is gone."""
    length = _read_exactly(pipe, LENGTH_BYTES)
    return _read_exactly(pipe, int.from_bytes(length, "little"))


def main() -> None:
    """Serve one job until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.path[:] = pickle.loads(read_message(source))
    ready: queue.Queue[bytes] = queue.Queue()
    try:
        job = _job(read_message(source))
        ready = queue.Queue(maxsize=job.config.prefetch)
        threading.Thread(target=_produce, args=(job, ready), daemon=True).start()
    except Exception as error:
        ready.put(_failure(error))
    try:
        while True:
            write_message(sink, ready.get())
    except BrokenPipeError:
        os._exit(0)


def _job(message: bytes) -> Job:
    try:
        job = pickle.loads(message)
    except (ImportError, AttributeError) as error:
        raise CounterpointError(
            f"loader: the background process cannot import an episode source ({error}); define its class in a module "
            "on the search path, or set loader.workers = 0"
        ) from error
    assert isinstance(job, Job)
    return job


def _produce(job: Job, ready: queue.Queue[bytes]) -> None:
    try:
        maker = BatchMaker(job.sources, job.processor, job.config)
        step = job.first_step
        while True:
            ready.put(pickle.dumps(maker.batch(step), protocol=5))
            step += job.stride
    except Exception as error:
        ready.put(_failure(error))


def _failure(error: Exception) -> bytes:
    """Pickle an error with where it happened; errors that do not survive pickling keep their message."""
    error.add_note("in the loader's background process:\n" + "".join(traceback.format_exception(error)))
    try:
        message = pickle.dumps(error)
        pickle.loads(message)
    except Exception:
        return pickle.dumps(CounterpointError(f"{type(error).__name__}: {error}"))
    return message


def _read_exactly(pipe: BinaryIO, count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError("the other side of the loader's pipe is gone")
    return data
