"""The tables of a scaling study from its run table: what docs/studies/scaling.md shows, computed anew.

python benchmarks/scaling_study.py docs/studies/scaling/arms.csv --prediction docs/studies/scaling/arms_prediction.json

Prints Markdown: errors by size and amount; what a doubling of data really took off; the law of each error column, with
what it says of a doubling; the power law of each size alone; what was predicted of the held-out runs and what they
gave; ossification by size.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.fitting.choose import fit_law
from counterpoint.scaling.fitting.estimate import Estimate
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.laws.forms import Float, axes
from counterpoint.scaling.ossification.null_test import ossification
from counterpoint.scaling.runs.table import RunTable, read_columns, read_runs

DRAWS = 400
GEN0_DOUBLING = 0.29
"""Less error at twice the data, as Generalist AI wrote of GEN-0."""


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--prediction", type=Path)
    arguments = parser.parse_args()
    columns = read_columns(arguments.runs)
    losses = [name for name in columns if name == "error" or name.startswith("error_")]
    with_size = len(set(columns["size"].tolist())) > 2
    print_errors(read_runs(arguments.runs, needs_size=with_size, data="data", size="size"))
    print_doublings(arguments.runs, losses)
    print_laws(arguments.runs, losses, with_size)
    if with_size:
        print_sizes(arguments.runs, losses)
    if arguments.prediction is not None:
        print_prediction(arguments.runs, json.loads(arguments.prediction.read_text()))
    if with_size:
        print_ossification(arguments.runs, losses)


def print_errors(table: RunTable) -> None:
    """Print the mean error of every cell; cells that were held out carry a star."""
    size = table.size if table.size is not None else np.asarray(table.others["size"], dtype=np.float64)
    held = table.where("held_out")
    amounts = np.unique(table.data)
    row("size \\ episodes a robot", *(f"{amount:g}" for amount in amounts))
    row(*["---"] * (len(amounts) + 1))
    for one in np.unique(size):
        cells = []
        for amount in amounts:
            chosen = (size == one) & (table.data == amount)
            star = "*" if held[chosen].any() else ""
            cells.append(f"{np.exp(table.log_loss[chosen].mean()):.4f}{star}" if chosen.any() else "")
        row(f"{one:g}", *cells)
    spread = [np.ptp(table.log_loss[(size == n) & (table.data == d)]) for n in np.unique(size) for d in amounts]
    print(f"\nMedian difference between seeds: {100 * float(np.median(spread)):.1f}% of the error.\n")


def print_doublings(runs: Path, losses: list[str]) -> None:
    """Print the share of the error that went from amount to amount, a doubling, with all sizes and seeds averaged.

    Amounts that are not twice as much are brought to a doubling: 1 - (ratio of errors)^(ln 2 / ln ratio of amounts).
    """
    amounts = np.unique(read_runs(runs, data="data").data)
    row("less error a doubling", *(f"{low:g} to {high:g}" for low, high in pairwise(amounts)))
    row(*["---"] * len(amounts))
    for loss in losses:
        table = read_runs(runs, data="data", loss=loss)
        size = np.asarray(table.others["size"], dtype=np.float64)
        cells = []
        for low, high in pairwise(amounts):
            both = np.intersect1d(size[table.data == low], size[table.data == high])
            logs = [table.log_loss[(table.data == amount) & np.isin(size, both)].mean() for amount in (low, high)]
            cells.append(f"{1 - np.exp((logs[1] - logs[0]) * np.log(2) / np.log(high / low)):.0%}")
        row(loss, *cells)
    print()


def print_laws(runs: Path, losses: list[str], with_size: bool) -> None:
    """Print the law that predicts best of each error column, and the power law of data where there is no size."""
    row("error", "law", "parameters, 95% intervals", "twice the data, top half", "held-out miss", "GEN-0's 29% inside")
    row(*["---"] * 6)
    for loss in losses:
        for law in ("auto", "additive") if with_size else ("power", "power_floor"):
            try:
                record = fit_law(read_runs(runs, needs_size=with_size, data="data", loss=loss), law, draws=DRAWS)
            except ConfigError as error:
                row(loss, law, str(error), "", "", "")
                continue
            row(loss, f"{record.estimate.law.name}{' (auto)' if law == 'auto' else ''}", *_described(record))
    print()


def print_sizes(runs: Path, losses: list[str]) -> None:
    """Print the power law of data of every size alone: alpha, its interval, and what a doubling buys."""
    sizes = np.unique(np.asarray(read_columns(runs)["size"], dtype=np.float64))
    row("size", *losses)
    row(*["---"] * (len(losses) + 1))
    for size in sizes:
        cells = []
        for loss in losses:
            found = fit_law(read_runs(runs, data="data", loss=loss, drop=f"size != {size:.0f}"), "power", draws=DRAWS)
            alpha = found.estimate.parameters["alpha"]
            cells.append(
                f"{alpha.value:.3f} [{alpha.ci95[0]:.3f}, {alpha.ci95[1]:.3f}], {100 * (1 - 2**-alpha.value):.0f}%"
            )
        row(f"{size:g}", *cells)
    print()


def print_prediction(runs: Path, prediction: dict[str, object]) -> None:
    """Print every held-out cell beside what had been written down of it."""
    table = read_runs(runs, data="amount")
    size = np.asarray(table.others["size"], dtype=np.float64)
    row("size", "amount", "predicted, 95% interval of a run", "measured, each seed", "miss of the mean")
    row(*["---"] * 5)
    misses, inside = [], []
    cells = prediction["cells"]
    assert isinstance(cells, list)
    for cell in cells:
        low, high = cell["interval95"]
        measured = table.loss[(size == cell["size"]) & (table.data == cell["data"])]
        if not len(measured):
            row(cell["size"], f"{cell['data']:g}", f"{cell['error']:.4f} [{low:.4f}, {high:.4f}]", "not run yet", "")
            continue
        miss = cell["error"] / float(np.exp(np.log(measured).mean())) - 1
        misses.append(cell["error"] / measured - 1)
        inside.append((measured >= low) & (measured <= high))
        each = ", ".join(f"{value:.4f}" for value in measured)
        row(cell["size"], f"{cell['data']:g}", f"{cell['error']:.4f} [{low:.4f}, {high:.4f}]", each, f"{miss:+.1%}")
    if not misses:
        return
    missed = np.concatenate(misses)
    print(
        f"\nLaw {prediction['law']}: mean absolute relative error {np.abs(missed).mean():.1%}, signed "
        f"{missed.mean():+.1%}, {np.concatenate(inside).mean():.0%} of the runs inside their 95% intervals.\n"
    )


def print_ossification(runs: Path, losses: list[str]) -> None:
    """Print the verdict of every size, for each error column."""
    for loss in losses:
        found = ossification(read_runs(runs, needs_size=True, data="data", loss=loss))
        for each in found.sizes:
            low, high = each.ci95
            row(loss, f"{each.size:g}", f"{each.index:.2f} [{low:.2f}, {high:.2f}]", f"{each.p:.2g}", each.verdict)
        print(f"\n{loss}: threshold {found.threshold.to_dict()}; {'; '.join(found.warnings)}\n")


def _described(record: FitRecord) -> tuple[str, str, str, str]:
    found = record.estimate
    parameters = ", ".join(
        f"{name} {one.value:.3g} [{one.ci95[0]:.3g}, {one.ci95[1]:.3g}]{'' if one.identified else ' (not identified)'}"
        for name, one in found.parameters.items()
        if name in ("E", "alpha", "beta", "gamma")
    )
    low, middle, high = np.quantile(_doubling(found), [0.025, 0.5, 0.975])
    held = "-" if record.holdout is None else f"{record.holdout.mare:.1%} (bias {record.holdout.bias:+.1%})"
    inside = "yes" if low <= GEN0_DOUBLING <= high else "no"
    return parameters, f"{middle:.1%} [{low:.1%}, {high:.1%}] less", held, inside


def _doubling(found: Estimate) -> Float:
    """Return the share of the error that the second half of the largest amount took away, [draws]; largest size."""
    top = float(found.table.data.max())
    size = None if found.table.size is None or not found.law.uses_size else np.full(2, found.table.size.max())
    ends = np.asarray([top / 2, top])
    errors = np.stack([found.law.log_error(each, axes(ends, size, None, found.reference))[0] for each in found.draws])
    return np.asarray(1 - np.exp(errors[:, 1] - errors[:, 0]))


def row(*cells: object) -> None:
    """Print one row of a Markdown table."""
    print("|", " | ".join(str(cell) for cell in cells), "|")


if __name__ == "__main__":
    main()
