"""Windows made ahead of need by background processes, in the same order as without them.

    parent --stdin-->  search path, job (dataset, seed, shard), then one byte for each window taken
    parent <--stdout-- one pickled window a message, each behind its length; pictures through shared memory

A process may be at most `prefetch` windows ahead of what was taken from it, so memory is bounded however slow the
training is. Processes are fresh interpreters, as in `worker`: no threads or locks are inherited, and a script needs
no main guard.
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
from typing import BinaryIO

from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.data.batches.dataset import WindowDataset
from counterpoint.data.batches.stream_window import StreamWindow
from counterpoint.data.batches.window_stream import Shard, StreamState
from counterpoint.data.batches.window_wire import Arena, new_arena
from counterpoint.data.batches.worker import read_message, write_message

TAKEN = b"\x01"


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowJob:
    """What one background process makes."""

    dataset: WindowDataset
    seed: int
    start: int
    shard: Shard
    prefetch: int
    arena: int
    """Descriptor of the shared memory, `prefetch` slots."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Maker:
    """A background process as its parent sees it."""

    process: subprocess.Popen[bytes]
    arena: Arena
    numbers: Iterator[int]
    """Windows read from it are counted from 0."""


class WindowLoader(Iterator[StreamWindow]):
    """The windows that `dataset.stream(seed, start=, rank=, world=)` gives, made by several processes.

    Close it, or use it in a `with` block. Processes start at the first `next`.
    """

    def __init__(
        self,
        dataset: WindowDataset,
        seed: int,
        *,
        workers: int = 2,
        prefetch: int = 4,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Keep the choice.

        Args:
            dataset: where windows come from.
            seed: of the order.
            workers: processes, at least 1.
            prefetch: most windows that each process makes ahead, at least 1.
            start: first position.
            rank: number of this reader among `world` of them.
            world: how many readers share the positions.

        Raises:
            ConfigError: a number is out of range.
        """
        if workers < 1 or prefetch < 1 or start < 0:
            raise ConfigError(
                "loader: expected workers and prefetch of at least 1 and a start from 0 up; got "
                f"{workers}, {prefetch}, {start}"
            )
        self._dataset, self._seed, self._prefetch = dataset, seed, prefetch
        self._shards = [Shard(rank=rank, world=world, worker=worker, workers=workers) for worker in range(workers)]
        self._world = world
        self._position = Shard(rank=rank, world=world).first(start)
        self._processes: list[_Maker] = []
        self._finalizer = weakref.finalize(self, _stop, self._processes)

    @property
    def state(self) -> StreamState:
        """Where to go on: pass its seed and position to a new loader or stream."""
        return StreamState(seed=self._seed, position=self._position)

    def __next__(self) -> StreamWindow:
        """Return the next window.

        Raises:
            StoreError: an episode is damaged; asking again gives the window after it.
            CounterpointError: a process died.
        """
        if not self._processes:
            self._processes.extend(self._started(shard) for shard in self._shards)
        turn = next(i for i, s in enumerate(self._shards) if s.first(self._position) == self._position)
        maker = self._processes[turn]
        process = maker.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            message = read_message(process.stdout)  # type: ignore[arg-type]  # IO[bytes] of a pipe is a BinaryIO
        except EOFError as error:
            code = process.poll()
            self.close()
            raise CounterpointError(
                f"loader: a background process ended (exit code {code}) before position {self._position}; its "
                "messages are on stderr. Use dataset.stream to see the cause in this process"
            ) from error
        answer = maker.arena.unpacked(next(maker.numbers), message)
        with contextlib.suppress(BrokenPipeError):  # seen when the next window is read
            process.stdin.write(TAKEN)
            process.stdin.flush()
        self._position += self._world
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, StreamWindow)
        return answer

    def close(self) -> None:
        """Stop the processes; the next `next` would start them again, where it was."""
        _stop(self._processes)

    def __enter__(self) -> WindowLoader:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _started(self, shard: Shard) -> _Maker:
        descriptor = new_arena(self._prefetch)
        try:
            arena = Arena(descriptor, self._prefetch)
            process = subprocess.Popen(
                [sys.executable, "-c", "from counterpoint.data.batches.prefetch import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(descriptor,),
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        finally:
            os.close(descriptor)
        assert process.stdin is not None
        job = WindowJob(
            dataset=self._dataset,
            seed=self._seed,
            start=self._position,
            shard=shard,
            prefetch=self._prefetch,
            arena=descriptor,
        )
        with contextlib.suppress(BrokenPipeError):  # reported when its first window is read
            write_message(process.stdin, pickle.dumps(sys.path))  # type: ignore[arg-type]  # as above
            write_message(process.stdin, pickle.dumps(job, protocol=5))  # type: ignore[arg-type]  # as above
        return _Maker(process=process, arena=arena, numbers=count())


def serve(job: WindowJob, source: BinaryIO, sink: BinaryIO) -> None:
    """Write windows to `sink`, never more than `job.prefetch` ahead of the bytes in `source`, until either ends."""
    room = threading.Semaphore(job.prefetch)
    closed = threading.Event()

    def count_taken() -> None:
        while source.read(1):
            room.release()
        closed.set()
        room.release()

    threading.Thread(target=count_taken, daemon=True).start()
    shard = job.shard
    stream = job.dataset.stream(
        job.seed, start=job.start, rank=shard.rank, world=shard.world, worker=shard.worker, workers=shard.workers
    )
    arena = Arena(job.arena, job.prefetch)
    for number in count():
        room.acquire()
        if closed.is_set():
            return
        answer: StreamWindow | Exception
        try:
            answer = next(stream)
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
    job = pickle.loads(read_message(source))
    assert isinstance(job, WindowJob)
    serve(job, source, sink)
    os._exit(0)  # a thread may still wait for bytes


def _portable(error: Exception) -> Exception:
    """Return an error that survives pickling, with where it happened."""
    error.add_note("in the loader's background process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return CounterpointError(f"{type(error).__name__}: {error}")
    return error


def _stop(makers: list[_Maker]) -> None:
    for maker in makers:
        maker.process.kill()
    for maker in makers:
        for pipe in (maker.process.stdin, maker.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        maker.process.wait()
        maker.arena.close()
    makers.clear()
