"""Functions that engines apply in the tests; importable by their processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from counterpoint.core.errors import IngestError, StoreError


class Entangled(Exception):
    """Cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.holds = lambda: text


class Mute(Exception):
    """Is pickled without complaint, and cannot be rebuilt."""

    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(f"{what}, {why}")


ERRORS: dict[str, Exception] = {
    "foreign": ValueError("three is refused"),
    "store": StoreError("disk full"),
    "torn": IngestError("five is torn", reason="truncated"),
    "entangled": Entangled("holds a function"),
    "mute": Mute("one", why="two"),
}


def raising(name: str) -> str:
    raise ERRORS[name]


def square(number: int) -> int:
    if number == 3:
        raise ValueError("three is refused")
    if number == 5:
        raise IngestError("five is torn", reason="truncated")
    return number * number


def deadly(number: int) -> int:
    """Kill the own process at 7 every time."""
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def deadly_once(path: str) -> str:
    """Kill the own process the first time."""
    mark = Path(path)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path


def unpicklable(_: int) -> object:
    return lambda: 0


def slow(folder: str) -> int:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)
    return 0


def process_id(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()
