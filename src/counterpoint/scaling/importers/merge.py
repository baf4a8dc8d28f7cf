"""The table of runs on disk: reading it, merging new rows into it, writing it whole."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.runs.rows import PROVENANCE, ROLES, RUN, STEP, Row, Scalar, is_missing

FORMAT = "counterpoint.runs"
VERSION = 1


def merge(old: list[Row], new: list[Row], *, every: bool, replace_rows: bool) -> tuple[list[Row], Counter[str]]:
    """Return the rows of both, one a run (and step); newer ones take the place of older ones."""
    counts: Counter[str] = Counter()

    def key(row: Row) -> tuple[Scalar, Scalar]:
        return row[RUN], row.get(STEP) if every else None

    there: dict[tuple[Scalar, Scalar], list[Row]] = {}
    for row in old:
        there.setdefault(key(row), []).append(row)
    for row in new:
        own = there.get(key(row), [])
        same = [_values(each) == _values(row) for each in own]
        other = [each for each in own if each.get(PROVENANCE) != row.get(PROVENANCE)]
        if other and not all(same) and not replace_rows:
            raise ConfigError(
                f"run {row[RUN]!r} is already in the table with other values, from {other[0].get(PROVENANCE)}; "
                "separate "
                "the runs apart with --prefix NAME, or keep the new one with --replace"
            )
        if own and all(same) and len(own) == 1:
            counts["unchanged"] += 1
            row = own[0]
        else:
            counts["replaced" if own else "added"] += 1
        there[key(row)] = [row]
    rows = [row for each in there.values() for row in each]
    return sorted(rows, key=lambda row: (str(row[RUN]), _order(row.get(STEP)))), counts


def _values(row: Row) -> dict[str, str]:
    """Return what a row says, comparable: cells that are missing say nothing, 1 is 1.0."""
    return {
        name: repr(float(value) if isinstance(value, int) else value)
        for name, value in row.items()
        if name != PROVENANCE and not is_missing(value)
    }


def _order(step: Scalar) -> float:
    return float(step) if isinstance(step, int | float) else -1.0


def load_rows(into: Path) -> tuple[list[Row], dict[str, str]]:
    """Return a table's rows and which logged name plays which role; nothing where there is none. Raises ConfigError."""
    if not into.exists():
        return [], {}
    try:
        table = pq.read_table(into)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"--into {into}: exists and is not a Parquet table ({error}); name another file") from error
    metadata = (table.schema.metadata or {}).get(FORMAT.encode())
    if metadata is None:
        raise ConfigError(f"--into {into}: exists and is not a table that 'scale ingest' wrote; name another file")
    return table.to_pylist(), dict(json.loads(metadata)["columns"])


def save_rows(rows: Sequence[Row], columns: Mapping[str, str], into: Path) -> list[str]:
    """Write rows, whole or not at all; return warnings about columns of mixed types, which become text."""
    first = [RUN, STEP, *ROLES]
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [*(name for name in first if name in names), *sorted(set(names) - {*first, PROVENANCE}), PROVENANCE]
    arrays, mixed = {}, []
    for name in names:
        cells = [row.get(name) for row in rows]
        kinds = {type(cell) for cell in cells if cell is not None}
        if kinds <= {int, float} and len(kinds) == 2:
            cells = [None if cell is None else float(cell) for cell in cells]
        elif len(kinds) > 1:
            mixed.append(name)
            cells = [None if cell is None else str(cell) for cell in cells]
        elif kinds == {int} and max(abs(int(cell)) for cell in cells if cell is not None) >= 2**63:
            cells = [None if cell is None else float(cell) for cell in cells]
        arrays[name] = pa.array(cells)
    metadata = json.dumps({"format": FORMAT, "version": VERSION, "columns": dict(columns)})
    table = pa.table(arrays).replace_schema_metadata({FORMAT: metadata})
    into.parent.mkdir(parents=True, exist_ok=True)
    part = into.with_name(f"{into.name}.part")
    pq.write_table(table, part, compression="zstd")
    os.replace(part, into)
    return [f"columns of mixed types are kept as text: {', '.join(mixed[:5])}"] if mixed else []
