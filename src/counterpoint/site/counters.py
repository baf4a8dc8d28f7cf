"""Counters of a receiver since it started, as text for monitoring systems."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

PREFIX = "counterpoint_site_"


class Counters:
    """Named totals; used from one event loop."""

    def __init__(self) -> None:
        """Start at zero."""
        self._values: Counter[str] = Counter()
        self._started_s = time.time()

    def add(self, name: str, count: int = 1) -> None:
        """Add to a total."""
        self._values[name] += count

    def get(self, name: str) -> int:
        """Return a total."""
        return self._values[name]

    def to_dict(self) -> dict[str, int]:
        """Return all totals by name."""
        return dict(sorted(self._values.items()))

    def to_text(self, gauges: Mapping[str, int]) -> str:
        """Return totals and `gauges` in the Prometheus text format, one per line."""
        values = {**self._values, **gauges, "uptime_seconds": int(time.time() - self._started_s)}
        return "".join(f"{PREFIX}{name} {value}\n" for name, value in sorted(values.items()))
