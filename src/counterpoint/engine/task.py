"""What an engine does: apply one function to many tasks and hand back each result as it comes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class TaskError(RuntimeError):
    """Stands in for an error that cannot be pickled: its message is the class and the text of that error."""


class WorkerDied(RuntimeError):
    """The process that ran a task died (killed, out of memory, a crash in native code), and so did its second try."""

    @classmethod
    def of(cls, how: str) -> WorkerDied:
        """Return the error; `how` says how the process ended, for example `signal 9`."""
        return cls(f"the process running this task died ({how}), and again when the task was retried alone")


@dataclass(frozen=True, kw_only=True)
class Done(Generic[Task, Result]):
    """One finished task."""

    task: Task
    result: Result | None
    """None where it failed."""
    error: Exception | None = None
    """What the function raised, WorkerDied, or TaskError; None where it did not fail. It carries no traceback."""

    @property
    def message(self) -> str:
        """Class and text of the error; empty where there is none."""
        return f"{type(self.error).__name__}: {self.error}" if self.error is not None else ""


@dataclass(frozen=True, kw_only=True)
class TaskResult(Generic[Result]):
    """What a process sends back of one task."""

    result: Result | None = None
    error: Exception | None = None

    def done(self, task: Task) -> Done[Task, Result]:
        """Return the finished task."""
        return Done(task=task, result=self.result, error=self.error)


def attempt(function: Callable[[Task], Result], task: Task) -> TaskResult[Result]:
    """Call the function and keep what it returns or raises; Ctrl-C passes through."""
    try:
        return TaskResult(result=function(task))
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> TaskResult[Result]:
    """Return the result of a task that raised `error`, in the form in which it can be sent between processes.

    The form is the same without processes, so that every engine gives the same error.
    """
    with suppress(Exception):  # whatever its class raises when it is pickled or rebuilt
        copy = pickle.loads(pickle.dumps(error))  # our own bytes
        if type(copy) is type(error) and str(copy) == str(error):
            return TaskResult(error=copy)
    return TaskResult(error=TaskError(f"{type(error).__name__}: {error}"))


class Engine(Protocol):
    """Applies a function to tasks; both must survive pickling, and the function must be importable.

    A task whose process dies is retried once, alone; so a function with side effects must tolerate being called twice.
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
        """Yield every task once, in the order in which they finish; a failed task does not stop the others."""
        ...
