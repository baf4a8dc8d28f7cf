"""Making items ahead of need in background processes: the same items in the same order as without them.

    parent --stdin-->  search path, then the job, pickled; then a byte for each item that was taken
    parent <--stdout-- one pickled message an item, behind its length (8 bytes, little-endian)
    parent <--memory-- the large arrays of an item (see `shared`)

Each process is a fresh interpreter rather than a fork: it shares no threads and no locks with a parent that trains
or talks to object storage, and a parent script needs no main guard. Each makes every n-th item and takes turns with
the others, never more than `prefetch` ahead of what the parent took. When either side dies, the other's pipe breaks
and it ends.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import IO, Generic, Protocol, TypeVar

from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.data.batches.shared import Arena, new_arena, packed_alone

LENGTH_BYTES = 8
TAKEN = b"\x01"

Item = TypeVar("Item")
Made = TypeVar("Made", covariant=True)


class Items(Protocol[Made]):
    """Items by number, from 0 without end; it must survive pickling where background processes make them."""

    def __getitem__(self, number: int) -> Made:
        """Return an item."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """What one background process makes: items first, first + stride, ..."""

    items: Items[object]
    first: int
    stride: int
    prefetch: int
    arena: int
    """Descriptor of the shared memory, `prefetch` slots."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Worker:
    """A background process as its parent sees it."""

    process: subprocess.Popen[bytes]
    arena: Arena
    numbers: Iterator[int]
    """Items read from it are counted from 0."""


class Loader(Generic[Item]):
    """Iterates items `start`, `start + 1`, ... without end.

    An item depends on its number alone, not on workers or on where a run was resumed: to resume, pass `position` as
    the next start. Close it, or use it in a `with` block. Processes start at the first `next`.
    """

    def __init__(self, items: Items[Item], *, start: int = 0, workers: int = 1, prefetch: int = 4) -> None:
        """Keep the choice.

        Args:
            items: makes an item from its number.
            start: first item.
            workers: background processes; 0 makes items in the calling process.
            prefetch: most items that each process makes ahead, at least 1.

        Raises:
            ConfigError: a number is out of range.
        """
        if workers < 0 or prefetch < 1 or start < 0:
            raise ConfigError(
                f"loader: expected workers and start from 0 up and prefetch of at least 1, got {workers}, {start}, "
                f"{prefetch}"
            )
        self.position = start
        """Number of the item that `next` returns."""
        self._items, self._num_workers, self._prefetch = items, workers, prefetch
        self._workers: list[_Worker] = []
        self._first = start
        self._finalizer = weakref.finalize(self, _stop, self._workers)

    def __iter__(self) -> Iterator[Item]:
        """Return itself."""
        return self

    def __next__(self) -> Item:
        """Return the next item.

        Raises:
            CounterpointError: what making the item raised (asking again gives the item after it), or a process died.
        """
        if not self._num_workers:
            self.position += 1
            return self._items[self.position - 1]
        if not self._workers:
            self._first = self.position
            self._workers.extend(self._started(self.position + place) for place in range(self._num_workers))
        worker = self._workers[(self.position - self._first) % self._num_workers]
        answer = self._received(worker)
        self.position += 1
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]  # the worker sends items and exceptions alone

    def close(self) -> None:
        """Stop the background processes; the next `next` would start them again, where it was."""
        _stop(self._workers)

    def __enter__(self) -> Loader[Item]:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _received(self, worker: _Worker) -> object:
        process = worker.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            message = read_message(process.stdout)
        except EOFError as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            code = process.returncode
            self.close()
            raise CounterpointError(
                f"loader: a background process ended (exit code {code}) before item {self.position}; its messages are "
                "on stderr. Set the number of workers to 0 to see the cause in this process"
            ) from error
        answer = worker.arena.unpacked(next(worker.numbers), message)
        with contextlib.suppress(BrokenPipeError):  # seen when the next item is read
            process.stdin.write(TAKEN)
            process.stdin.flush()
        return answer

    def _started(self, first: int) -> _Worker:
        descriptor = new_arena(self._prefetch)
        try:
            arena = Arena(descriptor, self._prefetch)
            process = subprocess.Popen(
                [sys.executable, "-c", "from counterpoint.data.batches.loader import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(descriptor,),
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        finally:
            os.close(descriptor)
        assert process.stdin is not None
        job = Job(items=self._items, first=first, stride=self._num_workers, prefetch=self._prefetch, arena=descriptor)
        with contextlib.suppress(BrokenPipeError):  # reported when its first item is read
            write_message(process.stdin, pickle.dumps(sys.path))
            write_message(process.stdin, pickle.dumps(job, protocol=5))
        return _Worker(process=process, arena=arena, numbers=count())


def serve(job: Job, source: IO[bytes], sink: IO[bytes]) -> None:
    """Write items to `sink`, never more than `job.prefetch` ahead of the bytes in `source`, until either ends."""
    room = threading.Semaphore(job.prefetch)
    closed = threading.Event()

    def count_taken() -> None:
        while source.read(1):
            room.release()
        closed.set()
        room.release()

    threading.Thread(target=count_taken, daemon=True).start()
    arena = Arena(job.arena, job.prefetch)
    for number in count():
        room.acquire()
        if closed.is_set():
            return
        try:
            answer = job.items[job.first + number * job.stride]
        except Exception as error:
            answer = _portable(error)
        try:
            write_message(sink, arena.packed(number, answer))
        except BrokenPipeError:
            return


def main() -> None:
    """Serve one job until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.path[:] = pickle.loads(read_message(source))
    try:
        job = pickle.loads(read_message(source))
    except (ImportError, AttributeError) as error:
        explained = CounterpointError(
            f"loader: a background process cannot import what it needs ({error}); define the class of an episode "
            "source in a module on the search path, or set the number of workers to 0"
        )
        write_message(sink, packed_alone(explained))
    else:
        assert isinstance(job, Job)
        serve(job, source, sink)
    os._exit(0)  # a thread may still wait for bytes


def write_message(pipe: IO[bytes], message: bytes) -> None:
    """Write one message behind its length."""
    pipe.write(len(message).to_bytes(LENGTH_BYTES, "little"))
    pipe.write(message)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> bytes:
    """Read one message; raises EOFError where the other side is gone."""
    return _read_exactly(pipe, int.from_bytes(_read_exactly(pipe, LENGTH_BYTES), "little"))


def _read_exactly(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError("the other side of the loader's pipe is gone")
    return data


def _portable(error: Exception) -> Exception:
    """Return an error that survives pickling, with where it happened."""
    error.add_note("in the loader's background process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return CounterpointError(f"{type(error).__name__}: {error}")
    return error


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        worker.process.wait()
        worker.arena.close()
    workers.clear()
