"""The sections of the page of a fitted law, in the order they are read: each number with its interval."""

from __future__ import annotations

import math

from counterpoint.report.artefacts import Row, number, numbers, part, rows, text
from counterpoint.report.layout import Section, Table
from counterpoint.report.scaling.figures import (
    check_figure,
    cost_figure,
    costs,
    fan_figure,
    law_figure,
    sensitivity_figure,
)
from counterpoint.report.scaling.ossification import curves_figure, index_figure
from counterpoint.report.scaling.words import (
    data_name,
    data_units,
    largest,
    meanings,
    refuses_forecast,
    short,
    signed,
    threshold_words,
    warnings,
)
from counterpoint.report.style import Picture

LEAST_BIAS = 0.0005
"""Shares below this are printed as 0.0% and have no side."""
BETTER = 1.1
"""A law is called better where the other's held-out error is larger by this factor."""


def law_sections(data: Row, prices: tuple[float, float]) -> list[Section]:
    """Return the sections; `prices` are those of an hour of data and of the training device."""
    sections = [
        _check(data),
        _warnings(data),
        _law(data),
        _rivals(data),
        _sensitivity(data),
        _ossification(data),
        _forecast(data, prices),
        _diversity(data),
    ]
    return [section for section in sections if section is not None]


def _check(data: Row) -> Section:
    held = part(data, "holdout")
    title = "Does it predict runs that it has not seen?"
    if not held:
        words = "The law was not checked: too few runs would be left without the largest. Take no forecast from it."
        return Section(anchor="check", title=title, words=(words,))
    bias = number(held, "bias")
    side = "" if abs(bias) < LEAST_BIAS else f" (too {'pessimistic' if bias > 0 else 'optimistic'})"
    words = (
        f"Fitted without {largest(held, 'most expensive')} ({text(held, 'rule')}), the law misses "
        "these by "
        f"{100 * number(held, 'mare'):.1f}% on average, with a bias of {signed(bias)}{side}; "
        f"{100 * number(held, 'coverage'):.0f}% of them lie inside their 95% intervals."
    )
    columns = [numbers(held, key) for key in ("data", "predicted", "low", "high", "observed")]
    sizes = numbers(held, "size")
    body = tuple(
        (
            *((short(sizes[row]),) if sizes else ()), short(amount), f"{said:.4g}", f"[{low:.4g}, {high:.4g}]",
            f"{seen:.4g}", signed(said / seen - 1), "yes" if low <= seen <= high else "NO",
        )
        for row, (amount, said, low, high, seen) in enumerate(zip(*columns, strict=True))
    )  # fmt: skip
    size = ("size",) if sizes else ()
    table = Table(
        header=(*size, data_name(data), "predicted", "95% of a new run", "observed", "off by", "inside"),
        body=body,
        note="Predictions of the law fitted without these runs.",
        summary="Every held-out run",
    )
    return Section(anchor="check", title=title, words=(words,), pictures=_drawn(check_figure(data)), tables=(table,))


def _warnings(data: Row) -> Section | None:
    found = warnings(data)
    if not found:
        return None
    return Section(anchor="warnings", title="Read before you spend", remarks=tuple(found))


def _law(data: Row) -> Section:
    fit = part(data, "fit")
    params = part(fit, "params")
    body = tuple(
        (
            name, _value(number(each, "value")), _value(number(each, "se")), _interval(each, "ci95"),
            _interval(each, "profile95"), "yes" if each.get("identified") is True else "NO",
        )
        for name in params if (each := part(params, name))
    )  # fmt: skip
    table = Table(
        header=("", "value", "standard error", "95% bootstrap", "95% profile", "identified"),
        body=body,
        note=f"{meanings(text(fit, 'law'), params)} Bootstrap by run, never by checkpoint. The profile fits "
        "everything else again at each value of one "
        "parameter; where it stays flat, the runs do not identify the parameter, and its value means nothing by "
        "itself.",
    )
    words = (
        f"Huber loss of ln L, summed, delta {number(fit, 'delta'):.3g}: {number(fit, 'objective_sum'):.6g}; "
        f"{number(fit, 'starts_at_optimum'):.0f} of {number(fit, 'starts'):.0f} starts reach this optimum; single runs "
        f"scatter about the law by {100 * number(fit, 'residual_scale'):.2g}%."
    )
    return Section(anchor="law", title="The law", words=(words,), pictures=(law_figure(data),), tables=(table,))


def _rivals(data: Row) -> Section:
    laws = rows(data, "laws")
    scored = sorted(
        (each for each in laws if part(each, "holdout")), key=lambda each: number(part(each, "holdout"), "mare")
    )
    body = [
        (
            text(each, "law") + (" (this page)" if each.get("chosen") is True else ""),
            f"{number(each, 'parameters'):.0f}", f"{100 * number(held, 'mare'):.1f}%", signed(number(held, "bias")),
            f"{100 * number(held, 'coverage'):.0f}%", "",
        )
        for each in scored for held in (part(each, "holdout"),)
    ]  # fmt: skip
    body += [
        (text(each, "law"), f"{number(each, 'parameters'):.0f}", "-", "-", "-", text(each, "why_not"))
        for each in laws
        if not part(each, "holdout")
    ]
    header = ("law", "parameters", "held-out error", "bias", "inside 95%", "why not")
    columns = len(header) - all(not row[-1] for row in body)  # no empty column
    table = Table(
        header=header[:columns],
        body=tuple(row[:columns] for row in body),
        note="Every law that the columns allow, fitted without the same largest runs and scored on them. A close fit "
        "of the runs themselves says little; a simpler law that predicts as well is the better one.",
    )
    return Section(anchor="laws", title="Which law predicts best", words=_better(scored), tables=(table,))


def _better(scored: list[Row]) -> tuple[str, ...]:
    """Say so where another law, `scored` from the best, predicts clearly better than the page's own."""
    own = next((part(each, "holdout") for each in scored if each.get("chosen") is True), None)
    if own is None or scored[0].get("chosen") is True:
        return ()
    best = number(part(scored[0], "holdout"), "mare")
    if best * BETTER > number(own, "mare"):
        return ("No other law predicts the largest runs clearly better.",)
    name = text(scored[0], "law")
    return (
        f"Law {name} predicts the largest runs better: {100 * best:.1f}% against {100 * number(own, 'mare'):.1f}%.",
    )


def _sensitivity(data: Row) -> Section:
    changes = rows(data, "sensitivity")
    names = [name for name in ("alpha", "beta", "E") if name in part(part(data, "fit"), "params")]
    body = tuple(
        (
            text(each, "what"), f"{number(each, 'points'):.0f}",
            *(_value(number(values, name)) if (values := part(each, "parameters")) else "too few" for name in names),
        )
        for each in changes
    )  # fmt: skip
    moved = sum(1 for each in changes if each.get("outside"))
    tried = sum(1 for each in changes if part(each, "parameters"))
    words = (
        f"{moved} of {tried} changes move an exponent out of its 95% interval."
        if moved
        else f"None of {tried} changes moves an exponent out of its 95% interval."
    )
    table = Table(header=("change", "points", *names), body=body, note="", summary="All changes")
    return Section(
        anchor="sensitivity",
        title="How firm is it?",
        words=(words,),
        pictures=_drawn(sensitivity_figure(data)),
        tables=(table,),
    )


def _ossification(data: Row) -> Section | None:
    found = part(data, "ossification")
    if not found:
        return None
    title = "Do small models stop learning?"
    if text(found, "refused"):
        return Section(anchor="ossification", title=title, words=(f"Not tested: {text(found, 'refused')}.",))
    body = tuple(
        (
            short(number(each, "size")), text(each, "verdict"), f"{number(each, 'index'):.2f}", _interval(each, "ci95"),
            f"{number(each, 'p'):.2g}", *(f"{number(each, key):.3f}" for key in ("predicted_slope", "observed_slope")),
            "yes" if each.get("overfits") is True else "",
        )
        for each in rows(found, "sizes")
    )  # fmt: skip
    table = Table(
        header=("size", "verdict", "index", "95%", "p", "slope of the null", "slope seen", "rises at its end"),
        body=body,
        note="p is corrected for the three hinges and for the sizes. 'capacity-limited': the null itself is so flat "
        "there "
        "that the runs cannot tell. Never read this from a success rate alone.",
    )
    return Section(
        anchor="ossification",
        title=title,
        words=(threshold_words(found),),
        pictures=_drawn(curves_figure(data), index_figure(data)),
        tables=(table,),
    )


def _forecast(data: Row, prices: tuple[float, float]) -> Section:
    fan = part(data, "fan")
    columns = [numbers(fan, key) for key in ("data", "error", "low80", "high80", "low95", "high95")]
    most = numbers(part(data, "range"), "data")[1]
    body = []
    for times in (1, 2, 5, 10, 30, 100):
        row = min(range(len(columns[0])), key=lambda place: abs(math.log(columns[0][place] / (times * most))))
        at, error, low80, high80, low95, high95 = (column[row] for column in columns)
        note = "a guess" if times > 10 else ""
        body.append(
            (
                f"{times}x: {short(at)}",
                f"{error:.4g}",
                f"[{low80:.4g}, {high80:.4g}]",
                f"[{low95:.4g}, {high95:.4g}]",
                note,
            )
        )
    table = Table(
        header=(data_name(data), "error", "80%", "95%", ""),
        body=tuple(body),
        note="Intervals of the law; a single run scatters further.",
    )
    commands = ("counterpoint scale forecast FIT --error 0.8x     # what a wanted error needs",)
    words, cost = _cost(data, prices)
    refused = "The runs carry no forecast: what follows only shows where the fitted curve goes."
    return Section(
        anchor="forecast",
        title="What more data would do, and what it costs",
        words=((refused, words) if refuses_forecast(data) else (words,)),
        pictures=_drawn(fan_figure(data), cost),
        tables=(table,),
        commands=commands,
    )


def _cost(data: Row, prices: tuple[float, float]) -> tuple[str, Picture | None]:
    found = costs(data, prices)
    if found is None:
        return "", None
    at, by_data, by_size = found
    most = numbers(part(data, "range"), "data")[1]
    row = int(abs(at - most).argmin())
    words = f"At {short(most)} {data_units(data)}, one percent less error costs {_money(by_data[row])} of new data"
    if by_size is None:
        words += ". What a larger model would cost is not known: the runs need sizes and a column gpu_hours."
    else:
        better = "data" if by_data[row][0] < by_size[row][0] else "training a larger model"
        words += f", or {_money(by_size[row])} of training a larger model: {better} is the better buy there."
    return words, cost_figure(data, prices)


def _diversity(data: Row) -> Section:
    found = rows(data, "diversity")
    spread = numbers(part(data, "range"), "data")
    title = "Volume is not diversity"
    if not found:
        words = "The table has no column that counts environments, objects, robots, sites or tasks: the law is one of "
        words += f"{data_name(data)} alone, and says nothing of more of the same place."
        return Section(anchor="diversity", title=title, words=(words,))
    body = [(data_name(data), short(spread[0]), short(spread[1]), f"{spread[2]:.0f}", "the law's own axis")]
    for each in found:
        follows = number(each, "correlation")
        how = "does not vary" if math.isnan(follows) else f"{follows:.2f}"
        name = text(each, "column").replace("_", " ")
        body.append(
            (name, short(number(each, "least")), short(number(each, "most")), f"{number(each, 'different'):.0f}", how)
        )
    table = Table(
        header=("", "least", "most", "different values", "correlation with the amount (logs)"),
        body=tuple(body),
        note="Where diversity grows with volume (correlation near 1), the runs cannot tell which of the two helped: "
        "more "
        "hours in the same places may buy less than the law says.",
    )
    return Section(anchor="diversity", title=title, tables=(table,))


def _drawn(*pictures: Picture | None) -> tuple[Picture, ...]:
    return tuple(each for each in pictures if each is not None)


def _money(ends: list[float]) -> str:
    value, low, high = ends
    return f"{short(value)} [{short(low)}, {short(high) if high < 1e9 * max(value, 1e-9) else 'no end'}]"


def _value(value: float) -> str:
    if 0 < abs(value) < 1e-9:
        return "0"
    return (
        "-"
        if not math.isfinite(value)
        else f"{value:.4g}"
        if 1e-3 <= abs(value) < 1e5 or value == 0
        else f"{value:.3g}"
    )


def _interval(row: Row, key: str) -> str:
    ends = numbers(row, key)
    if len(ends) != 2:
        return "-"
    return (
        f"[{_value(ends[0]) if math.isfinite(ends[0]) else 'open'}, "
        f"{_value(ends[1]) if math.isfinite(ends[1]) else 'open'}]"
    )
