"""What an engine does: apply one function to many tasks and hand back each result as it comes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar, get_args

from counterpoint.core.errors import IngestError, unknown_name

Task = TypeVar("Task")
Result = TypeVar("Result")
EngineName = Literal["local", "ray"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
WORKER_DIED = "worker_died"


@dataclass(frozen=True, kw_only=True)
class Done(Generic[Task, Result]):
    """One finished task."""

    task: Task
    result: Result | None
    """None where it failed."""
    error: str = ""
    """Why it failed, with the name of the error's class: what the function raised, or that its process died."""
    kind: str = ""
    """Class of the error: `IngestError`, `MemoryError`, ..., `WorkerDied`; empty where it did not fail."""
    reason: str = ""
    """Reason code of the error where it carries one; `worker_died` where the process died."""


@dataclass(frozen=True, kw_only=True)
class TaskResult(Generic[Result]):
    """What a process sends back of one task; an error travels as text, because not every error survives pickling."""

    result: Result | None = None
    error: str = ""
    kind: str = ""
    reason: str = ""

    def done(self, task: Task) -> Done[Task, Result]:
        """Return the finished task."""
        return Done(task=task, result=self.result, error=self.error, kind=self.kind, reason=self.reason)


def attempt(function: Callable[[Task], Result], task: Task) -> TaskResult[Result]:
    """Call the function and keep what it gives or raises; Ctrl-C passes through."""
    try:
        return TaskResult(result=function(task))
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> TaskResult[Result]:
    """Return the outcome of a task that raised `error`."""
    kind = type(error).__name__
    reason = error.reason if isinstance(error, IngestError) else ""
    return TaskResult(error=f"{kind}: {error}", kind=kind, reason=reason)


def died(how: str) -> TaskResult[Result]:
    """Return the outcome of a task whose process died twice, the second time with nothing beside it."""
    message = f"WorkerDied: the process that had this task died ({how}), and again when it was tried alone"
    return TaskResult(error=message, kind="WorkerDied", reason=WORKER_DIED)


class Engine(Protocol):
    """Applies a function to tasks; both must survive pickling, and the function must be importable.

    A task whose process dies (killed, out of memory, a crash in native code) is tried a second time,
    alone; so a function that leaves something behind must bear being called twice.
    """

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Collection[Task],
        *,
        label: str = "",
        unit: str = "episode",
        progress: bool = False,
    ) -> Iterator[Done[Task, Result]]:
        """Yield every task once, in the order in which they finish; a task that fails stops no other."""
        ...


def open_engine(name: EngineName = "local", *, workers: int | None = None, address: str | None = None) -> Engine:
    """Return the engine of that name.

    Args:
        name: `local`, a pool of processes, or `ray`.
        workers: processes; None for one a core, 1 for this process alone.
        address: Ray cluster to join; None starts one here.

    Raises:
        UnknownNameError: no such engine.
        ModuleNotFoundError: Ray is not installed.
    """
    from counterpoint.engine.local import LocalEngine

    match name:
        case "local":
            return LocalEngine(workers=workers)
        case "ray":
            from counterpoint.engine.ray import RayEngine

            return RayEngine(workers=workers, address=address)
    raise unknown_name("engine", name, ENGINES)
