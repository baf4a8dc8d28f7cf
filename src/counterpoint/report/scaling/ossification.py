"""Figures of the ossification test: each size beside what the null predicts for it, and the index against size."""

from __future__ import annotations

import math

import numpy as np

from counterpoint.report.artefacts import Row, number, numbers, part, rows, text
from counterpoint.report.scaling.log_axis import around, plain_log
from counterpoint.report.scaling.words import data_axis, loss_name, short
from counterpoint.report.style import FAINT, INK, PALETTE, Picture, canvas, to_svg

COLOURS = {
    "ossifying": PALETTE[1],
    "regressing": "#b3263a",
    "capacity-limited": PALETTE[4],
    "no evidence": PALETTE[0],
}
MOST_PANELS = 12
_ACROSS = 4


def curves_figure(data: Row) -> Picture | None:
    """Draw a panel for each size: its runs, and the null's curve, which has not seen them beyond the hinge."""
    tested = rows(part(data, "ossification"), "sizes")
    if not tested:
        return None
    shown = tested if len(tested) <= MOST_PANELS else tested[:: math.ceil(len(tested) / MOST_PANELS)]
    points = part(data, "points")
    amounts, errors, sizes = (np.asarray(numbers(points, key)) for key in ("data", "loss", "size"))
    nulls = [value for each in shown for value in numbers(part(each, "null"), "error")]
    low, high = around([*errors.tolist(), *nulls], 1.08)
    down = math.ceil(len(shown) / _ACROSS)
    with canvas(2.6 * down + 0.5, width_in=12.0) as (figure, axes):
        axes.remove()
        for place, each in enumerate(shown):
            panel = figure.add_subplot(down, _ACROSS, place + 1)
            colour, null = COLOURS.get(text(each, "verdict"), INK), part(each, "null")
            own = np.isclose(sizes, number(each, "size"), rtol=1e-9)
            panel.axvspan(number(each, "hinge"), amounts.max() * 1.2, color="#f0f3f5", lw=0)
            panel.plot(numbers(null, "data"), numbers(null, "error"), color=INK, lw=1.5, ls="--")
            panel.scatter(amounts[own], errors[own], s=16, color=colour, zorder=3)
            panel.set_title(f"{short(number(each, 'size'))}: {text(each, 'verdict')}", color=colour, fontsize=11)
            plain_log(panel.xaxis, float(amounts.min()) / 1.2, float(amounts.max()) * 1.2, 4)
            plain_log(panel.yaxis, low, high, 5)
            panel.label_outer() if place + _ACROSS < len(shown) else None
        figure.supxlabel(data_axis(data), fontsize=11)
        figure.supylabel(loss_name(data), fontsize=11)
        svg = to_svg(figure, "Error of each size against data, beside the prediction of the null law")
    return Picture(
        svg=svg,
        title="Each size beside the null",
        meaning="Dots are runs. The dashed line is the null, a law without ossification, fitted without the runs of "
        "this "
        "and smaller sizes in the shaded part. Dots above the line at its end: the model takes less from more data "
        "than "
        "its size explains. A flat line alone shows nothing: small models level off under every law.",
        is_wide=True,
    )


def index_figure(data: Row) -> Picture | None:
    """Draw the index of each size with its interval."""
    tested = rows(part(data, "ossification"), "sizes")
    if not tested:
        return None
    bracket = numbers(part(part(data, "ossification"), "threshold"), "bracket")
    with canvas(3.6) as (figure, axes):
        if len(bracket) == 2:
            axes.axvspan(bracket[0], bracket[1], color=PALETTE[1], alpha=0.15, lw=0, label="threshold's bracket")
        for level, words in ((0.0, "healthy"), (1.0, "flat")):
            axes.axhline(level, color=FAINT, lw=1.1, ls="--")
            axes.text(1.0, level, f" {words}", transform=axes.get_yaxis_transform(), color=FAINT, va="center")
        for verdict, colour in COLOURS.items():
            own = [each for each in tested if text(each, "verdict") == verdict]
            if own:
                size, index = ([number(each, key) for each in own] for key in ("size", "index"))
                ends = np.asarray([numbers(each, "ci95") for each in own]).T
                bars = np.abs(ends - np.asarray(index))
                axes.errorbar(size, index, yerr=bars, fmt="o", ms=6, lw=1.4, color=colour, label=verdict)
        axes.set_ylim(-1.2, 2.4)
        plain_log(axes.xaxis, *around([number(each, "size") for each in tested], 1.5))
        axes.set(xlabel="size of the model", ylabel="ossification index")
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 1.0), handlelength=1.2, columnspacing=1.2)
        svg = to_svg(figure, "Ossification index of each size with its interval")
    return Picture(
        svg=svg,
        title="Index by size",
        meaning="1 - observed / predicted late slope: 0 where more data help as the null says, 1 where they help no "
        "more, "
        "above 1 where they hurt; bars are 95%, and end at the frame where they are longer.",
    )
