"""Tasks on this machine: in this process, or in a pool of processes in which a crash costs one task."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator

from counterpoint.engine.pool import Pool
from counterpoint.engine.progress import track
from counterpoint.engine.task import Done, Result, Task, TaskResult, WorkerDied, attempt


class LocalEngine:
    """See `engine.task.Engine`."""

    def __init__(self, workers: int | None = None) -> None:
        """Use this many processes; None for one per core, 1 for this process alone."""
        self.workers = workers or len(os.sched_getaffinity(0))

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Collection[Task],
        *,
        label: str = "",
        unit: str = "episode",
        progress: bool = False,
    ) -> Iterator[Done[Task, Result]]:
        """Yield every task once, in the order in which they finish."""
        finished = _serial(function, tasks) if self.workers == 1 else _pooled(function, tasks, self.workers)
        yield from track(finished, label, total=len(tasks), unit=unit, shown=progress and bool(tasks))


def _serial(function: Callable[[Task], Result], tasks: Collection[Task]) -> Iterator[Done[Task, Result]]:
    for task in tasks:
        made: TaskResult[Result] = attempt(function, task)
        yield made.done(task)


def _pooled(function: Callable[[Task], Result], tasks: Collection[Task], workers: int) -> Iterator[Done[Task, Result]]:
    """Give every process one task at a time; tasks that died with their process are retried at the end, alone."""
    lost: list[Task] = []
    waiting = iter(tasks)
    with Pool(function, min(workers, len(tasks))) as pool:
        for task in waiting:
            if pool.is_full():
                yield from _arrived(pool, lost)
            pool.give(task)
        while pool.is_busy():
            yield from _arrived(pool, lost)
    for task in lost:
        with Pool(function, 1) as pool:
            pool.give(task)
            ((_, made),) = pool.wait()
        yield made.done(task)


def _arrived(pool: Pool[Task, Result], lost: list[Task]) -> Iterator[Done[Task, Result]]:
    for task, made in pool.wait():
        if isinstance(made.error, WorkerDied):
            lost.append(task)
        else:
            yield made.done(task)
