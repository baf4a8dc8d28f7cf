"""Fitting by name, or choosing the law that predicts held-out runs best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.fitting.estimate import Estimate, estimate
from counterpoint.scaling.fitting.fit_record import FitRecord
from counterpoint.scaling.fitting.holdout import HoldOut, score_without_least, try_score
from counterpoint.scaling.fitting.noise import noise_delta
from counterpoint.scaling.fitting.verdict import MISSED, warnings_of
from counterpoint.scaling.laws.forms import LawName
from counterpoint.scaling.laws.known import form
from counterpoint.scaling.runs.table import RunTable
from counterpoint.scaling.runs.training_check import read_checks, short_words

Choice = LawName | Literal["auto"]
SIMPLER = 1.1
"""A law with more parameters must predict better than a simpler one by this factor."""
CLEARER = 2.0
"""Leaving out the least amount of data is advised where it divides the miss by this."""


AUTO: tuple[LawName, ...] = ("power", "power_floor", "kaplan", "additive", "joint")
"""Laws that `auto` weighs; a break and a count of repetitions must be asked for."""


def rivals(table: RunTable, *, uses_size: bool) -> list[LawName]:
    """Return the laws that a table's columns allow, from simple to rich."""
    if not uses_size or table.size is None:
        return ["power", "power_floor", "broken"]
    with_size: list[LawName] = ["kaplan", "additive", "joint"]
    return [*with_size, "repetition"] if table.unique is not None else with_size


def fit_law(
    table: RunTable,
    name: Choice,
    *,
    delta: float | Literal["auto"] = "auto",
    draws: int = 400,
    seed: int = 0,
    workers: int | None = 1,
    on_draw: Callable[[], object] | None = None,
) -> FitRecord:
    """Fit a law, or the best of those that the columns allow, and say what it supports.

    Raises:
        ConfigError: the table cannot carry the law.
        UnknownNameError: no such law.
    """
    compared: dict[str, HoldOut] = {}
    if name == "auto":
        candidates = [each for each in rivals(table, uses_size=table.size is not None) if each in AUTO]
        for each in candidates:
            width = noise_delta(table, form(each), table.axes()) if delta == "auto" else delta
            held = try_score(table, each, width)
            if held is not None:
                compared[each] = held
        if not compared:
            raise ConfigError(f"{table.path}: too few runs to compare laws by a hold-out; name one with --law")
        name = _best(candidates, {each: held.mare for each, held in compared.items()})
    found = estimate(table, name, delta=delta, draws=draws, seed=seed, workers=workers, on_draw=on_draw)
    held = compared.get(name) or try_score(table, name, found.delta)
    return FitRecord(
        estimate=found,
        holdout=held,
        warnings=(*warnings_of(found, held), *_ceiling(found, held), *short_words(read_checks(table.path))),
        compared={each: held.mare for each, held in compared.items()},
    )


def _ceiling(found: Estimate, held: HoldOut | None) -> list[str]:
    """Say so where a law misses because of its least amount of data."""
    if held is None or held.mare <= MISSED:
        return []
    again = score_without_least(found.table, found.law.name, found.delta)
    if again is None or again[1].mare * CLEARER > held.mare:
        return []
    return [
        f"Without the smallest amount ({again[0]:g}), the error on the same runs is {100 * again[1].mare:.0f}%: "
        "so little "
        "data may be no better than none, where no law of this kind holds; look at the curve, and try --drop "
        f"'data <= {again[0]:g}'."
    ]


def _best(candidates: list[LawName], errors: dict[str, float]) -> LawName:
    """Return the law with the least error; candidates run from simple to rich."""
    known = [each for each in candidates if each in errors]
    chosen = known[0]
    for each in known[1:]:
        if errors[each] * SIMPLER < errors[chosen]:
            chosen = each
    return form(chosen).name
