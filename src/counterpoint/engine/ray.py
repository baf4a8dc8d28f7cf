"""Tasks on a Ray cluster, joined by its address or started here.

Ray Data streams the tasks: it keeps as many in flight as there are CPUs, so that a million tasks do not fill
the object store. Tasks and results are sent as pickled bytes, one task per row.
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

from counterpoint.core.errors import ConfigError
from counterpoint.engine.progress import Progress
from counterpoint.engine.task import Done, Result, Task, TaskResult, WorkerDied, attempt, failed

CPUS_STARTED = 2
MOST_BLOCKS = 4096
"""Beyond this many tasks, rows share a block: a block costs Ray some milliseconds."""
OBJECT_STORE_BYTES = 256 * 2**20
"""Object store of a cluster that is started here; tasks and results are descriptions, never pixels."""


class RayEngine:
    """See `engine.task.Engine`."""

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        """Remember what to use; Ray is joined or started by `run`.

        Raises:
            ModuleNotFoundError: Ray is not installed.
        """
        import ray  # noqa: F401  # fails before any work is done where the extra is missing

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
        bar = Progress(label, total=len(ordered), unit=unit, shown=progress)
        self._join()
        with bar:
            _check_importable(function)
            missing = set(range(len(ordered)))
            for number, made in _stream(function, ordered, range(len(ordered)), self.workers):
                missing.discard(number)
                bar.update()
                yield made.done(ordered[number])
            for number in sorted(missing):  # they died with their process: retry each alone
                found = [made for _, made in _stream(function, ordered, [number], 1)]
                died: TaskResult[Result] = TaskResult(error=WorkerDied.of("on Ray"))
                bar.update()
                yield (found[0] if found else died).done(ordered[number])

    def _join(self) -> None:
        """Join or start Ray on first use; a cluster started here ends with this engine."""
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
    """Send the function to one worker, so that an error that concerns all tasks is reported once."""
    import ray

    try:
        ray.get(ray.remote(_receive).remote(function))
    except ray.exceptions.RayError as error:
        raise ConfigError(
            f"Ray's workers cannot import {function!r}. Install the same counterpoint on every node ({error})"
        ) from error


def _receive(_: object) -> None:
    """Take the function and do nothing."""


def _stream(
    function: Callable[[Task], Result], tasks: Sequence[Task], numbers: Sequence[int], workers: int | None
) -> Iterator[tuple[int, TaskResult[Result]]]:
    """Yield the result of each of `numbers` in any order, and nothing for those whose process died."""
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # missing tasks are found by their number
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    rows = [{"number": number, "task": pickle.dumps(tasks[number])} for number in numbers]
    data = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # deprecated without a successor; see the extra's limit
        applied = data.map(
            _Call(function),
            compute=ray.data.TaskPoolStrategy(size=workers),
            num_cpus=1,
            max_retries=0,  # otherwise a task that kills its process is retried for ever
        )
    for row in applied.iter_rows():
        yield int(row["number"]), pickle.loads(row["result"])  # our own bytes, made below


class _Call:
    """Applies the function to a row; an object, so that Ray sends the function once per worker."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        made: TaskResult[Any] = attempt(self._function, pickle.loads(row["task"]))  # made above
        try:
            data = pickle.dumps(made)
        except Exception as error:  # a result that cannot be pickled
            data = pickle.dumps(failed(error))
        return {"number": row["number"], "result": data}
