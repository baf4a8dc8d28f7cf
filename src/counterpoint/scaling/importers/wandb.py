"""Files that Weights & Biases exports, without its package.

    table of runs (CSV)       Name, State, ..., one column a setting and a summary value
    chart (CSV)               Step or another axis, "RUN - METRIC", "RUN - METRIC__MIN", "RUN - METRIC__MAX", ...
    history (CSV, JSON)       _step, metrics; one file a run, or with a column of the run's name
    runs (JSON, JSON lines)   {"name", "config", "summary", "history": [...]} each

A run whose state is crashed, failed or killed stays; its state is a column, so `--drop` of `scale fit` can take it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.importers.tables import STEPS, json_objects, read_table
from counterpoint.scaling.runs.rows import RUN, Logged, LoggedRun, Scalar, flat
from counterpoint.scaling.runs.table import read_columns

_BY_RUN = " - "
_BROKEN = ("crashed", "failed", "killed")
_EDGES = ("__MIN", "__MAX")
_PARTS = ("config", "summary", "summaryMetrics", "summary_metrics", "history")


def read_export(path: Path, run: str | None = None, step: str | None = None) -> Logged:
    """Return the runs of an exported file; raises ConfigError where it is none."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; expected a CSV, JSON or JSON lines export of Weights & Biases")
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        objects = json_objects(path)
        if any(part in each for each in objects for part in _PARTS):
            return Logged(runs=tuple(_run(path, place, each) for place, each in enumerate(objects)))
        if "_step" in objects[0] and not {"run", "run_id", "run_name", "name"} & {key.lower() for key in objects[0]}:
            return Logged(runs=(_history(path, objects),))
        return read_table(path, run, step)
    columns = read_columns(path)
    others = list(columns)[1:]
    if others and all(_BY_RUN in name for name in others):
        return _chart(path, {name: cast("list[Scalar]", column.tolist()) for name, column in columns.items()})
    if run is None and "Name" in columns and "ID" in columns:
        run = "ID"  # runs may share a name, never an ID
    found = read_table(path, run, step)
    broken = [str(row[RUN]) for row in found.rows if str(row.get("State")) in _BROKEN]
    words = (
        f"{path}: {len(broken)} runs crashed, failed or were killed ({', '.join(broken[:3])}): leave them out of a fit"
    )
    return (
        replace(found, warnings=(*found.warnings, f"{words} with --drop \"State != 'finished'\"")) if broken else found
    )


def _chart(path: Path, columns: Mapping[str, list[Scalar]]) -> Logged:
    """Return the runs of a chart's export: the axis first, then a column a run and metric.

    Where the axis is no step (tokens, hours), steps are rows, and the axis is a metric of every run.
    """
    axis, *names = columns
    is_step = axis.lower() in STEPS
    series: dict[str, dict[str, dict[int, float]]] = {}
    for name in names:
        run, _, metric = name.rpartition(_BY_RUN)
        if metric.endswith(_EDGES) or metric == axis:
            continue
        for row, (at, value) in enumerate(zip(columns[axis], columns[name], strict=True)):
            if isinstance(at, int | float) and isinstance(value, int | float) and value == value:
                own = series.setdefault(run, {})
                step = int(at) if is_step else row
                own.setdefault(metric, {})[step] = float(value)
                if not is_step:
                    own.setdefault(axis, {})[step] = float(at)
    where = str(path.resolve())
    return Logged(runs=tuple(LoggedRun(name=run, provenance=where, series=found) for run, found in series.items()))


def _run(path: Path, place: int, raw: Mapping[str, Json]) -> LoggedRun:
    name = next(
        (str(raw[key]) for key in ("id", "run_id", "name", "run_name") if raw.get(key)), f"{path.stem}-{place + 1}"
    )
    settings = {key: value for key, value in flat(dict(raw)).items() if key.partition(".")[0] not in _PARTS}
    settings = {f"run_{key}" if key in ("name", "id") else key: value for key, value in settings.items()}
    config = flat({key: value for key, value in _object(raw.get("config")).items() if not key.startswith("_")})
    for key, value in config.items():
        settings[f"config.{key}" if key in settings else key] = value
    series: dict[str, dict[int, float]] = {}
    history = raw.get("history")
    if isinstance(history, list):
        _add_history(series, [each for each in history if isinstance(each, dict)])
    summary: dict[str, Scalar] = {}
    for part in _PARTS[1:4]:
        summary |= flat(_object(raw.get(part)))
    last = summary.get("_step")
    for key, value in summary.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not key.startswith("_") and key not in series:
            # Without history a summary is the value at the run's last step.
            series[key] = {int(last) if isinstance(last, int | float) else 0: float(cast(float, value))}
        elif not number and key not in settings:
            settings[key] = value
    return LoggedRun(name=name, provenance=str(path.resolve()), settings=settings, series=series)


def _history(path: Path, rows: list[dict[str, Json]]) -> LoggedRun:
    series: dict[str, dict[int, float]] = {}
    _add_history(series, rows)
    return LoggedRun(name=path.stem, provenance=str(path.resolve()), series=series)


def _add_history(series: dict[str, dict[int, float]], rows: list[dict[str, Json]]) -> None:
    for place, row in enumerate(rows):
        fields = flat(row)
        step = fields.get("_step", fields.get("step", place))
        for key, value in fields.items():
            if value in ("NaN", "Infinity", "-Infinity"):  # how its JSON spells what JSON lacks
                value = float(str(value))
            if (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and not key.startswith("_")
                and key != "step"
            ):
                series.setdefault(key, {})[int(step) if isinstance(step, int | float) else place] = float(value)


def _object(value: Json) -> dict[str, Json]:
    """Return an object, also where it was exported as text."""
    if isinstance(value, str):
        try:
            value = cast(Json, json.loads(value))
        except (json.JSONDecodeError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}
