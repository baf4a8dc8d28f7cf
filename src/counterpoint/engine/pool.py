"""Processes that take one task at a time, so that the pool knows which task each of them had when it died.

`concurrent.futures.ProcessPoolExecutor` loses every task when one process dies, and cannot tell which task
killed it. Here each process has its own pipe, which costs a few microseconds per task.

Stopping (Ctrl-C, an error, a caller that has enough) kills the processes at once: their work is committed by
rename or not at all. If this process is killed, the others end at their next task.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Generic

from counterpoint.engine.task import Result, Task, TaskResult, WorkerDied, attempt, failed

_SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 5.0
"""How long a process may take to exit after its last task."""


@dataclass(eq=False)
class _Worker(Generic[Task]):
    process: SpawnProcess
    pipe: Connection
    held: list[Task] = field(default_factory=list)
    """The task it is working on; none or one."""


class Pool(Generic[Task, Result]):
    """Up to `workers` processes that apply one function; they are started as tasks come."""

    def __init__(self, function: Callable[[Task], Result], workers: int) -> None:
        """Start nothing yet."""
        self._function = function
        self._most = workers
        self._workers: list[_Worker[Task]] = []

    def __enter__(self) -> Pool[Task, Result]:
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the processes: let them finish where nothing went wrong, kill them where something did."""
        for worker in self._workers:
            if kind is not None or worker.held:
                worker.process.kill()
            worker.pipe.close()  # it reads end of file and exits
        for worker in self._workers:
            worker.process.join(PATIENCE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def is_busy(self) -> bool:
        """Whether any process is working on a task."""
        return any(worker.held for worker in self._workers)

    def is_full(self) -> bool:
        """Whether no process is free and no more may be started."""
        return len(self._workers) >= self._most and all(worker.held for worker in self._workers)

    def give(self, task: Task) -> None:
        """Hand a task to a free process, starting one where none is free."""
        worker = next((each for each in self._workers if not each.held), None) or self._start()
        worker.held.append(task)
        with suppress(BrokenPipeError, ConnectionResetError):  # it died while it was idle: `wait` finds out
            worker.pipe.send(task)

    def wait(self) -> list[tuple[Task, TaskResult[Result]]]:
        """Wait until at least one task ends; its error is WorkerDied where its process died."""
        by_pipe = {worker.pipe: worker for worker in self._workers if worker.held}
        return [self._receive(by_pipe[pipe]) for pipe in wait(list(by_pipe)) if isinstance(pipe, Connection)]

    def _receive(self, worker: _Worker[Task]) -> tuple[Task, TaskResult[Result]]:
        task = worker.held.pop()
        try:
            made: TaskResult[Result] = worker.pipe.recv()
            return task, made
        except (EOFError, OSError):  # its end of the pipe closed with it
            self._workers.remove(worker)
            worker.process.join(PATIENCE_S)
            code = worker.process.exitcode
            worker.pipe.close()
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            return task, TaskResult(error=WorkerDied.of(how))

    def _start(self) -> _Worker[Task]:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(theirs, self._function), daemon=True)
        with _ctrl_c_held_back():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process=process, pipe=ours))
        return self._workers[-1]


def _work(pipe: Connection, function: Callable[[Task], Result]) -> None:
    """Apply the function to each task until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the mask it was started with covers one thread only
    while True:
        try:
            task: Task = pipe.recv()
        except (EOFError, OSError):
            return
        made: TaskResult[Result] = attempt(function, task)
        try:
            pipe.send(made)
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:  # a result that cannot be pickled
            pipe.send(failed(error))


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Start processes that ignore the Ctrl-C that a terminal sends to all; the process that started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
