"""What pretraining is worth: from runs with and without it, at several amounts of fine-tuning data (and sizes).

    runs from scratch --fit_law--> S(N, D) --.
                                              >-- D_T = k D_F^alpha N^beta, ratios of errors, a verdict a set
    runs a pretraining set -------------------'

Intervals hold both: the law from scratch is drawn again by run, and so are the pretrained runs.
Tables of data sets by task sets, without amounts, are in `transfer_ratios`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError
from counterpoint.core.seeding import generator
from counterpoint.scaling.fitting.bootstrap import interval
from counterpoint.scaling.fitting.choose import Choice, fit_law
from counterpoint.scaling.fitting.estimate import Estimate
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.runs.column_names import fine_tuning_column, known_column, labels, pretraining_column
from counterpoint.scaling.runs.roles import NAMES
from counterpoint.scaling.runs.table import RunTable, read_columns, read_runs
from counterpoint.scaling.transfer.law import (
    Pretrained,
    TransferFit,
    equivalent_data,
    fit_transfer,
    from_scratch,
    transferred,
)
from counterpoint.scaling.transfer.verdict import Amount, Coefficient, Gain, Transfer, gain, verdict_of

LAWS = ("auto", "power", "power_floor", "additive", "kaplan", "joint")
LATE = 1 / 3
"""Share of the amounts of fine-tuning data, from above, that counts as most data."""
_OFTEN = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferStudy:
    """All pretraining sets of a table, against one law from scratch."""

    scratch: FitRecord
    sets: tuple[Transfer, ...]


def transfer(
    path: Path,
    *,
    law: Choice = "auto",
    pretrain: str | None = None,
    size: str | None = None,
    data: str | None = None,
    loss: str | None = None,
    seed: str | None = None,
    run: str | None = None,
    drop: str | None = None,
    draws: int = 200,
    on_draw: Callable[[], object] | None = None,
) -> TransferStudy:
    """Fit the law from scratch and, for each pretraining set, what it is worth.

    Raises:
        ConfigError: a column is missing, or there are no or too few runs from scratch.
    """
    if law not in LAWS:
        raise ConfigError(f"--law: expected {', '.join(LAWS)} (a law that falls with data everywhere), got {law!r}")
    columns = read_columns(path)
    column = pretraining_column(path, columns, pretrain)
    sizes = size or known_column(columns, NAMES["size"])
    amounts = fine_tuning_column(path, columns, data)

    def read(with_size: bool) -> RunTable:
        return read_runs(
            path,
            needs_size=with_size,
            size=sizes if with_size else None,
            data=amounts,
            loss=loss,
            seed=seed,
            run=run,
            drop=drop,
            apart=column,
        )

    table = read(size is not None)
    if size is None and sizes is not None and len(set(table.others[sizes].tolist())) > 1:
        table = read(True)
    if np.ptp(table.log_loss) == 0:
        raise ConfigError(f"{path}: column {table.columns['loss']!r} (loss) never changes, so there is nothing to fit")
    names = labels(table.others[column])
    scratch = table.take(names == "")
    if not len(scratch):
        raise ConfigError(
            f"{path}: no runs from scratch (column {column!r} none, scratch, 0 or empty); without them pretraining "
            "sets can only be compared with each other: give --task, the column of task sets"
        )
    if len(scratch) == len(table):
        raise ConfigError(f"{path}: column {column!r} marks no run as pretrained; there is nothing to compare")
    try:
        record = fit_law(scratch, law, draws=draws, on_draw=on_draw)
    except ConfigError as error:
        raise ConfigError(f"the law from scratch, {len(scratch)} runs: {error}") from error
    sets = [_one_set(record.estimate, table.take(names == name), str(name)) for name in np.unique(names[names != ""])]
    return TransferStudy(scratch=record, sets=tuple(sets))


def _one_set(found: Estimate, table: RunTable, name: str) -> Transfer:
    runs = Pretrained(data=table.data, size=table.size, log_loss=table.log_loss)
    redrawn = [
        (vector, rows)
        for place, vector in enumerate(found.draws)
        for rows in [_rows(table.run, generator(place, "scaling.transfer", name))]
    ]
    own = runs.log_loss - from_scratch(found, found.vector, np.log(runs.data), runs.size)
    moved = np.stack([runs.log_loss - from_scratch(found, v, np.log(runs.data), runs.size) for v, _ in redrawn])

    def mean(chosen: NDArray[np.bool_]) -> Gain:
        values = [
            float(each[rows][chosen[rows]].mean())
            for each, (_, rows) in zip(moved, redrawn, strict=True)
            if chosen[rows].any()
        ]
        return gain(float(own[chosen].mean()), np.asarray(values), len(np.unique(table.run[chosen])))

    amounts = np.unique(runs.data)
    latest = runs.data >= amounts[-max(1, round(LATE * len(amounts)))]
    everything = np.ones(len(own), dtype=np.bool_)
    doubled = from_scratch(found, found.vector, np.log(2 * runs.data), runs.size) - runs.log_loss + own
    doubling = math.exp(float(doubled.mean()))
    late = mean(latest) if len(amounts) > 1 else None
    law, identified, warnings = _law(found, runs, redrawn, table)
    sizes = [] if runs.size is None else np.unique(runs.size).tolist()
    cells = tuple(_amounts(found, runs, own))
    return Transfer(
        name=name,
        runs=len(table),
        verdict=verdict_of(mean(everything), late, doubling),
        gain=mean(everything),
        late=late,
        by_size={
            size: verdict_of(
                mean(runs.size == size), mean((runs.size == size) & latest) if late is not None else None, doubling
            )
            for size in sizes
            if runs.size is not None
        },
        law=law,
        identified=identified,
        amounts=cells,
        warnings=(*warnings, *_reach(cells)),
    )


def _law(
    found: Estimate, runs: Pretrained, redrawn: list[tuple[Float, NDArray[np.int64]]], table: RunTable
) -> tuple[dict[str, Coefficient], bool, list[str]]:
    """Return the transfer law with intervals, whether the runs bound it, and what stands against it."""
    axes = {"alpha": runs.data, **({} if runs.size is None else {"beta": runs.size})}
    varying = [name for name, values in axes.items() if len(np.unique(values)) > 1]
    if len(runs.data) < len(varying) + 3:
        few = f"{len(runs.data)} runs are too few for a transfer law of {len(varying) + 1} parameters"
        return {}, False, [few]
    best = fit_transfer(found, found.vector, runs, found.delta)
    drawn: list[TransferFit] = []
    for vector, rows in redrawn:
        again = runs.take(rows)
        if all(len(np.unique(axes[name][rows])) > 1 for name in varying):
            drawn.append(fit_transfer(found, vector, again, found.delta, best))
    num_runs = len(np.unique(table.run))
    wanted = len(varying) + 1 + len(found.vector)  # what the runs from scratch leave loose counts too
    spans = {
        name: interval([getattr(each, attribute) for each in drawn], getattr(best, attribute), num_runs, wanted)
        for name, attribute in (("k", "log_k"), *((name, name) for name in varying))
    }
    law = {name: Coefficient(value=getattr(best, name), ci95=spans[name]) for name in varying}
    low, high = spans["k"]
    law = {"k": Coefficient(value=math.exp(best.log_k), ci95=(_exp(low), _exp(high)))} | law
    stuck = float(np.mean([each.at_limit for each in drawn])) if drawn else 1.0
    at = float(np.log(runs.data).mean()), None if runs.size is None else np.exp(np.log(runs.size).mean(keepdims=True))
    middle = [float(np.asarray(transferred(each, np.asarray(at[0]), at[1])).item()) for each in drawn]
    span = float(np.subtract(*np.quantile(middle, [0.975, 0.025]))) if middle else math.inf
    identified = not best.at_limit and stuck <= _OFTEN and span < math.log(100)
    warnings = [
        f"{name} cannot be estimated from only one {'amount of data' if name == 'alpha' else 'size'}"
        for name in axes
        if name not in varying
    ]
    if not identified:
        warnings.append(
            "the transfer law is not identified: what is transferred is too little, or lies where the law from scratch "
            "is flat; do not use its numbers"
        )
    return law, identified, warnings


def _amounts(found: Estimate, runs: Pretrained, own: Float) -> list[Amount]:
    sizes = np.zeros_like(runs.data) if runs.size is None else runs.size
    most = math.log(float(found.table.data.max()))
    cells = []
    for size, data in sorted(set(zip(sizes.tolist(), runs.data.tolist(), strict=True))):
        chosen = (sizes == size) & (runs.data == data)
        level = runs.log_loss[chosen].mean(keepdims=True)
        at = None if runs.size is None else np.asarray([size])
        inverse = float(equivalent_data(found, found.vector, level, at)[0])
        reached = math.isfinite(inverse)
        cells.append(
            Amount(
                data=data,
                size=None if runs.size is None else size,
                runs=int(chosen.sum()),
                ratio=math.exp(float(own[chosen].mean())),
                equivalent=math.exp(inverse) if reached else None,
                multiplier=math.exp(inverse) / data if reached else None,
                beyond=not reached or inverse > most,
            )
        )
    return cells


def _reach(cells: tuple[Amount, ...]) -> list[str]:
    never = sum(each.equivalent is None for each in cells)
    beyond = sum(each.beyond for each in cells) - never
    words = (
        [f"{never} of {len(cells)} amounts reach errors that, by the law from scratch, no amount of data reaches"]
        if never
        else []
    )
    if beyond:
        words.append(f"{beyond} of {len(cells)} equivalent amounts are outside the data of the law from scratch")
    return words


def _rows(run: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return rows of runs drawn with replacement."""
    names, owner = np.unique(run, return_inverse=True)
    drawn = rng.integers(len(names), size=len(names))
    return np.concatenate([np.flatnonzero(owner.ravel() == each) for each in drawn])


def _exp(value: float) -> float:
    return float(np.exp(np.clip(value, -700, 700)))
