"""The run table of a study: `runs.jsonl`, one line a run and robot, and from it `runs.csv`, one row a run.

`runs.csv` has the error of all robots together as `error`, that of a robot as `error_<robot>`, so that
`scale fit runs.csv` fits the former and `--loss error_ur5e` the latter.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from counterpoint.core.records import Json, RunRecord, read_records

TABLE = "runs.jsonl"
ALL = "all"
"""Name, in place of a robot's, of the rows of all robots together."""
OF_ROBOT = ("error", "reverse_kl", "hours")
"""Columns that are repeated for each robot."""


def read_rows(folder: Path) -> list[dict[str, Json]]:
    """Return the lines of the run table, without the record's own fields; none where there is no table yet."""
    path = folder / TABLE
    if not path.is_file():
        return []
    return [
        {key: value for key, value in row.items() if key not in ("kind", "time_s")}
        for row in read_records(path, "result")
    ]


def complete_runs(rows: Sequence[dict[str, Json]]) -> set[str]:
    """Return the names of the runs whose last line, that of all robots together, is there."""
    return {str(row["run"]) for row in rows if row["robot"] == ALL}


def append_rows(folder: Path, rows: Sequence[dict[str, Json]]) -> None:
    """Append a run's lines, that of all robots last, and write `runs.csv` anew."""
    kept = read_rows(folder)
    half_written = {str(row["run"]) for row in kept} - complete_runs(kept)
    record = RunRecord(folder / TABLE)
    try:
        done = {(str(row["run"]), str(row["robot"])) for row in kept if str(row["run"]) in half_written}
        for row in sorted(rows, key=lambda row: (row["robot"] == ALL, str(row["robot"]))):
            if (str(row["run"]), str(row["robot"])) not in done:
                record.write("result", **row)
    finally:
        record.close()
    write_csv(folder / "runs.csv", read_rows(folder))


def write_csv(path: Path, rows: Sequence[dict[str, Json]]) -> None:
    """Write one row a run; columns that no run has a value for are left out."""
    wide = sorted(wide_rows(rows), key=_place)
    columns = {name: None for row in wide for name, value in row.items() if value is not None}
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(wide)
    part.replace(path)


def wide_rows(rows: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
    """Return one row a complete run: that of all robots together, with `error_<robot>` and the like beside it."""
    wide = {str(row["run"]): dict(row) for row in rows if row["robot"] == ALL}
    for row in rows:
        if row["robot"] != ALL and str(row["run"]) in wide:
            own = {f"{name}_{row['robot']}": row[name] for name in OF_ROBOT if name in row}
            wide[str(row["run"])] |= own
    return list(wide.values())


def _place(row: dict[str, Json]) -> tuple[float, float, float]:
    return float(str(row["size"])), float(str(row["amount"])), float(str(row["seed"]))
