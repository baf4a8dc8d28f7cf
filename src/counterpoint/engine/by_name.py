"""Opening an engine by the name that a user gives."""

from __future__ import annotations

from typing import Literal, get_args

from counterpoint.core.errors import unknown_name
from counterpoint.engine.local import LocalEngine
from counterpoint.engine.ray import RayEngine
from counterpoint.engine.task import Engine

EngineName = Literal["local", "ray"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


def open_engine(name: EngineName = "local", *, workers: int | None = None, address: str | None = None) -> Engine:
    """Return the engine of that name.

    Args:
        name: `local`, a pool of processes, or `ray`.
        workers: number of processes; None for one per core, 1 for this process alone.
        address: Ray cluster to join; None starts one here.

    Raises:
        UnknownNameError: no such engine.
        ModuleNotFoundError: Ray is not installed.
    """
    match name:
        case "local":
            return LocalEngine(workers=workers)
        case "ray":
            return RayEngine(workers=workers, address=address)
    raise unknown_name("engine", name, ENGINES)
