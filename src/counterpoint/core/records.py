"""Run records: append-only JSONL, the primary record of a run. TensorBoard and others mirror it.

Each line is one object with `kind` (config, metric, result, cost, note), `time_s` (Unix seconds) and
the fields given. A line cut short by a crash is ignored on reading.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Literal

from counterpoint.core.errors import CounterpointError

RecordKind = Literal["config", "metric", "result", "cost", "note"]
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class RunRecord:
    """Append records to `path`; safe to reopen after a crash."""

    def __init__(self, path: Path) -> None:
        """Open for appending, making parent folders; a torn last line is closed off first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        self._file = path.open("a", encoding="utf-8")
        if torn:
            self._file.write("\n")

    def write(self, kind: RecordKind, **fields: Json) -> None:
        """Append one record and flush it; numbers that are not finite are written as null."""
        record: Json = {"kind": kind, "time_s": round(time.time(), 3), **fields}
        self._file.write(json.dumps(finite_json(record), allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def finite_json(value: Json) -> Json:
    """Return `value` with every number that is not finite replaced by None, as JSON demands."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite_json(item) for item in value]
    return value


def read_records(path: Path, kind: RecordKind | None = None) -> list[dict[str, Json]]:
    """Return all whole records of `path`, of one `kind` if given; incomplete lines are ignored.

    Raises:
        CounterpointError: the file does not exist.
    """
    if not path.is_file():
        raise CounterpointError(f"{path}: no run record here; expected a JSONL file that a run wrote")
    records: list[dict[str, Json]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and (kind is None or record.get("kind") == kind):
            records.append(record)
    return records
