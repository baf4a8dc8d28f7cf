"""Figures of results: training, offline errors, closed loop, the law, cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from counterpoint.report.artefacts import Row, number, numbers, part, rows, text, tried
from counterpoint.report.scaling.log_axis import around, plain_log
from counterpoint.report.style import BASELINE_COLOURS, FAINT, INK, PALETTE, Picture, canvas, colours, to_svg


def training_figure(metrics: Sequence[Row]) -> Picture | None:
    """Draw the loss of each robot over training time."""
    robots = sorted({robot for row in metrics for robot in part(row, "loss_by_robot")})
    if len(metrics) < 2:
        return None
    palette = colours(robots)
    minutes = np.asarray([number(row, "elapsed_s") for row in metrics]) / 60
    losses = {robot: [number(part(row, "loss_by_robot"), robot) for row in metrics] for robot in robots}
    losses = losses or {"all": [number(row, "loss") for row in metrics]}
    with canvas() as (figure, axes):
        for robot, loss in losses.items():
            axes.plot(minutes, loss, color=palette.get(robot, PALETTE[0]), lw=1.8, label=robot)
        plain_log(axes.yaxis, *around([value for loss in losses.values() for value in loss]))
        axes.set_xlabel("minutes of training")
        axes.set_ylabel("flow-matching loss")
        _legend_above(axes)
        svg = to_svg(figure, "Training loss by robot")
    return Picture(
        svg=svg,
        title="Training",
        meaning="Squared error of the predicted action chunk at random flow times. One model learns all robots at "
        "once. Lower is better; levels differ because the robots' motions differ in scale.",
    )


def offline_figure(results: Sequence[Row]) -> Picture | None:
    """Draw next-action error beside the baselines, by robot."""
    if not results:
        return None
    robots = [text(row, "robot") for row in results]
    names = list(dict.fromkeys(name for row in results for name in part(row, "baselines")))
    with canvas(0.62 * len(robots) + 1.7) as (figure, axes):
        height = 0.8 / (1 + len(names))
        for place, row in enumerate(results):
            errors = [("policy", number(row, "next_action_mse"))]
            errors += [(name, number(part(row, "baselines"), name)) for name in names]
            for index, (name, value) in enumerate(errors):
                at = -place + 0.4 - (index + 0.5) * height
                colour = BASELINE_COLOURS.get(name, PALETTE[0])
                axes.barh(at, value, height=height * 0.92, color=colour, label=name if place == 0 else None)
            interval = numbers(row, "mse_ci95")
            if len(interval) == 2 and all(map(math.isfinite, interval)):
                axes.hlines(0.4 - place - 0.5 * height, interval[0], interval[1], color=INK, lw=1.6)
        axes.set_yticks([-place for place in range(len(robots))], robots)
        axes.set_xlabel("next-action error (normalised)")
        axes.grid(axis="y", visible=False)
        _legend_above(axes)
        svg = to_svg(figure, "Next-action error against baselines")
    return Picture(
        svg=svg,
        title="Policy beside baselines",
        meaning="Error over the whole horizon of an answer, for the policy (black line: 95% interval over episodes) "
        "and for three baselines: hold still, repeat the last command, extrapolate it. Shorter bars are better.",
    )


def horizon_figure(row: Row) -> Picture | None:
    """Draw one robot's error over the horizon, policy and baselines."""
    curves = part(row, "by_horizon")
    seconds = numbers(curves, "seconds")
    if not seconds:
        return None
    robot = text(row, "robot")
    with canvas(3.0) as (figure, axes):
        styles = {"hold": ":", "repeat": "--", "linear": "-."}
        for name in curves:
            if name == "seconds":
                continue
            style = styles.get(name, "-")
            colour = FAINT if name in styles else PALETTE[0]
            axes.plot(seconds, numbers(curves, name), style, color=colour, lw=2.2 if style == "-" else 1.4, label=name)
        plain_log(
            axes.yaxis, *around([value for name in curves if name != "seconds" for value in numbers(curves, name)])
        )
        axes.set_xlabel("seconds after the decision")
        axes.set_ylabel("error")
        _legend_above(axes)
        svg = to_svg(figure, f"Error over the horizon, {robot}")
    return Picture(
        svg=svg,
        title=f"Error over the horizon: {robot}",
        meaning="Error against how far ahead the command lies. Where the blue line is below the grey ones, the policy "
        "predicts better than the baselines do.",
    )


def success_figure(robot: str, rollouts: Sequence[Row]) -> Picture | None:
    """Draw success against delay for one robot, a line a task, with Wilson bars, beside holding still."""
    own = [row for row in tried(rollouts) if text(row, "robot") == robot]
    learned = [row for row in own if text(row, "policy") != "hold" and text(row, "delay_mode") != "measured"]
    if not learned:
        return None
    tasks = list(dict.fromkeys(text(row, "task") for row in learned))
    palette = colours([text(row, "task") for row in rollouts])
    with canvas(3.3) as (figure, axes):
        shifts = np.linspace(-4, 4, len(tasks)) if len(tasks) > 1 else np.zeros(1)
        for task, shift in zip(tasks, shifts, strict=True):
            line = sorted(
                (row for row in learned if text(row, "task") == task), key=lambda row: number(row, "delay_ms")
            )
            delay = np.asarray([number(row, "delay_ms") for row in line]) + shift
            rate = np.asarray([number(row, "success_rate") for row in line])
            bars = np.asarray([numbers(row, "ci95") for row in line]).T
            axes.errorbar(
                delay, 100 * rate, yerr=100 * np.abs(bars - rate), color=palette[task], marker="o", lw=2, capsize=3,
                elinewidth=1.1, label=task,
            )  # fmt: skip
        still = [100 * number(row, "success_rate") for row in own if text(row, "policy") == "hold"]
        if still:
            axes.axhline(float(np.mean(still)), color=FAINT, ls="--", lw=1.4, label="hold still")
        axes.set_ylim(-4, 104)
        axes.set_xticks(sorted({number(row, "delay_ms") for row in learned}))
        axes.set_xlabel("inference delay (ms)")
        axes.set_ylabel("success (%)")
        _legend_above(axes)
        svg = to_svg(figure, f"Success against delay, {robot}")
    return Picture(
        svg=svg,
        title=f"Success against delay: {robot}",
        meaning="Share of unseen worlds solved, with Wilson's 95% intervals. Dashed: a policy that holds still.",
    )


def law_figure(law: Row) -> Picture | None:
    """Draw error against the amount of data, with the fitted law and its band."""
    points, fits = rows(law, "points"), part(law, "fits")
    if not points:
        return None
    robots = list(dict.fromkeys(text(point, "robot") for point in points))
    palette = colours([robot for robot in robots if robot != "all"]) | {"all": INK}
    with canvas(4.0) as (figure, axes):
        for robot in robots:
            own = [point for point in points if text(point, "robot") == robot]
            data, error = [number(point, "data") for point in own], [number(point, "error") for point in own]
            axes.plot(data, error, "o", color=palette[robot], ms=7 if robot == "all" else 5, label=robot)
            curve = part(part(fits, robot), "band")
            grid = numbers(curve, "data")
            if grid:
                axes.plot(grid, numbers(curve, "error"), color=palette[robot], lw=2 if robot == "all" else 1)
                if robot == "all":
                    axes.fill_between(grid, numbers(curve, "low"), numbers(curve, "high"), color=INK, alpha=0.12, lw=0)
        axes.set_xscale("log")
        plain_log(axes.yaxis, *around([number(point, "error") for point in points], margin=1.25))
        ticks = sorted({number(point, "data") for point in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(text(law, "axis") or "amount of data")
        axes.set_ylabel("next-action error")
        _legend_above(axes)
        svg = to_svg(figure, "Error against data")
    return Picture(
        svg=svg,
        title="Error against the amount of data",
        meaning="Held-out error of small models that differ only in how many episodes they learned from. Both axes are "
        "logarithmic, so a power law is a straight line. Shaded: 95% band of the fit over all robots.",
    )


def _legend_above(axes: Axes) -> None:
    """Put the legend between title and plot, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles, labels, ncols=min(len(labels), 4), loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.2,
        handlelength=1.2, columnspacing=1.1, handletextpad=0.5,
    )  # fmt: skip


def cost_figure(stages: Sequence[Row]) -> Picture | None:
    """Draw what each stage took."""
    if not stages:
        return None
    names = [text(row, "stage") for row in stages][::-1]
    seconds = [number(row, "seconds") for row in stages][::-1]
    with canvas(0.36 * len(names) + 1.0) as (figure, axes):
        axes.barh(names, seconds, color=PALETTE[5], height=0.62)
        for place, value in enumerate(seconds):
            axes.text(value, place, f" {value:.0f} s", va="center", color=FAINT)
        axes.set_xlabel("seconds")
        axes.margins(x=0.12)
        axes.grid(axis="y", visible=False)
        svg = to_svg(figure, "Seconds by stage")
    return Picture(svg=svg, title="Time of each stage", meaning="Wall-clock seconds on this machine.")
