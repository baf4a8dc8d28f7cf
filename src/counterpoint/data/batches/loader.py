"""The loader: an endless iterator over batches, made ahead of need in a background process."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Iterator, Sequence
from types import TracebackType

from counterpoint.core.batch import Batch
from counterpoint.core.errors import CounterpointError
from counterpoint.data.batches.batches import BatchMaker, LoaderConfig
from counterpoint.data.batches.worker import Job, read_message, write_message
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.source import EpisodeSource

__all__ = ["Loader", "LoaderConfig"]

PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class Loader:
    """Iterates batches of steps start_step, start_step + 1, ... without end.

    The batch of a step depends on the seed and the step alone, not on workers or on where the run was
    resumed: to resume, pass the next step. Close it, or use it in a `with` block.
    """

    def __init__(
        self,
        sources: Sequence[EpisodeSource],
        processor: Processor,
        config: LoaderConfig | None = None,
        *,
        start_step: int = 0,
    ) -> None:
        """Select episodes now; start workers at the first `next`.

        Raises:
            ConfigError: the selection is empty. UnknownNameError: a robot that the processor does not know.
        """
        self.config = config or LoaderConfig()
        self.step = start_step
        """The step whose batch `next` returns."""
        self.maker = BatchMaker(sources, processor, self.config)
        """Makes the batch of any step in this process; knows the selected episodes."""
        self._sources = tuple(sources)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._first_step = start_step
        self._finalizer = weakref.finalize(self, _stop, self._workers)

    def batch(self, step: int) -> Batch:
        """Return the batch of any step, made in this process."""
        return self.maker.batch(step)

    @property
    def hours(self) -> dict[str, float]:
        """Hours of selected experience by robot."""
        return self.maker.hours

    @property
    def left_out_s(self) -> float:
        """Robot time of the selected episodes in which marks leave no decision, seconds."""
        return self.maker.left_out_s

    def __iter__(self) -> Iterator[Batch]:
        """Return itself."""
        return self

    def __next__(self) -> Batch:
        """Return the next batch.

        Raises:
            CounterpointError: an episode cannot be used, or a background process died.
        """
        batch = self._receive() if self.config.workers else self.maker.batch(self.step)
        self.step += 1
        return batch

    def close(self) -> None:
        """Stop the background processes; the next `next` would start them again."""
        _stop(self._workers)

    def __enter__(self) -> Loader:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _receive(self) -> Batch:
        if not self._workers:
            self._first_step = self.step
            for i in range(self.config.workers):
                self._workers.append(self._start(self.step + i))
        worker = self._workers[(self.step - self._first_step) % len(self._workers)]
        assert worker.stdout is not None
        try:
            message = read_message(worker.stdout)  # type: ignore[arg-type]  # IO[bytes] of a pipe is a BinaryIO
        except EOFError as error:
            code = worker.poll()
            self.close()
            raise CounterpointError(
                f"loader: the background process ended (exit code {code}) before step {self.step}; its messages are "
                "on stderr. Set loader.workers = 0 to see the cause in this process"
            ) from error
        answer = pickle.loads(message)
        if isinstance(answer, Exception):
            self.close()
            raise answer
        assert isinstance(answer, Batch)
        return answer

    def _start(self, first_step: int) -> subprocess.Popen[bytes]:
        """Start a worker and hand it its job."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        worker = subprocess.Popen(
            [sys.executable, "-c", "from counterpoint.data.batches.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        _widen(worker.stdout.fileno())
        job = Job(
            sources=self._sources,
            processor=self.maker.processor,
            config=self.config,
            first_step=first_step,
            stride=self.config.workers,
        )
        with contextlib.suppress(BrokenPipeError):  # reported when its first batch is read
            write_message(worker.stdin, pickle.dumps(sys.path))  # type: ignore[arg-type]  # as above
            write_message(worker.stdin, pickle.dumps(job, protocol=5))  # type: ignore[arg-type]  # as above
        return worker


def _widen(pipe: int) -> None:
    """Let a whole batch lie in the pipe, where the system allows it (Linux)."""
    try:
        import fcntl

        fcntl.fcntl(pipe, _F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, OSError):
        return


def _stop(workers: list[subprocess.Popen[bytes]]) -> None:
    while workers:
        worker = workers.pop()
        worker.terminate()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        worker.wait()
