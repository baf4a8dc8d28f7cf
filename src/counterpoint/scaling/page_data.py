"""Everything that the page of a fit shows, as plain numbers: DIR/report.json, read by `report` and by programs.

    fit --+-- hold-out of every law that the columns allow      --> laws, holdout
          +-- fits with something changed                        --> sensitivity
          +-- ossification test, where there are sizes           --> ossification, with the null's curves
          +-- law and intervals up to 100 times the data         --> fan
          `-- slopes of the law                                  --> cost (in data and hours; prices come later)

Words and pictures are made in `report`, which reads the file and computes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json, finite_json
from counterpoint.scaling.decisions.forecast import FAR
from counterpoint.scaling.decisions.marginal import doubling, marginal
from counterpoint.scaling.fitting.choose import rivals
from counterpoint.scaling.fitting.estimate import Estimate
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.fitting.holdout import most_expensive, score
from counterpoint.scaling.fitting.noise import noise_delta
from counterpoint.scaling.fitting.sensitivity import sensitivity
from counterpoint.scaling.fitting.verdict import shows_floor
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.laws.known import form
from counterpoint.scaling.ossification.null_test import ossification
from counterpoint.scaling.runs.diversity import diversity
from counterpoint.scaling.runs.table import RunTable

FORMAT = "counterpoint-scaling-report"
VERSION = 1
REACH = 100.0
"""The fan goes to so many times the largest amount."""
MOST_CURVES = 8
"""Sizes whose curves are drawn."""


def report_data(record: FitRecord) -> dict[str, Json]:
    """Return what the page shows; some seconds of fits."""
    found = record.estimate
    table = found.table
    uses_size = found.law.uses_size and table.size is not None
    size = float(table.size.max()) if uses_size and table.size is not None else None
    gain = doubling(found, size, float(table.data.max()))
    laws = _laws(found)
    own = next((each["holdout"] for each in laws if each["law"] == found.law.name), None)
    return {
        "format": FORMAT,
        "version": VERSION,
        "source": Path(table.path).name,
        "columns": dict(table.columns),
        "fit": record.to_dict(),
        "range": {
            "data": _span(table.data),
            "size": _span(table.size) if uses_size and table.size is not None else None,
        },
        "points": {
            "data": table.data.tolist(),
            "loss": table.loss.tolist(),
            "size": table.size.tolist() if uses_size and table.size is not None else None,
        },
        "doubling": {"value": gain[0], "ci95": [*gain[1:]], "at": float(table.data.max()), "size": size},
        "shows_floor": shows_floor(found),
        "holdout": own,
        "laws": cast("list[Json]", laws),
        "sensitivity": [each.to_dict() for each in sensitivity(found)],
        "ossification": _ossification(table) if uses_size else None,
        "curves": _curves(found),
        "fan": _fan(found, size),
        "cost": marginal(found, size, _grid(table.data, 1.0, FAR, 41)).to_dict(),
        "diversity": diversity(table),
        "warnings": [*record.warnings],
    }


def save_report_data(record: FitRecord, folder: Path) -> Path:
    """Compute and write report.json into a fit's folder; return its path."""
    return write_report_data(report_data(record), folder)


def write_report_data(data: dict[str, Json], folder: Path) -> Path:
    """Write what `report_data` returned into a fit's folder; return its path."""
    path = folder / "report.json"
    path.write_text(json.dumps(finite_json(data), allow_nan=False) + "\n", encoding="utf-8")
    return path


def _laws(found: Estimate) -> list[dict[str, Json]]:
    """Return the hold-out of every law that the columns allow, on the same runs; why not, where it cannot be."""
    table = found.table
    names = list(dict.fromkeys([*rivals(table, uses_size=found.law.uses_size), found.law.name]))
    held, rule = most_expensive(table, found.law.uses_size)
    rows: list[dict[str, Json]] = []
    for name in names:
        law = form(name)
        row: dict[str, Json] = {"law": name, "parameters": len(law.vector), "chosen": name == found.law.name}
        try:
            delta = found.delta if name == found.law.name else noise_delta(table, law, table.axes())
            row |= {"holdout": score(table, name, held, rule, delta).to_dict(), "why_not": ""}
        except ConfigError as error:
            row |= {"holdout": None, "why_not": str(error).removeprefix(f"{table.path}: ")}
        rows.append(row)
    return rows


def _ossification(table: RunTable) -> dict[str, Json]:
    try:
        found = ossification(table)
    except ConfigError as error:
        return {"refused": str(error).removeprefix(f"{table.path}: ")}
    if not found.sizes:
        count = len(np.unique(table.size)) if table.size is not None else 0
        return {"refused": f"no size has runs on both sides of a hinge ({count} sizes); run each at 5 amounts or more"}
    raw = found.to_dict()
    sizes = [
        {**each.to_dict(), "null": {"data": [*each.null_data], "error": [*each.null_error]}} for each in found.sizes
    ]
    return {**raw, "sizes": cast("list[Json]", sizes), "refused": ""}


def _curves(found: Estimate) -> list[Json]:
    """Return the law over the range of the data, for each size (or some of many)."""
    table = found.table
    data = _grid(table.data, 1.0, 1.0, 60)
    if table.size is None or not found.law.uses_size:
        return [{"size": None, "data": data.tolist(), "error": np.exp(found.log_error(data)).tolist()}]
    sizes = np.unique(table.size)
    if len(sizes) > MOST_CURVES:
        sizes = np.geomspace(sizes[0], sizes[-1], 5)
    return [
        {
            "size": float(size),
            "data": data.tolist(),
            "error": np.exp(found.log_error(data, np.full(len(data), size))).tolist(),
        }
        for size in sizes
    ]


def _fan(found: Estimate, size: float | None) -> dict[str, Json]:
    """Return the law at the largest size up to REACH times the data, with 80 and 95% intervals over redrawn runs."""
    whole = float(found.table.data.max()) * np.asarray([1.0, 2.0, 5.0, 10.0, 30.0, 100.0])  # said in the page's table
    data = np.unique(np.concatenate([_grid(found.table.data, 1.0, REACH, 81)[:-1], whole]))
    sizes = None if size is None else np.full(len(data), size)
    bands = {level: found.band(data, sizes, level=level / 100).tolist() for level in (80, 95)}
    return {
        "size": size,
        "data": data.tolist(),
        "error": np.exp(found.log_error(data, sizes)).tolist(),
        "low80": bands[80][0],
        "high80": bands[80][1],
        "low95": bands[95][0],
        "high95": bands[95][1],
        "far": FAR * float(found.table.data.max()),
        "run95": np.asarray(found.band(data, sizes, run=True)).tolist(),
    }


def _grid(data: Float, below: float, beyond: float, count: int) -> Float:
    return np.geomspace(data.min() / below, data.max() * beyond, count)


def _span(values: Float) -> list[Json]:
    return [float(values.min()), float(values.max()), len(np.unique(values))]
