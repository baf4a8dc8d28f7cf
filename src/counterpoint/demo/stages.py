"""Stages that are timed and recorded, and skipped when the demo runs again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from counterpoint.core.records import RunRecord, read_records


class Stages:
    """The stages of one folder; `stages.jsonl` records which are done and how long they took."""

    def __init__(self, out: Path, *, total: int, cores: int, say: Callable[[str], None]) -> None:
        """Read which stages are done. `total` is their number, `cores` goes on record, `say` shows one line."""
        path = out / "stages.jsonl"
        self.seconds: dict[str, float] = {}
        if path.is_file():
            self.seconds = {str(row["stage"]): float(str(row["seconds"])) for row in read_records(path, "cost")}
        self._record = RunRecord(path)
        self._total, self._number, self._cores, self._say = total, 0, cores, say

    def run(self, name: str, promise: str, work: Callable[[], str]) -> None:
        """Do `work` unless the stage `name` is done; `work` returns one sentence on its result."""
        self._number += 1
        head = f"[{self._number}/{self._total}] {name}"
        if name in self.seconds:
            self._say(f"{head}: already done in {self.seconds[name]:.0f} s")
            return
        self._say(f"{head}: {promise}")
        start = time.monotonic()
        outcome = work()
        self.seconds[name] = round(time.monotonic() - start, 2)
        self._record.write("cost", stage=name, seconds=self.seconds[name], cores=self._cores, outcome=outcome)
        self._say(f"      {outcome} ({self.seconds[name]:.0f} s)")

    def close(self) -> None:
        """Close the record."""
        self._record.close()


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
