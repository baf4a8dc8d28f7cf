"""A fit as artefact: one JSON object for programs, a folder that other verbs take up again.

DIR/fit.json      what `--json` prints, and how to fit again
DIR/points.csv    the runs that were fitted
DIR/draws.npy     the law on redrawn runs, [draws, vector]

`report_data` adds DIR/report.json, everything that the page shows; `report` makes DIR/report.html of it.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json, finite_json
from counterpoint.scaling.fitting.estimate import Estimate, Parameter
from counterpoint.scaling.fitting.holdout import HoldOut
from counterpoint.scaling.fitting.solve import Solution
from counterpoint.scaling.laws.forms import Float, Form
from counterpoint.scaling.laws.known import form
from counterpoint.scaling.runs.diversity import diversity
from counterpoint.scaling.runs.table import RunTable, read_runs

FORMAT = "counterpoint-fit"
VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class FitRecord:
    """A fit with its check and its warnings."""

    estimate: Estimate
    holdout: HoldOut | None
    warnings: tuple[str, ...]
    compared: dict[str, float]
    """Held-out mean absolute relative error of each law that was weighed; empty where one was asked for."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON; `D_c` repeats A where A is an amount of data."""
        found = self.estimate
        params: dict[str, Json] = {name: each.to_dict() for name, each in found.parameters.items()}
        if found.law.name in ("power", "power_floor"):
            params["D_c"] = params["A"]
        return {
            "law": found.law.name,
            "n_points": len(found.table),
            "n_runs": len(np.unique(found.table.run)),
            "columns": dict(found.table.columns),
            "objective_sum": found.solution.objective,
            "delta": found.delta,
            "starts_at_optimum": found.solution.starts_at_optimum,
            "starts": found.solution.starts,
            "params": params,
            "holdout": None if self.holdout is None else self.holdout.to_dict(),
            "compared": dict(self.compared),
            "residual_scale": found.residual_scale,
            "diversity": diversity(found.table),
            "warnings": [*self.warnings],
        }


def save_fit(record: FitRecord, folder: Path) -> None:
    """Write a fit into a folder; one that is there is replaced once the new one is written in full."""
    folder.mkdir(parents=True, exist_ok=True)
    found = record.estimate
    again: dict[str, Json] = {
        "format": FORMAT,
        "version": VERSION,
        "vector": found.vector.tolist(),
        "reference": [*found.reference],
        "table": found.table.path,
        **record.to_dict(),
    }
    parts = {name: folder / f"{name}.part" for name in ("fit.json", "draws.npy", "points.csv")}
    parts["fit.json"].write_text(json.dumps(finite_json(again), indent=2, allow_nan=False) + "\n")
    with parts["draws.npy"].open("wb") as draws:
        np.save(draws, found.draws)
    with parts["points.csv"].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(found.table.others)
        writer.writerows(zip(*(column.tolist() for column in found.table.others.values()), strict=True))
    for made_from_it in ("report.json", "report.html"):
        (folder / made_from_it).unlink(missing_ok=True)
    for name, part in parts.items():
        part.replace(folder / name)


def load_fit(folder: Path) -> FitRecord:
    """Read what `save_fit` wrote.

    Raises:
        ConfigError: not a fit, or of another version.
    """
    path = folder / "fit.json" if folder.is_dir() else folder
    try:
        raw = json.loads(path.read_bytes())
        draws: Float = np.load(path.parent / "draws.npy", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"{path}: expected a folder that 'scale fit --out' wrote ({error})") from error
    if not isinstance(raw, dict) or (raw.get("format"), raw.get("version")) != (FORMAT, VERSION):
        raise ConfigError(f"{path}: expected {FORMAT!r} version {VERSION}; run 'counterpoint scale fit' again")
    try:
        law = form(str(raw["law"]))
        table = _points(path.parent / "points.csv", dict(raw["columns"]), law)
        estimate = Estimate(
            law=law,
            table=table,
            solution=Solution(
                vector=np.asarray(raw["vector"], dtype=np.float64),
                objective=float(raw["objective_sum"]),
                starts=int(raw["starts"]),
                starts_at_optimum=int(raw["starts_at_optimum"]),
            ),
            reference=(float(raw["reference"][0]), float(raw["reference"][1])),
            delta=float(raw["delta"]),
            parameters={name: _parameter(raw["params"][name]) for name in law.parameters},
            draws=draws,
            residual_scale=float(raw["residual_scale"]),
        )
        return FitRecord(
            estimate=estimate, holdout=None, warnings=tuple(raw["warnings"]), compared=dict(raw["compared"])
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f"{path}: this fit is damaged ({error!r}); run 'counterpoint scale fit' again") from error


def _points(path: Path, columns: dict[str, str], law: Form) -> RunTable:
    return read_runs(
        path,
        needs_size=law.uses_size,
        needs_unique=law.name == "repetition",
        size=columns.get("size") if law.uses_size else None,
        data=columns.get("data"),
        loss=columns.get("loss"),
        unique=columns.get("unique") if law.name == "repetition" else None,
        seed=columns.get("seed"),
        run=columns.get("run"),
    )


def _parameter(raw: dict[str, object]) -> Parameter:
    def number(value: object) -> float:
        return float("nan") if value is None else float(cast(float, value))

    ci, bounds = cast("list[object]", raw["ci95"]), cast("list[object]", raw["profile95"])
    return Parameter(
        value=number(raw["value"]),
        se=number(raw["se"]),
        ci95=(number(ci[0]), number(ci[1])),
        profile95=(number(bounds[0]), number(bounds[1])),
        identified=bool(raw["identified"]),
    )
