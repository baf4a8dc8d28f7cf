"""What a fit must not be used to claim, in words. A number never leaves without these."""

from __future__ import annotations

import numpy as np

from counterpoint.scaling.fitting.estimate import Estimate, runs_off
from counterpoint.scaling.fitting.holdout import HoldOut
from counterpoint.scaling.laws.forms import axes
from counterpoint.scaling.runs.diversity import confounded, pooled

MISSED = 0.05
"""Held-out runs off by more than this, on average: do not forecast."""
LEAST_EXPONENT = 0.02
"""An exponent's interval that reaches below this, 1.4% less error a doubling, shows no law."""
FEW_STARTS = 3
FEW_DRAWS = 40
_SMALL = 1e-3
_RUNS_OFF = "redrawn runs take it to a limit of the search"
NARROW = 10.0
"""Least ratio of most to least data for an exponent."""


def warnings_of(found: Estimate, held: HoldOut | None) -> list[str]:
    """Return every warning that goes with an estimate."""
    return [
        *found.table.warnings,
        *_pooled(found),
        *_floor(found),
        *_exponents(found),
        *_optimum(found),
        *_draws(found),
        *_range(found),
        *_prediction(held),
    ]


def shows_floor(found: Estimate) -> bool:
    """Return whether the runs show an error that no amount of data removes."""
    if "E" not in found.parameters:
        return False
    floor = found.parameters["E"]
    return floor.ci95[0] > 0.02 * float(found.table.loss.min()) and floor.profile95[0] > 0


def _pooled(found: Estimate) -> list[str]:
    """Say which columns vary with the data, or beside them, that the law does not know, and where runs are one."""
    table, words = found.table, []
    if len(table) > (runs := len(np.unique(table.run))) and runs <= len(found.vector):
        words.append(
            f"{len(table)} checkpoints of {runs} run{'s' * (runs > 1)}, for {len(found.vector)} parameters: how other "
            "runs would differ is hardly known. Profiles take checkpoints for independent, and are too narrow."
        )
    sizes = table.others.get(table.columns.get("size", ""))
    if not found.law.uses_size and sizes is not None and (count := len(set(sizes.tolist()))) > 1:
        words.append(
            f"{count} values of {table.columns['size']!r} are pooled, because this law does not depend on size. "
            "Fit one that does, or "
            "one size at a time with --drop."
        )
    for name, count in pooled(table):
        words.append(
            f"{count} values of {name!r} are pooled: runs of equal {table.columns['data']!r} differ in it, which this "
            "law does not know. Fit one at a time with --drop."
        )
    if grew := confounded(table):
        words.append(
            f"Volume or diversity? {', '.join(map(repr, grew))} grew with {table.columns['data']!r}: these runs cannot "
            "tell which of the two lowered the error."
        )
    unique = table.others.get(table.columns.get("unique", ""))
    is_number = unique is not None and unique.dtype.kind in "fiu"
    if found.law.name != "repetition" and unique is not None and is_number and np.less(unique, table.data).any():
        words.append(
            f"Data are repeated ({table.columns['unique']!r} is less than {table.columns['data']!r}), which "
            "this law takes for new data; fit --law repetition."
        )
    return words


def _floor(found: Estimate) -> list[str]:
    if "E" not in found.parameters:
        buys = 100 * (1 - 2 ** -_exponent(found))
        change = f"{buys:.0f}% less error" if buys >= 0 else f"{-buys:.0f}% more error"
        return [
            f"This law assumes E = 0; it did not measure it. The gain from doubling the data ({change}) holds "
            "only within the fitted range."
        ]
    if not shows_floor(found):
        return [
            "These runs cannot show a floor: the interval of E includes 0. The exponent describes the error above E, "
            "and depends on E."
        ]
    return []


def _exponents(found: Estimate) -> list[str]:
    words = []
    if np.ptp(found.table.log_loss) == 0:
        column, error = found.table.columns.get("loss", "loss"), found.table.loss[0]
        words.append(f"No law: {column!r} is {error:g} in every row. Check that it is the right column.")
    for name, parameter in found.parameters.items():
        if not np.isfinite(parameter.value):
            words.append(f"{name} is not identified: it is infinite when the exponent is near 0.")
        elif not parameter.identified:
            low, high = parameter.profile95
            closed = low > _SMALL and np.isfinite(high) and runs_off(found.law, name, found.draws, found.table.log_loss)
            flat = f"its profile stays flat towards {_open_side(low, high)}"
            words.append(f"{name} is not identified: {_RUNS_OFF if closed else flat}.")
    for name in ("alpha", "beta"):
        if name in found.parameters and found.law.name != "broken":
            low, high = found.parameters[name].ci95
            if not (np.isfinite(low) and np.isfinite(high)):
                words.append(f"No interval for {name}: there are too few runs to resample.")
            elif high < -LEAST_EXPONENT:
                words.append(
                    f"No law: the interval of {name}, [{low:.3f}, {high:.3f}], is below 0: more makes it worse."
                )
            elif low <= LEAST_EXPONENT:
                words.append(f"No law: the interval of {name}, [{low:.3f}, {high:.3f}], includes 0.")
    if "E" in found.parameters and not found.law.uses_size and not any(word.startswith("No law") for word in words):
        words += _fall(found)
    return words


def _fall(found: Estimate) -> list[str]:
    """Say so where the whole error hardly falls: beside a floor that takes nearly all of it, any exponent fits."""
    ends = np.asarray([found.table.data.min(), found.table.data.max()])
    x = axes(ends, None, None, found.reference)
    drops = [np.subtract(*found.law.log_error(vector, x)[0]) / np.log(ends[1] / ends[0]) for vector in found.draws]
    low = float(np.quantile(drops, 0.025))
    if low >= LEAST_EXPONENT:
        return []
    return [
        f"No law: the whole error, floor included, may fall with an exponent as small as {low:.3f} over these amounts."
    ]


def _optimum(found: Estimate) -> list[str]:
    reached, starts = found.solution.starts_at_optimum, found.solution.starts
    words = []
    if starts >= 2 * FEW_STARTS and reached < FEW_STARTS:
        words.append(f"Only {reached} of {starts} starts reached the optimum, which may be a local one.")
    limits = np.asarray(found.law.bounds(found.table.log_loss))
    at = [
        entry
        for entry, value, (low, high) in zip(found.law.vector, found.vector, limits, strict=True)
        if entry != "floor" and min(value - low, high - value) < 1e-6
    ]
    if "log_repeat" in at and found.vector[found.law.vector.index("log_repeat")] > 0:
        at.remove("log_repeat")
        words.append("R_D is at the limit of the search: in these runs a repeated unit is worth as much as a new one.")
    if at:
        words.append(f"The optimum is at a limit of the search ({', '.join(at)}): this law does not fit these runs.")
    return words


def _draws(found: Estimate) -> list[str]:
    drawn = len(found.draws)
    if 1 < drawn < FEW_DRAWS:
        return [
            f"The bootstrap used only {drawn} draws, so standard errors and intervals are rough; the default is 400."
        ]
    return []


def _range(found: Estimate) -> list[str]:
    words = []
    ratio = float(found.table.data.max() / found.table.data.min())
    if ratio < NARROW:
        words.append(f"Only {ratio:.1f}x between the smallest and the largest amount of data: exponents are imprecise.")
    if found.law.uses_size and found.table.size is not None:
        spread = float(found.table.size.max() / found.table.size.min())
        if spread < NARROW:
            words.append(
                f"Only {spread:.1f}x between the smallest and the largest model: the exponent of size is imprecise."
            )
    return words


def _prediction(held: HoldOut | None) -> list[str]:
    if held is None:
        return ["Not checked by extrapolation: without the largest runs, too few would be left."]
    words = []
    if held.mare > MISSED:
        words.append(
            f"The law missed the held-out runs ({held.rule}) by {100 * held.mare:.0f}% on average "
            f"(bias {100 * held.bias:+.0f}%): do not forecast with this law."
        )
    if held.misses_too_often:
        words.append(
            f"Only {100 * held.coverage:.0f}% of {held.runs} held-out runs are inside their 95% intervals; those of "
            "forecasts are too narrow."
        )
    return words


def _exponent(found: Estimate) -> float:
    parameters = found.parameters
    return parameters["alpha" if "beta" not in parameters else "beta"].value


def _open_side(low: float, high: float) -> str:
    sides = (["small values"] if low <= _SMALL else []) + (["large values"] if not np.isfinite(high) else [])
    return " and ".join(sides) or "a limit"
