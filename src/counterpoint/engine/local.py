"""Tasks on this machine: in this process, or in processes of its own whose death costs one task."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator

from tqdm import tqdm

from counterpoint.engine.pool import Pool
from counterpoint.engine.task import Done, Result, Task, TaskResult, attempt, died


class LocalEngine:
    """See `engine.task.Engine`."""

    def __init__(self, workers: int | None = None) -> None:
        """Use so many processes; None for one a core, 1 for this process alone."""
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
        yield from tqdm(finished, total=len(tasks), desc=label, unit=unit, disable=not (progress and tasks))


def _serial(function: Callable[[Task], Result], tasks: Collection[Task]) -> Iterator[Done[Task, Result]]:
    for task in tasks:
        outcome: TaskResult[Result] = attempt(function, task)
        yield outcome.done(task)


def _pooled(function: Callable[[Task], Result], tasks: Collection[Task], workers: int) -> Iterator[Done[Task, Result]]:
    """Keep every process at one task; those that were lost with their process are tried again at the end, alone."""
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
            ((_, outcome),) = pool.wait()
        yield (died(outcome) if isinstance(outcome, str) else outcome).done(task)


def _arrived(pool: Pool[Task, Result], lost: list[Task]) -> Iterator[Done[Task, Result]]:
    for task, outcome in pool.wait():
        if isinstance(outcome, str):
            lost.append(task)
        else:
            yield outcome.done(task)
