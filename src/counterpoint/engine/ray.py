"""Tasks on a Ray cluster through Ray Data: one that is joined by address, or one started here.

Ray Data streams the tasks: it keeps as many in flight as there are CPUs, so that a million tasks do
not fill the object store. Tasks and results travel as pickled bytes, a task a row.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from counterpoint.core.errors import ConfigError
from counterpoint.engine.task import Done, Result, Task, TaskResult, attempt, died, failed

CPUS_STARTED = 2
MOST_BLOCKS = 4096
"""Rows share a block beyond so many: a block costs Ray some milliseconds."""
OBJECT_STORE_BYTES = 256 * 2**20
"""Of a cluster that is started here; tasks and results are descriptions, never pixels."""


class RayEngine:
    """See `engine.task.Engine`."""

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        """Remember what to use; Ray is joined or started by `run`.

        Raises:
            ModuleNotFoundError: Ray is not installed.
        """
        import ray  # noqa: F401  # asks for the extra before any work is done

        self.workers = workers
        self.address = address

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
        ordered = list(tasks)
        if not ordered:
            return
        bar = tqdm(total=len(ordered), desc=label, unit=unit, disable=not progress)
        self._join()
        with bar:
            _check_importable(function)
            missing = set(range(len(ordered)))
            for number, outcome in _stream(function, ordered, range(len(ordered)), self.workers):
                missing.discard(number)
                bar.update()
                yield outcome.done(ordered[number])
            for number in sorted(missing):  # lost with their process: once more, each alone
                found = [outcome for _, outcome in _stream(function, ordered, [number], 1)]
                bar.update()
                yield (found[0] if found else died("on Ray")).done(ordered[number])

    def _join(self) -> None:
        """Join or start Ray at the first use; what was started here ends with this engine."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        if ray.is_initialized():
            return
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if self.address:
            ray.init(address=self.address, **quiet)
        else:
            ray.init(
                num_cpus=self.workers or CPUS_STARTED,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
                **quiet,
            )
        weakref.finalize(self, ray.shutdown)


def _check_importable(function: Callable[[Task], Result]) -> None:
    """Send the function to one worker, so that what concerns all tasks is one error and not one a task."""
    import ray

    try:
        ray.get(ray.remote(_receive).remote(function))
    except ray.exceptions.RayError as error:
        raise ConfigError(
            f"Ray's workers cannot import {function!r}; install the same counterpoint on every node ({error})"
        ) from error


def _receive(_: object) -> None:
    """Take the function and do nothing."""


def _stream(
    function: Callable[[Task], Result], tasks: Sequence[Task], numbers: Sequence[int], workers: int | None
) -> Iterator[tuple[int, TaskResult[Result]]]:
    """Yield the outcome of each of `numbers` in any order, and nothing for those whose process died."""
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # what is lost is found by its number
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    rows = [{"number": number, "task": pickle.dumps(tasks[number])} for number in numbers]
    data = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # deprecated without a successor; see the extra's limit
        applied = data.map(
            _Call(function),
            compute=ray.data.TaskPoolStrategy(size=workers),
            num_cpus=1,
            max_retries=0,  # else a task that kills its process is tried for ever
        )
    for row in applied.iter_rows():
        yield int(row["number"]), pickle.loads(row["outcome"])  # our own bytes, made below


class _Call:
    """Applies the function to a row; callable, so that Ray sends the function once a worker."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        outcome: TaskResult[Any] = attempt(self._function, pickle.loads(row["task"]))  # made above
        try:
            data = pickle.dumps(outcome)
        except Exception as error:  # a result that cannot be pickled
            data = pickle.dumps(failed(error))
        return {"number": row["number"], "outcome": data}
