"""The list of items that could not be read: one line per path, item and reason, however often they are tried."""

from __future__ import annotations

import fcntl
import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from counterpoint.core.errors import StoreError

logger = logging.getLogger(__name__)

QUARANTINE = "quarantine.jsonl"


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """An item that could not be read."""

    path: str
    item: str
    """Empty where the whole source could not be opened."""
    reason: str
    """Stable code: `truncated`, `not_finite`, ..."""
    message: str


class QuarantineList:
    """`quarantine.jsonl` of a store; several processes may add to it."""

    def __init__(self, root: Path) -> None:
        """Read nothing yet."""
        self.path = root / QUARANTINE
        self._read_bytes = 0
        self._known: set[tuple[str, str, str]] = set()

    def add(self, bad: Quarantined) -> None:
        """Write a line unless it is already there.

        Raises:
            StoreError: the list cannot be written.
        """
        logger.warning("quarantined: %s: %s", bad.reason, bad.message)
        try:
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(self._read_bytes)
                torn = self._take(file.read())
                self._read_bytes = file.tell()
                if (bad.path, bad.item, bad.reason) in self._known:
                    return
                line = json.dumps({"time_s": round(time.time(), 3), **asdict(bad)})
                file.write((b"\n" if torn else b"") + line.encode() + b"\n")
        except OSError as error:
            raise StoreError(f"{self.path}: cannot write ({error.strerror})") from error

    def _take(self, data: bytes) -> bool:
        """Remember the lines that other processes wrote; return whether the last one is torn."""
        for line in data.splitlines():
            try:
                row = json.loads(line)
                self._known.add((row["path"], row["item"], row["reason"]))
            except (ValueError, TypeError, KeyError):
                logger.debug("%s: skipped a torn line", self.path)
        return bool(data) and not data.endswith(b"\n")
