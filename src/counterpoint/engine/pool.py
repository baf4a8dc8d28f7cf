"""Processes that take one task at a time, so that it is known what each of them held when it died.

`concurrent.futures.ProcessPoolExecutor` loses every task when one process dies, and cannot tell which
one killed it; here a pipe a process costs a few microseconds a task and says exactly that.

Stopping (Ctrl-C, an error, a caller that has enough) kills the processes at once: what they do is
committed by rename or not at all. If this process is killed, theirs end at their next task.
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

from counterpoint.engine.task import Result, Task, TaskResult, attempt, failed

_SPAWN = multiprocessing.get_context("spawn")
PATIENCE_S = 5.0
"""How long a process may take to go after its last task."""


@dataclass(eq=False)
class _Worker(Generic[Task]):
    process: SpawnProcess
    pipe: Connection
    held: list[Task] = field(default_factory=list)
    """The task it is at; none or one."""


class Pool(Generic[Task, Result]):
    """So many processes that apply one function; started as tasks come."""

    def __init__(self, function: Callable[[Task], Result], workers: int) -> None:
        """Start nothing yet."""
        self._function = function
        self._most = workers
        self._workers: list[_Worker[Task]] = []

    def __enter__(self) -> Pool[Task, Result]:
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the processes: kindly where nothing went wrong, at once where it did."""
        for worker in self._workers:
            if kind is not None or worker.held:
                worker.process.kill()
            worker.pipe.close()  # it reads the end of its tasks and goes
        for worker in self._workers:
            worker.process.join(PATIENCE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def is_busy(self) -> bool:
        """Whether any process is at a task."""
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

    def wait(self) -> list[tuple[Task, TaskResult[Result] | str]]:
        """Wait for the first tasks to end; a text instead of an outcome says how the process died."""
        by_pipe = {worker.pipe: worker for worker in self._workers if worker.held}
        return [self._receive(by_pipe[pipe]) for pipe in wait(list(by_pipe)) if isinstance(pipe, Connection)]

    def _receive(self, worker: _Worker[Task]) -> tuple[Task, TaskResult[Result] | str]:
        task = worker.held.pop()
        try:
            outcome: TaskResult[Result] = worker.pipe.recv()
            return task, outcome
        except (EOFError, OSError):  # its end of the pipe closed with it
            self._workers.remove(worker)
            worker.process.join(PATIENCE_S)
            code = worker.process.exitcode
            worker.pipe.close()
            return task, f"by signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _start(self) -> _Worker[Task]:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(theirs, self._function), daemon=True)
        with _ctrl_c_held_back():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process=process, pipe=ours))
        return self._workers[-1]


def _work(pipe: Connection, function: Callable[[Task], Result]) -> None:
    """Apply the function to what comes until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the mask it was started under holds for one thread alone
    while True:
        try:
            task: Task = pipe.recv()
        except (EOFError, OSError):
            return
        outcome: TaskResult[Result] = attempt(function, task)
        try:
            pipe.send(outcome)
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:  # a result that cannot be pickled
            pipe.send(failed(error))


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Start processes that never see Ctrl-C, which a terminal sends to all: the one who started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
