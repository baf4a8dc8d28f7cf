"""Runs of any tool into one table that `scale fit` reads.

    SOURCE --read--> LoggedRun / rows --roles--> rows with size, data, loss beside all logged names --merge--> INTO

The table keeps every column under its own name, so that units in names stay; `size`, `data` and `loss` repeat the
columns that play these roles. Rows are one for each run (and step): reading a source again changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.importers.merge import load_rows, merge, save_rows
from counterpoint.scaling.importers.tables import is_record, read_own, read_table
from counterpoint.scaling.runs.rows import (
    PROVENANCE,
    ROLES,
    RUN,
    STEP,
    Logged,
    Row,
    Scalar,
    is_missing,
    nearest,
    parsed,
    role_column,
    rows_of,
)
from counterpoint.scaling.runs.units import mixed_units

_KINDS = ("mlflow", "wandb", "wandb-export", "tensorboard")


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What an intake did."""

    into: Path
    columns: dict[str, str]
    """Which logged name plays which role."""
    runs: int
    """Runs in the table now."""
    rows: int
    """Rows in the table now."""
    added: int
    replaced: int
    """Rows of a run and step that were there, with other values."""
    unchanged: int
    left_out: dict[str, int]
    """Rows or runs left out, by reason: `no_loss`, `not_finite`."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "into": str(self.into),
            "columns": dict(self.columns),
            "runs": self.runs,
            "rows": self.rows,
            "added": self.added,
            "replaced": self.replaced,
            "unchanged": self.unchanged,
            "left_out": dict(self.left_out),
            "warnings": [*self.warnings],
        }


def ingest_runs(
    sources: Sequence[str],
    into: Path,
    *,
    roles: Mapping[str, str] | None = None,
    every: bool = False,
    prefix: str = "",
    replace_rows: bool = False,
) -> Taken:
    """Read sources and add their runs to a Parquet table.

    Args:
        sources: `runs.csv`, a run record or a folder of them, `mlflow:...`, `wandb:FILE`, `tensorboard:LOGDIR`.
        into: the table; made where it is not there.
        roles: logged names by role: size, data, loss, unique, seed, run, step.
        every: a row at each step at which the loss was logged, else one a run.
        prefix: goes before the names of the runs.
        replace_rows: whether rows of the same run and step that came from elsewhere give way.

    Raises:
        ConfigError: a source or the table cannot be read, a name is not there (offers the nearest), units are mixed.
    """
    asked = dict(roles or {})
    if unknown := [role for role in asked if role not in (*ROLES, RUN, STEP)]:
        raise ConfigError(f"--map {unknown[0]}=...: no such role; {nearest(unknown[0], (*ROLES, RUN, STEP))}")
    old, before = load_rows(into)
    new: list[Row] = []
    warnings: list[str] = []
    left_out: Counter[str] = Counter()
    columns: dict[str, str] = {}
    for source in sources:
        logged = _read(source, asked, histories=every)
        warnings += logged.warnings
        rows, found = _with_roles(logged, asked, source, every=every)
        for role, name in found.items():
            mixed_units(role, columns.get(role) or before.get(role), name, str(into))
        columns |= found
        new += _kept(rows, source, left_out, warnings, has_loss="loss" in found)
    if not new:
        raise ConfigError(f"{', '.join(sources)}: no run has a loss that is a finite number; nothing was written")
    new = [{**row, RUN: f"{prefix}{row[RUN]}"} for row in new]
    merged, counts = merge(old, new, every=every, replace_rows=replace_rows)
    warnings += _advice(new, columns, every)
    columns = {**before, **columns}
    warnings += save_rows(merged, columns, into)
    return Taken(
        into=into,
        columns=columns,
        runs=len({row[RUN] for row in merged}),
        rows=len(merged),
        added=counts["added"],
        replaced=counts["replaced"],
        unchanged=counts["unchanged"],
        left_out=dict(left_out),
        warnings=tuple(warnings),
    )


def _read(source: str, asked: Mapping[str, str], *, histories: bool) -> Logged:
    kind, sign, rest = source.partition(":")
    if sign and kind in _KINDS and not rest:
        raise ConfigError(f"{source}: expected an address after {kind}:")
    run, step = asked.get(RUN), asked.get(STEP)
    if sign and kind == "mlflow":
        from counterpoint.scaling.importers.mlflow import read_mlflow

        return _renamed(read_mlflow(rest, histories=histories), run, source)
    if sign and kind == "tensorboard":
        from counterpoint.scaling.importers.tensorboard import read_tensorboard  # an extra

        return _renamed(read_tensorboard(Path(rest)), run, source)
    if sign and kind in ("wandb", "wandb-export"):
        from counterpoint.scaling.importers.wandb import read_export

        return read_export(Path(rest), run, step)
    path = Path(source)
    if not path.exists():
        kinds = "a table (CSV, Parquet, JSON lines), run records, mlflow:..., wandb:FILE or tensorboard:LOGDIR"
        raise ConfigError(f"{source}: no such file or folder; expected {kinds}")
    return read_own(path, histories=histories) if path.is_dir() or is_record(path) else read_table(path, run, step)


def _renamed(logged: Logged, run: str | None, source: str) -> Logged:
    """Name runs by one of their settings, where that was asked for."""
    if run is None:
        return logged
    for each in logged.runs:
        if run not in each.settings:
            raise ConfigError(
                f"{source}: --map run={run}: run {each.name} has no such setting; {nearest(run, each.settings)}"
            )
    return replace(logged, runs=tuple(replace(each, name=str(each.settings[run])) for each in logged.runs))


def _with_roles(
    logged: Logged, asked: Mapping[str, str], source: str, *, every: bool
) -> tuple[list[Row], dict[str, str]]:
    """Return rows with columns by role, and which name plays each."""
    known = dict.fromkeys(name for run in logged.runs for name in (*run.series, *run.settings))
    known |= dict.fromkeys(name for row in logged.rows for name in row if name not in (RUN, STEP, PROVENANCE))
    steps = dict.fromkeys([STEP])
    found = {role: name for role in ROLES if (name := role_column(role, asked, [*known, *steps], source)) is not None}
    loss = found.get("loss")
    if every and logged.runs:
        series = {name for run in logged.runs for name in run.series}
        if loss not in series:
            said = (
                "no metric is known to be the loss" if loss is None else f"{loss!r} was logged once a run, not by step"
            )
            raise ConfigError(f"{source}: --all: {said}; give --map loss=METRIC, {nearest(loss or 'loss', series)}")
    rows = [row for run in logged.runs for row in rows_of(run, loss, every=every)]
    absent = sum(loss not in run.series for run in logged.runs) if every else 0
    rows += [{RUN: f"?{place}"} for place in range(absent)]  # counted, then left out
    rows += logged.rows if every or not logged.rows else _last(logged.rows)
    for row in rows:
        for role, name in found.items():
            if role != name:
                if row.get(role) is not None:
                    row[f"logged.{role}"] = row[role]
                row[role] = row.get(name)
    return rows, found


def _last(rows: Sequence[Row]) -> list[Row]:
    """Return the row of each run with the greatest step."""
    last: dict[Scalar, Row] = {}
    for row in rows:
        step = row.get(STEP)
        seen = last[row[RUN]].get(STEP) if row[RUN] in last else None
        if row[RUN] not in last or (isinstance(step, int) and (not isinstance(seen, int) or step > seen)):
            last[row[RUN]] = row
    return [dict(row) for row in last.values()]


def _kept(rows: list[Row], source: str, left_out: Counter[str], warnings: list[str], *, has_loss: bool) -> list[Row]:
    """Return rows whose loss is a finite number, with role columns as numbers."""
    kept: list[Row] = []
    lost: dict[str, list[str]] = {"no_loss": [], "not_finite": []}
    for row in rows:
        for role in ("size", "data", "loss", "unique"):
            value = row.get(role)
            if isinstance(value, str) and value:
                number = parsed(value)
                if isinstance(number, str):
                    raise ConfigError(
                        f"{source}: run {row[RUN]}: {role} is {value!r}, expected a number; give plain numbers of one "
                        f"unit, or another column with --map {role}=NAME"
                    )
                row[role] = number
        if has_loss and is_missing(row.get("loss")):
            lost["not_finite" if isinstance(row.get("loss"), float) else "no_loss"].append(str(row[RUN]))
            continue
        kept.append(row)
    for reason, runs in lost.items():
        if runs:
            left_out[reason] += len(runs)
            words = "a loss that is not finite (a run that diverged?)" if reason == "not_finite" else "no loss"
            named = ", ".join(list(dict.fromkeys(run for run in runs if not run.startswith("?")))[:3])
            warnings.append(f"{source}: {len(runs)} rows with {words} left out{f': {named}' if named else ''}")
    return kept


def _advice(rows: Sequence[Row], columns: Mapping[str, str], every: bool) -> list[str]:
    words = [
        f"no column for {role}; scale fit will ask for one: name it with --map {role}=NAME"
        for role in ("data", "loss")
        if role not in columns
    ]
    amounts: dict[Scalar, list[Scalar]] = {}
    for row in rows:
        amounts.setdefault(row[RUN], []).append(row.get("data"))
    if every and "data" in columns and any(len(each) > 1 and len(set(each)) == 1 for each in amounts.values()):
        words.append(
            f"{columns['data']!r} is the same at all checkpoints of a run; a law of data needs the amount seen by "
            "each checkpoint"
        )
    return words
