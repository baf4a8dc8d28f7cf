"""What a tool logged of a run, and the rows of a run table that come of it.

LoggedRun: settings + series of (step, value) --last--> one row: the last value of every series
                                              --all---> one row at each step at which the loss was logged;
                                                        other series give their last value up to that step
"""

from __future__ import annotations

import difflib
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.runs.roles import NAMES

Scalar = bool | int | float | str | None
Row = dict[str, Scalar]
RUN, STEP, PROVENANCE = "run", "step", "provenance"
ROLES = ("size", "data", "loss", "unique", "seed")
"""Columns that laws need; `--map` says which logged name is which."""
_MAX_DEPTH = 8
_ENDINGS = {
    "size": ("params", "parameters", "num_parameters", "num_params", "n_params", "model_size"),
    "data": ("data", "hours", "episodes", "frames", "tokens"),
}
"""Names that say a role within a folder too; `batch.size` does not."""


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """One run as a tool kept it."""

    name: str
    """Names the run among all of its source."""
    provenance: str
    """Where it was read."""
    settings: dict[str, Scalar] = field(default_factory=dict)
    """Hyperparameters, tags, summary: one value a run."""
    series: dict[str, dict[int, float]] = field(default_factory=dict)
    """Metrics by name, values by step."""


@dataclass(frozen=True, kw_only=True)
class Logged:
    """All that a source holds."""

    runs: tuple[LoggedRun, ...] = ()
    rows: tuple[Row, ...] = ()
    """Rows of sources that are tables already; each has `run` and `provenance`, and `step` if the source had it."""
    warnings: tuple[str, ...] = ()


def flat(value: object, prefix: str = "", depth: int = 0) -> dict[str, Scalar]:
    """Return nested settings as `outer.inner`; lists as text; `{"value": x}` of Weights & Biases as x."""
    if isinstance(value, Mapping):
        if "value" in value and set(value) <= {"value", "desc"}:
            return flat(value["value"], prefix, depth)
        if depth < _MAX_DEPTH:
            found: dict[str, Scalar] = {}
            for key, each in value.items():
                found.update(flat(each, f"{prefix}.{key}" if prefix else str(key), depth + 1))
            return found
    if value is None or isinstance(value, bool | int | float | str):
        return {prefix: value}
    return {prefix: str(value)}


def parsed(text: str) -> Scalar:
    """Return a text as the number or truth that it spells, else as it is."""
    word = text.strip()
    if word in ("True", "False", "true", "false"):
        return word in ("True", "true")
    try:
        return int(word) if word.lstrip("+-").isdigit() else float(word)
    except ValueError:
        return text


def rows_of(run: LoggedRun, loss: str | None, *, every: bool) -> list[Row]:
    """Return the rows of a run; with `every`, none where the run has no series of that loss."""
    own: Row = {RUN: run.name, PROVENANCE: run.provenance}
    series = {name: sorted(values.items()) for name, values in run.series.items() if values}
    if not every:
        last: Row = {name: points[-1][1] for name, points in series.items()}
        logged = series.get(loss or "") or max(series.values(), key=lambda points: points[-1][0], default=[])
        step: Row = {STEP: logged[-1][0]} if logged else {}
        return [{**_without(run.settings, {*last, *own}), **last, **step, **own}]
    rows: list[Row] = []
    steps = {name: [at for at, _ in points] for name, points in series.items()}
    for at, value in series.get(loss or "", []):
        seen: Row = {}
        for name, points in series.items():
            place = bisect_right(steps[name], at)
            if place:
                seen[name] = points[place - 1][1]
        rows.append({**_without(run.settings, {*series, *own}), **seen, str(loss): value, STEP: at, **own})
    return rows


def _without(settings: Mapping[str, Scalar], taken: set[str]) -> Row:
    """Return settings whose names are free; one that is also a metric is kept as `setting.NAME`."""
    return {f"setting.{name}" if name in taken else name: value for name, value in settings.items()}


def role_column(role: str, asked: Mapping[str, str], known: Iterable[str], where: str) -> str | None:
    """Return the logged name that plays a role: as asked, else by the names that `scale fit` knows, else None.

    Raises:
        ConfigError: the name asked for was never logged; offers the nearest.
    """
    names = list(dict.fromkeys(known))
    if role in asked:
        if asked[role] not in names:
            raise ConfigError(
                f"{where}: --map {role}={asked[role]}: nothing of that name; {nearest(asked[role], names)}"
            )
        return asked[role]
    by_lower = {name.lower(): name for name in reversed(names)}
    found = next((by_lower[each] for each in NAMES[role] if each in by_lower), None)
    if found is None:
        # A metric in a folder of its tool, such as val/loss or config.n_params, if there is only one that ends so.
        endings = _ENDINGS.get(role, NAMES[role][:4])
        ends = [name for name in names if name.replace(".", "/").lower().rpartition("/")[2] in endings]
        found = ends[0] if len(ends) == 1 else None
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """Return an offer of the nearest names, or of some that are there."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    near += [each for each in names if name and name.lower() in each.lower() and each not in near][: 3 - len(near)]
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"it has {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}." if names else "there are none."


def is_missing(value: Scalar) -> bool:
    """Whether a cell holds nothing, or a number that is not finite."""
    return value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))
