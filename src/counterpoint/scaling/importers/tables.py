"""Tables that hold runs already (CSV, Parquet, JSON lines), and Counterpoint's own run records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json, read_records
from counterpoint.scaling.runs.roles import NAMES
from counterpoint.scaling.runs.rows import PROVENANCE, RUN, STEP, Logged, LoggedRun, Row, Scalar, flat, nearest
from counterpoint.scaling.runs.study_table import ALL, TABLE, wide_rows
from counterpoint.scaling.runs.table import read_columns

STEPS = ("step", "_step", "global_step", "iteration", "checkpoint")
RECORD = "metrics.jsonl"
_MAX_FOLDERS = 100_000


def read_table(path: Path, run: str | None = None, step: str | None = None) -> Logged:
    """Return the rows of a CSV, Parquet or JSON lines table.

    Rows without a name of a run are runs of their own, named after the file and the row's number.

    Raises:
        ConfigError: no table, a named column is missing, or one run stands in several rows that no step tells apart.
    """
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        columns = json_columns(path)
    else:
        columns = {name: cast("list[Scalar]", column.tolist()) for name, column in read_columns(path).items()}
    count = len(next(iter(columns.values()), []))
    if not count:
        raise ConfigError(f"{path}: no rows; expected one a run, or one a checkpoint")
    run_column, step_column = _named(path, run, NAMES["run"], columns), _named(path, step, STEPS, columns)
    names = columns[run_column] if run_column else [f"{path.stem}-{row + 1}" for row in range(count)]
    steps = (
        [None] * count if step_column is None else [_step(path, row, columns[step_column][row]) for row in range(count)]
    )
    kept = [name for name in columns if name not in (run_column, step_column, PROVENANCE)]
    rows: list[Row] = []
    seen: dict[tuple[str, int | None], int] = {}
    copies = 0
    for row in range(count):
        key = (str(names[row]), steps[row])
        if names[row] is None or names[row] == "":
            raise ConfigError(
                f"{path}: row {row + 1} has no name of a run in column {run_column!r}; give every row one"
            )
        found: Row = {name: columns[name][row] for name in kept}
        found |= {RUN: key[0], PROVENANCE: str(path.resolve())}
        if key[1] is not None:
            found[STEP] = key[1]
        if key in seen:
            if repr(rows[seen[key]]) != repr(found):
                raise ConfigError(
                    f"{path}: rows {row + 1} and an earlier one are both run {key[0]!r}"
                    f"{'' if key[1] is None else f' at step {key[1]}'} and differ; tell them apart with "
                    "--map step=COLUMN or --map run=COLUMN"
                )
            copies += 1
            continue
        seen[key] = len(rows)
        rows.append(found)
    warnings = (f"{path}: {copies} rows are duplicates; each is taken once",) if copies else ()
    return Logged(rows=tuple(rows), warnings=warnings)


def json_columns(path: Path) -> dict[str, list[Scalar]]:
    """Return the columns of JSON lines, or of one JSON list of objects; nested objects as `outer.inner`."""
    objects = [flat(each) for each in json_objects(path)]
    names = list(dict.fromkeys(name for each in objects for name in each))
    return {name: [each.get(name) for each in objects] for name in names}


def json_objects(path: Path) -> list[dict[str, Json]]:
    """Return the objects of JSON lines, or of one JSON list; raises ConfigError naming the line that is damaged."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); expected JSON or JSON lines") from error
    try:
        whole = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        listed = [whole[key] for key in ("runs", "history", "data") if isinstance(whole.get(key), list)]
        whole = listed[0] if listed else [whole]
    if isinstance(whole, list):
        found = whole
    else:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        found = [_line(path, number, line) for number, line in lines]
    if not found or not all(isinstance(each, dict) for each in found):
        raise ConfigError(
            f"{path}: expected JSON objects, one a run or a step; got {type(found[0]).__name__ if found else 'none'}"
        )
    return cast("list[dict[str, Json]]", found)


def is_record(path: Path) -> bool:
    """Whether a JSON lines file is a run record of Counterpoint."""
    if path.suffix.lower() not in (".jsonl", ".ndjson") or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline(1 << 22)
    return first.startswith('{"kind"') and '"time_s"' in first


def read_own(path: Path, *, histories: bool = False) -> Logged:
    """Return what run records hold: a file, the run table of a study, or every `metrics.jsonl` below a folder.

    Training records give runs with series; records of results give a row each. A study's run table has held-out
    errors; its training curves, without the trials of learning rates, are read where `histories` is set.

    Raises:
        ConfigError: no record is there.
    """
    if path.is_file():
        return _record(path, path.parent.name)
    if (path / TABLE).is_file():
        if not histories:
            return _record(path / TABLE, path.resolve().name)
        path = path / "runs"
    files = sorted(path.rglob(RECORD))[:_MAX_FOLDERS]
    if not files:
        raise ConfigError(
            f"{path}: no run records ({RECORD}) in this folder; for others write tensorboard:{path} or mlflow:{path}"
        )
    found = [_record(file, _run_name(path, file.parent)) for file in files]
    return Logged(
        runs=tuple(run for each in found for run in each.runs),
        rows=tuple(row for each in found for row in each.rows),
        warnings=tuple(warning for each in found for warning in each.warnings),
    )


def _record(path: Path, name: str) -> Logged:
    settings: dict[str, Scalar] = {}
    series: dict[str, dict[int, float]] = {}
    results: list[dict[str, Scalar]] = []
    for record in read_records(path):
        kind = record.get("kind")
        fields = flat({key: value for key, value in record.items() if key not in ("kind", "time_s")})
        if kind == "config":
            settings |= {key.removeprefix("config."): value for key, value in fields.items()}
        elif kind == "result":
            results.append(fields)
        elif kind == "metric" and isinstance(step := fields.pop("step", None), int):
            for key, value in fields.items():
                if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
                    series.setdefault(key, {})[step] = float("nan") if value is None else float(value)
    where = str(path.resolve())
    if series:
        for fields in results:
            settings |= {key: value for key, value in fields.items() if key not in series}
        return Logged(runs=(LoggedRun(name=name, provenance=where, settings=settings, series=series),))
    if not results:
        return Logged(warnings=(f"{path}: a record without metrics and results; left out",))
    if any(fields.get("robot") == ALL and "run" in fields for fields in results):
        return _of_study(path, [cast("dict[str, Json]", fields) for fields in results if "run" in fields])
    several: list[Row] = []
    for place, fields in enumerate(results):
        own = fields.get("run", name if len(results) == 1 else f"{name}-{place + 1}")
        part = fields.get("robot")
        run = str(own) if part is None else f"{own}/{part}"
        several.append({**settings, **fields, RUN: run, PROVENANCE: where})
    return Logged(rows=tuple(several))


def _of_study(path: Path, results: list[dict[str, Json]]) -> Logged:
    """Return one row a run of a study, which writes a line a run and robot."""
    rows = wide_rows(results)
    half = len({str(row["run"]) for row in results}) - len(rows)
    return Logged(
        rows=tuple({**cast(Row, row), RUN: str(row["run"]), PROVENANCE: str(path.resolve())} for row in rows),
        warnings=(f"{path}: {half} runs without a line of all robots left out; they are not finished",) if half else (),
    )


def _run_name(root: Path, folder: Path) -> str:
    inner = folder.relative_to(root).as_posix()
    return folder.resolve().name if inner == "." else inner.removesuffix("/train")


def _named(path: Path, asked: str | None, names: Sequence[str], columns: dict[str, list[Scalar]]) -> str | None:
    if asked is not None:
        if asked not in columns:
            raise ConfigError(f"{path}: no column {asked!r}; {nearest(asked, columns)}")
        return asked
    by_lower = {name.lower(): name for name in columns}
    return next((by_lower[each] for each in names if each in by_lower), None)


def _step(path: Path, row: int, value: Scalar) -> int | None:
    if value is None or value == "" or value != value:
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: row {row + 1}: step is {value!r}, expected a number") from error


def _line(path: Path, number: int, line: str) -> Json:
    try:
        return cast(Json, json.loads(line))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: line {number} is not JSON ({error}); correct it or leave it out") from error
