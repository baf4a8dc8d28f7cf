"""The table of tasks, simplest first. A new task is one file here and one line in `TASKS`."""

from __future__ import annotations

from counterpoint.core.errors import unknown_name
from counterpoint.sim.task import Task
from counterpoint.sim.tasks import conveyor, lift, lift_box, pick_place, push, reach, track

TASKS: dict[str, Task] = {
    "reach": reach.TASK,
    "track": track.TASK,
    "push": push.TASK,
    "lift": lift.TASK,
    "pick_place": pick_place.TASK,
    "conveyor": conveyor.TASK,
    "lift_box": lift_box.TASK,
}


def load_task(name: str) -> Task:
    """Return the task of that name.

    Raises:
        UnknownNameError: there is none; the message offers the nearest names.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
