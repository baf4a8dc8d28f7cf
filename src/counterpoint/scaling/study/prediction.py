"""What the held-out runs of a study will give, written down before they are released."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.fitting.choose import fit_law
from counterpoint.scaling.runs.table import read_runs
from counterpoint.scaling.study.definition import Study, write_whole

DRAWS = 200


def predict_held_out(study: Study, folder: Path) -> dict[str, Json]:
    """Write `prediction.json` from the runs that are there, or return the one that was written before.

    One law of size and data where there are three sizes beside the held-out one, else one of data a size. The
    intervals are those of a single new run.

    Raises:
        ConfigError: the runs do not carry any law.
    """
    path = folder / "prediction.json"
    if path.is_file():  # never made again: by then held-out runs may be in the table
        found: dict[str, Json] = json.loads(path.read_bytes())
        return found
    cells = [
        (study.sizes[i].size, study.amounts[j].amount)
        for i in range(len(study.sizes))
        for j in range(len(study.amounts))
        if study.is_held_out(i, j)
    ]
    fitted_sizes = {run.size for run in study.runs() if not run.held_out}
    content: dict[str, Json] = {"data": study.unit, "cells": [], "not_predicted": ""}
    try:
        content |= _with_size(study, folder, cells) if len(fitted_sizes) >= 3 else _by_size(study, folder, cells)
    except ConfigError as error:
        content["not_predicted"] = str(error)
    write_whole(path, content)
    return content


def _with_size(study: Study, folder: Path, cells: list[tuple[int, float]]) -> dict[str, Json]:
    table = read_runs(folder / "runs.csv", needs_size=True, data="amount")
    record = fit_law(table, "auto", draws=DRAWS)
    size, data = np.asarray(cells, dtype=np.float64).T
    predicted = np.exp(record.estimate.log_error(data, size))
    low, high = record.estimate.band(data, size, run=True)
    return {"law": record.estimate.law.name, "cells": _cells(cells, predicted, low, high), "fit": record.to_dict()}


def _by_size(study: Study, folder: Path, cells: list[tuple[int, float]]) -> dict[str, Json]:
    found: list[Json] = []
    missing: list[str] = []
    for size in dict.fromkeys(size for size, _ in cells):
        own = [cell for cell in cells if cell[0] == size]
        try:
            table = read_runs(folder / "runs.csv", data="amount", drop=f"size != {size}")
            record = fit_law(table, "power", draws=DRAWS)
        except ConfigError as error:
            missing.append(str(error))
            continue
        data = np.asarray([amount for _, amount in own])
        low, high = record.estimate.band(data, run=True)
        found += _cells(own, np.exp(record.estimate.log_error(data)), low, high)
    return {"law": "power", "cells": found, "not_predicted": "; ".join(missing)}


def _cells(cells: list[tuple[int, float]], predicted: object, low: object, high: object) -> list[Json]:
    columns = (np.asarray(values, dtype=np.float64).tolist() for values in (predicted, low, high))
    return [
        {"size": size, "data": amount, "error": value, "interval95": [least, most]}
        for (size, amount), value, least, most in zip(cells, *columns, strict=True)
    ]
