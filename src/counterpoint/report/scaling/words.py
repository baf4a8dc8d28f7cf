"""A fitted law in words: the verdict in one sentence, what was fitted, headline numbers."""

from __future__ import annotations

import math

from counterpoint.report.artefacts import Row, number, numbers, part, rows, text
from counterpoint.report.layout import Card, Grade
from counterpoint.report.verdict import LEAST_EXPONENT

MISSED = 0.05
"""Mean absolute relative error of held-out runs beyond which a law must not forecast."""
FORMULAS = {
    "power": "L = (A / D)^alpha",
    "power_floor": "L = E + (A / D)^alpha",
    "additive": "L = E + A N^-alpha + B D^-beta",
    "kaplan": "L = [(A / N)^(alpha/beta) + B / D]^beta",
    "joint": "L = E + [(A N^-alpha)^(1/gamma) + (B D^-beta)^(1/gamma)]^gamma",
    "broken": "L = E + A D^-alpha [1 + (D / D_1)^(1/gamma)]^(-beta gamma)",
    "repetition": "L = E + A N'^-alpha + B D'^-beta, where repeated data and spare size count less",
}
MEANINGS = {
    "E": "E: the floor, an error that neither data nor size removes.",
    "D_c": "D_c (and A): the amount of data at which the error above the floor would be 1.",
    "B": "A, B: how large the parts of size and of data are.",
    "alpha": "alpha: the exponent of the size.",
    "beta": "beta: the exponent of the data.",
    "gamma": "gamma: how the two terms blend; 1 adds them.",
    "D_1": "D_1: where the slope breaks.",
    "R_D": "R_D: passes over the same data beyond which more passes add little.",
    "R_N": "R_N: the same for spare size.",
}
_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k"))


def verdict(data: Row) -> str:
    """Return what the runs support, in one sentence with its interval; or what they do not."""
    held, law = part(data, "holdout"), text(part(data, "fit"), "law")
    exponent = data_exponent(data)
    if shows_no_law(data):
        return f"No law: {_doubling(data)}; these runs do not show that data help."
    claim = _claim(data, law, exponent)
    if held and number(held, "mare") > MISSED:
        return (
            f"Do not forecast with this law: it missed the largest runs by {100 * number(held, 'mare'):.0f}% on "
            "average. "
            f"Within the runs, {claim}."
        )
    checked = (
        f"; the largest runs were predicted within {100 * number(held, 'mare'):.2g}%"
        if held
        else "; not checked by extrapolation"
    )
    return f"{claim[0].upper()}{claim[1:]}{checked}."


def shows_no_law(data: Row) -> bool:
    """Whether the exponent of the data, or what the whole error falls by, may be nothing."""
    exponent = data_exponent(data)
    flat = any(words.startswith("No law: the whole error") for words in warnings(data))
    return flat or (exponent is not None and not exponent[1] > LEAST_EXPONENT)


def refuses_forecast(data: Row) -> bool:
    """Whether the runs carry no forecast: no law, or one that missed the largest runs."""
    held = part(data, "holdout")
    return shows_no_law(data) or (bool(held) and number(held, "mare") > MISSED)


def meanings(law: str, params: Row) -> str:
    """Return what the parameters of a law are, in words."""
    own = {**MEANINGS, "alpha": "alpha: the exponent of the data."} if "beta" not in params else MEANINGS
    if law == "broken":
        own = {**own, "alpha": "alpha: the exponent before the break.", "beta": "beta: what the break adds to it."}
    return " ".join(words for name, words in own.items() if name in params)


def _claim(data: Row, law: str, exponent: tuple[float, float, float] | None) -> str:
    unit, spread = data_units(data), numbers(part(data, "range"), "data")
    between = f"from {short(spread[0])} to {short(spread[1])} {unit}"
    floor = part(part(part(data, "fit"), "params"), "E")
    above = ""
    if data.get("shows_floor") is True:
        low, high = numbers(floor, "ci95")
        above = f"a floor of {number(floor, 'value'):.3g} [{low:.3g}, {high:.3g}]"
    if exponent is not None and above and not numbers(part(data, "range"), "size"):
        return f"twice the data cut the error above {above} by {_percents(exponent)}, {between}"
    if exponent is not None and law == "power":
        return f"twice the data cut the error by {_percents(exponent)}, {between}, assuming no floor"
    unknown = "; these runs do not show whether there is a floor" if floor else ""
    return _doubling(data) + (f", towards {above}" if above else unknown)


def _doubling(data: Row) -> str:
    """Return what the last doubling of the data did to the whole error, by the law: of the largest model."""
    gain = part(data, "doubling")
    low, high = numbers(gain, "ci95")
    at = "" if gain.get("size") is None else " of the largest model"
    span = f"{_percent(number(gain, 'value'))}% [{_percent(low)}, {_percent(high)}]"
    last = number(gain, "at")
    return f"twice the data, {short(last / 2)} to {short(last)} {data_units(data)}, cut the error{at} by {span}"


def _percent(share: float) -> str:
    return f"{round(100 * share, 2):.2g}" if math.isfinite(share) else "-"


def data_exponent(data: Row) -> tuple[float, float, float] | None:
    """Return the exponent of the data with its 95% interval; None where a law has no single one."""
    fit = part(data, "fit")
    if text(fit, "law") == "broken":
        return None
    params = part(fit, "params")
    parameter = part(params, "beta") or part(params, "alpha")
    interval = numbers(parameter, "ci95")
    return (number(parameter, "value"), interval[0], interval[1]) if len(interval) == 2 else None


def _percents(exponent: tuple[float, float, float]) -> str:
    """Return what a doubling buys: 24% [21, 27]."""
    value, low, high = (100 * (1 - 2**-each) for each in exponent)
    return f"{value:.0f}% [{low:.0f}, {high:.0f}]"


def summary(data: Row) -> str:
    """Return what was fitted to what."""
    fit = part(data, "fit")
    spread = part(data, "range")
    amounts, sizes = numbers(spread, "data"), numbers(spread, "size")
    of_sizes = f", {sizes[2]:.0f} sizes from {short(sizes[0])} to {short(sizes[1])}" if sizes else ""
    law = text(fit, "law")
    return (
        f"Law {law}, {FORMULAS.get(law, '')}, fitted to {number(fit, 'n_points'):.0f} points of "
        f"{number(fit, 'n_runs'):.0f} runs in {text(data, 'source')}: {amounts[2]:.0f} amounts from "
        f"{short(amounts[0])} to "
        f"{short(amounts[1])} {data_units(data)}{of_sizes}."
    )


def cards(data: Row) -> list[Card]:
    """Return the headline numbers."""
    found: list[Card] = []
    exponent = data_exponent(data)
    if exponent is not None:
        sound = exponent[1] > LEAST_EXPONENT
        label = f"exponent of the data ({_interval(exponent[1], exponent[2], '.2f')})"
        has_floor = bool(part(part(part(data, "fit"), "params"), "E"))
        above = ", of the error above the floor" if has_floor else ""
        if numbers(part(data, "range"), "size"):
            above = ", of the part of the error that data remove"
        found.append(Card(value=f"{exponent[0]:.2f}", label=label + above, mark="good" if sound else "bad"))
    floor = part(part(part(data, "fit"), "params"), "E")
    if floor:
        shown = data.get("shows_floor") is True
        value = f"{number(floor, 'value'):.3g}" if shown else "none shown"
        low, high = numbers(floor, "ci95")
        low = 0.0 if low <= 1e-9 * high else low
        found.append(Card(value=value, label=f"floor of the error ({_interval(low, high, '.2g')})"))
    found.append(_check_card(part(data, "holdout")))
    ossified = part(data, "ossification")
    if ossified:
        found.append(_ossification_card(ossified))
    count = len(warnings(data))
    if count:
        found.append(
            Card(value=str(count), label=f"warning{'s' * (count != 1)} to read before you spend", mark="mixed")
        )
    return found


def _check_card(held: Row) -> Card:
    if not held:
        return Card(value="unchecked", label="too few runs to hold the largest out", mark="mixed")
    mare = number(held, "mare")
    mark: Grade = "good" if mare <= MISSED else "bad"
    label = f"mean error in predicting {largest(held)}, bias {signed(number(held, 'bias'))}"
    return Card(value=f"{100 * mare:.1f}%", label=label, mark=mark)


def largest(held: Row, what: str = "largest") -> str:
    """Return the held-out runs in words: the 14 largest runs."""
    count = number(held, "runs")
    return f"the {what} run" if count == 1 else f"the {count:.0f} {what} runs"


def _ossification_card(found: Row) -> Card:
    if text(found, "refused"):
        return Card(value="not tested", label="whether small models stop learning: too few sizes or amounts")
    sizes = rows(found, "sizes")
    stopped = [each for each in sizes if text(each, "verdict") in ("ossifying", "regressing")]
    mark: Grade = "bad" if stopped else "good"
    return Card(value=f"{len(stopped)} of {len(sizes)}", label="sizes stop absorbing data (ossify)", mark=mark)


def threshold_words(found: Row) -> str:
    """Return whether a threshold of size is claimed."""
    threshold = part(found, "threshold")
    bracket = numbers(threshold, "bracket")
    if len(bracket) == 2:
        return f"Threshold between {short(bracket[0])} and {short(bracket[1])}: {text(threshold, 'reason')}."
    return f"No threshold of size is claimed: {text(threshold, 'reason')}."


def _interval(low: float, high: float, form: str) -> str:
    return f"95% {low:{form}} to {high:{form}}" if math.isfinite(low + high) else "too few runs for an interval"


def warnings(data: Row) -> list[str]:
    """Return every warning of the fit and of the ossification test, each once."""
    said: list[str] = []
    for source in (data, part(data, "ossification")):
        each = source.get("warnings")
        said += [str(words) for words in each] if isinstance(each, list) else []
    return list(dict.fromkeys(said))


def data_name(data: Row) -> str:
    """Return the name of the column that counts data, in words."""
    return (text(part(data, "columns"), "data") or "data").replace("_", " ")


def data_units(data: Row) -> str:
    """Return what to call amounts in a sentence: the column's name, or `units` where it is called data."""
    name = data_name(data)
    return "units" if name == "data" else name


def data_axis(data: Row, words: str = "data") -> str:
    """Return the label of an axis of amounts."""
    name = data_name(data)
    return words if name == "data" else f"{words} ({name})"


def loss_name(data: Row) -> str:
    """Return the name of the column of errors, in words."""
    return (text(part(data, "columns"), "loss") or "error").replace("_", " ")


def short(value: float) -> str:
    """Return a number in few characters: 0.05, 300, 12k, 1.5M, 3B."""
    if not math.isfinite(value):
        return "-"
    for least, suffix in _SUFFIXES:
        if abs(value) >= 0.9995 * least:
            scale = 1e3 if suffix == "k" else least
            return f"{value / scale:.3g}{suffix}" if value / scale < 999.5 else f"{value:.2g}"
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def signed(share: float) -> str:
    """Return a share as a signed percentage."""
    return f"{100 * share:+.1f}%"
