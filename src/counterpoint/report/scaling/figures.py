"""Figures of a fitted law: runs and curves, the check, what moves it, the forecast, what a percent costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from counterpoint.report.artefacts import Row, number, numbers, part, rows, text
from counterpoint.report.scaling.log_axis import around, plain_log
from counterpoint.report.scaling.words import data_axis, data_name, largest, loss_name, short
from counterpoint.report.style import FAINT, INK, PALETTE, Picture, canvas, to_svg


def size_colours(sizes: list[float]) -> dict[float, str]:
    """Return a colour for each size, dark for small to bright for large."""
    scale = colormaps["viridis"]
    places = np.linspace(0.05, 0.88, max(len(sizes), 2))
    return {size: to_hex(scale(place)) for size, place in zip(sorted(sizes), places, strict=False)}


def law_figure(data: Row) -> Picture:
    """Draw the runs and the law."""
    points, curves = part(data, "points"), rows(data, "curves")
    amounts, errors, sizes = (np.asarray(numbers(points, key)) for key in ("data", "loss", "size"))
    shades = size_colours(sorted({number(curve, "size") for curve in curves if curve.get("size") is not None}))
    with canvas(3.9) as (figure, axes):
        for curve in curves:
            colour = shades.get(number(curve, "size"), PALETTE[0])
            label = short(number(curve, "size")) if shades else "law"
            axes.plot(numbers(curve, "data"), numbers(curve, "error"), color=colour, lw=1.6, label=label)
        if len(sizes):
            known = np.asarray(list(shades))
            near = np.abs(np.log(sizes)[:, None] - np.log(known)[None]).argmin(axis=1)
            axes.scatter(amounts, errors, s=16, c=[shades[known[place]] for place in near], lw=0, zorder=3)
        else:
            axes.scatter(amounts, errors, s=20, color=PALETTE[1], zorder=3, label="runs")
        axes.set(xlabel=data_axis(data), ylabel=loss_name(data))
        plain_log(axes.xaxis, *around(amounts.tolist()))
        plain_log(axes.yaxis, *around(errors.tolist(), 1.06))
        _legend(axes, title="size" if shades else None)
        svg = to_svg(figure, "Error of every run against the amount of data, with the fitted law")
    meaning = "Dots are runs, lines the fitted law; both axes are logarithmic, so a straight line is a power law."
    if shades:
        meaning += " Colours are sizes of the model; where there are many, a dot takes the colour of the nearest line."
    return Picture(svg=svg, title="Runs and law", meaning=meaning)


def check_figure(data: Row) -> Picture | None:
    """Draw predicted against observed errors of the held-out runs."""
    held = part(data, "holdout")
    if not held:
        return None
    seen, said, low, high = (np.asarray(numbers(held, key)) for key in ("observed", "predicted", "low", "high"))
    inside = (seen >= low) & (seen <= high)
    with canvas(3.9) as (figure, axes):
        limits = around([*seen, *low, *high], 1.04)
        axes.plot(limits, limits, color=INK, lw=1.2, ls="--", label="as predicted")
        for chosen, colour, label in ((inside, PALETTE[0], "inside its interval"), (~inside, PALETTE[1], "outside")):
            if chosen.any():
                bars = np.stack([said - low, high - said]).clip(0)[:, chosen]
                axes.errorbar(seen[chosen], said[chosen], yerr=bars, fmt="o", ms=5, lw=1.2, color=colour, label=label)
        axes.set(xlabel=f"observed {loss_name(data)}", ylabel="predicted")
        plain_log(axes.xaxis, *limits)
        plain_log(axes.yaxis, *limits)
        _legend(axes)
        svg = to_svg(figure, "Predicted against observed error of the held-out runs")
    return Picture(
        svg=svg,
        title="Predicted against observed",
        meaning=f"{largest(held, 'most expensive').capitalize()} ({text(held, 'rule')}), predicted by the law "
        "fitted "
        "without them; bars are 95% intervals of a single new run. Above the dashed line the law was too pessimistic.",
    )


def sensitivity_figure(data: Row) -> Picture | None:
    """Draw the exponents under every change beside the fit's interval."""
    changes = [each for each in rows(data, "sensitivity") if part(each, "parameters")]
    params = part(part(data, "fit"), "params")
    names = [name for name in ("alpha", "beta") if name in params]
    if not changes:
        return None
    with canvas(0.34 * len(changes) + 1.5, width_in=12.0) as (figure, axes):
        axes.remove()
        for place, name in enumerate(names):
            panel = figure.add_subplot(1, len(names), place + 1)
            low, high = numbers(part(params, name), "ci95")
            panel.axvspan(low, high, color=PALETTE[0], alpha=0.15, lw=0)
            panel.axvline(number(part(params, name), "value"), color=PALETTE[0], lw=1.6)
            values = [number(part(each, "parameters"), name) for each in changes]
            outside = [name in str(each.get("outside")) for each in changes]
            colours = [PALETTE[1] if out else INK for out in outside]
            panel.scatter(values, -np.arange(len(changes)), c=colours, s=36, zorder=3)
            panel.set_yticks(-np.arange(len(changes)), [text(each, "what") for each in changes] if place == 0 else [])
            panel.set_ylim(-len(changes) + 0.4, 0.6)
            panel.set_xlabel(name if len(names) > 1 else f"{name}, exponent of the data")
            panel.grid(axis="y", visible=False)
        svg = to_svg(figure, "Exponents of the law under changes of the runs and of the loss")
    return Picture(
        svg=svg,
        title="How the exponents move",
        meaning="Each dot is the exponent with one thing changed; the line is the fit, the band its 95% interval. An "
        "orange dot lies outside the band: the law depends on what was changed there.",
        is_wide=True,
    )


def fan_figure(data: Row) -> Picture:
    """Draw the forecast with 80 and 95% intervals, grey where it is a guess."""
    fan, points = part(data, "fan"), part(data, "points")
    amounts, errors, sizes = (np.asarray(numbers(points, key)) for key in ("data", "loss", "size"))
    at = np.asarray(numbers(fan, "data"))
    far = number(fan, "far")
    own = np.isclose(sizes, number(fan, "size")) if len(sizes) else np.ones(len(amounts), dtype=np.bool_)
    with canvas(3.9) as (figure, axes):
        axes.fill_between(
            at, numbers(fan, "low95"), numbers(fan, "high95"), color=PALETTE[0], alpha=0.16, lw=0, label="95%"
        )
        axes.fill_between(
            at, numbers(fan, "low80"), numbers(fan, "high80"), color=PALETTE[0], alpha=0.3, lw=0, label="80%"
        )
        axes.plot(at, numbers(fan, "error"), color=PALETTE[0], lw=2, label="law")
        axes.scatter(amounts[own], errors[own], s=18, color=INK, zorder=3, label="runs")
        low, high = around([*numbers(fan, "low95"), *errors[own]], 1.08)
        axes.axvspan(far, at[-1], color="#eceff2", alpha=0.86, lw=0, zorder=2.5)
        axes.axvline(amounts.max(), color=FAINT, lw=1.1, ls=":")
        middle = (far * at[-1]) ** 0.5
        beside: dict[str, Any] = {"va": "top", "color": "#5b6b7a", "zorder": 4}
        axes.text(middle, 0.97, "a guess", transform=axes.get_xaxis_transform(), **beside, ha="center")
        axes.text(amounts.max() * 1.08, 0.97, "not tried", transform=axes.get_xaxis_transform(), **beside)
        axes.set(xlabel=data_axis(data), ylabel=loss_name(data))
        plain_log(axes.xaxis, float(at[0]) / 1.1, float(at[-1]))
        plain_log(axes.yaxis, low, high)
        _legend(axes)
        svg = to_svg(figure, "Forecast of the error with more data, with 80 and 95 percent intervals")
    size = "" if fan.get("size") is None else f" for the largest model ({short(number(fan, 'size'))})"
    return Picture(
        svg=svg,
        title="Forecast",
        meaning=f"The law{size} to 100 times the largest amount that was tried (dotted line), with 80 and 95% "
        "intervals of "
        "the law over redrawn runs. Beyond 10 times, in grey, it is a guess, whatever the intervals say.",
    )


def cost_figure(data: Row, prices: tuple[float, float]) -> Picture | None:
    """Draw the price of one percent of the error by data and by training; `prices`: an hour of data, of the device."""
    found = costs(data, prices)
    if found is None:
        return None
    at, by_data, by_size = found
    with canvas(3.9) as (figure, axes):
        shown = [(by_data, PALETTE[1], "more robot data")]
        if by_size is not None:
            shown.append((by_size, PALETTE[0], "a larger model, trained longer"))
        values: list[float] = []
        for curve, colour, label in shown:
            axes.fill_between(at, curve[:, 1], curve[:, 2], color=colour, alpha=0.18, lw=0)
            axes.plot(at, curve[:, 0], color=colour, lw=2, label=label)
            values += curve[:, 0].tolist()
        least, most = around(values, 2.0)
        plain_log(axes.yaxis, max(least, 1e-9), most)
        plain_log(axes.xaxis, float(at[0]), float(at[-1]))
        axes.axvline(at[-1] / 10, color=FAINT, lw=1.1, ls=":")
        axes.set(xlabel=data_axis(data, "data there are already"), ylabel="money for 1% less error")
        _legend(axes)
        svg = to_svg(figure, "Price of one percent less error by more data and by a larger model")
    unit = data_name(data)
    each = "an hour of robot data" if unit == "hours" else f"one unit of data (column {unit})"
    return Picture(
        svg=svg,
        title="What a percent costs",
        meaning=f"At {prices[0]:g} for {each} {_training(data, prices)}; bands are 95%. The dotted line is the largest "
        "amount that was tried" + ("." if by_size is None else "; the lower curve is the better buy."),
    )


def _training(data: Row, prices: tuple[float, float]) -> str:
    """Say whether the price of data has that of training on them."""
    if math.isfinite(number(part(data, "cost"), "gpu_hours_per_data")):
        return f"(the training on it included) and {prices[1]:g} for an hour of the training device"
    return "(without the training on it: no column gpu_hours says what runs took)"


def costs(data: Row, prices: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
    """Return amounts of data [points], and the money for 1% less error by data and by size, [points, 3] each.

    The three are value, low and high of 95%; infinite where the slope may be 0. None where there are no amounts.
    """
    cost = part(data, "cost")
    at = np.asarray(numbers(cost, "data"))
    if not len(at):
        return None
    unit = number(cost, "gpu_hours_per_data")
    training = unit * prices[1] if np.isfinite(unit) else 0.0  # money for each unit of data at this size
    by_data = 0.01 * (at * (prices[0] + training))[:, None] / _slopes(cost, "slope")
    if not np.isfinite(unit) or cost.get("size_slope") is None:
        return at, by_data, None
    return at, by_data, 0.01 * (at * training)[:, None] / _slopes(cost, "size_slope")


def _slopes(cost: Row, key: str) -> np.ndarray:
    """Return slopes [points, 3] such that dividing by them gives value, low, high; tiny where they may be 0."""
    raw = cost.get(key)
    table = np.asarray(raw if isinstance(raw, list) else [], dtype=np.float64)
    return np.maximum(table[:, [0, 2, 1]], 1e-12)


def _legend(axes: Axes, title: str | None = None) -> None:
    """Put the legend above the axes, where it covers nothing."""
    labels = axes.get_legend_handles_labels()[1]
    longest = max((len(label) for label in labels), default=0)
    axes.legend(
        ncols=2 if longest > 12 else 4, loc="lower left", bbox_to_anchor=(-0.02, 1.0), handlelength=1.2,
        columnspacing=1.2, title=title, alignment="left",
    )  # fmt: skip
