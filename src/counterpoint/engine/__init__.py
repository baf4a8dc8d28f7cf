"""Running many independent tasks: in this process, in a pool of processes, or on a Ray cluster.

`Progress` is the one way in which long work anywhere in Counterpoint says how far it is.
The caller gives a function and a list of tasks. What they mean, and what each error means, is the caller's business.
"""

from counterpoint.engine.by_name import ENGINES, EngineName, open_engine
from counterpoint.engine.local import LocalEngine
from counterpoint.engine.progress import Progress, track, write_line
from counterpoint.engine.task import Done, Engine, TaskError, WorkerDied

__all__ = [
    "ENGINES",
    "Done",
    "Engine",
    "EngineName",
    "LocalEngine",
    "Progress",
    "TaskError",
    "WorkerDied",
    "open_engine",
    "track",
    "write_line",
]
