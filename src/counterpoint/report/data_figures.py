"""Figures of the data: when events happen and arrive, and how many hours there are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog import Summary
from counterpoint.core.clock import relative_seconds
from counterpoint.core.stream import Stream
from counterpoint.report.style import FAINT, PALETTE, Picture, canvas, colours, to_svg
from counterpoint.store import Store

EVENT_SPAN_S = 0.5


def event_figure(store: Store) -> Picture | None:
    """Draw half a second of the episode with the most streams: capture, arrival, and what a decision can use."""
    if not len(store):
        return None
    info = max(store.episodes, key=lambda one: (len(one.streams), one.duration_s))
    streams = {name: stream for name, stream in store.low(info.episode_id).items() if stream.spec.kind == "vector"}
    if not streams:
        return None
    start = max(int(stream.capture_ns[0]) for stream in streams.values() if len(stream))
    decision_s, origin = 0.3, start + int(0.2e9)
    with canvas(0.42 * len(streams) + 1.5, width_in=2 * 6.0) as (figure, axes):
        for row, (name, stream) in enumerate(sorted(streams.items(), reverse=True)):
            capture, arrival = _times(stream, origin)
            late = arrival > decision_s
            if name == "action":
                late = arrival >= decision_s
            colour = PALETTE[1] if name == "action" else PALETTE[0]
            for is_late, shade in ((False, colour), (True, "#c5ccd3")):
                chosen = late == is_late
                axes.hlines(np.full(chosen.sum(), row), capture[chosen], arrival[chosen], color=shade, lw=2, alpha=0.55)
                axes.plot(capture[chosen], np.full(chosen.sum(), row), "o", ms=5, color=shade)
                axes.plot(arrival[chosen], np.full(chosen.sum(), row), "|", ms=11, mew=2, color=shade)
        axes.axvline(decision_s, color=PALETTE[2], lw=1.5)
        axes.text(
            decision_s + 0.004,
            len(streams) - 0.45,
            "decision: only samples that have arrived can be used",
            color=PALETTE[2],
        )
        axes.set_yticks(range(len(streams)), sorted(streams, reverse=True))
        axes.set_ylim(-0.6, len(streams) - 0.1)
        axes.set_xlim(-0.005, EVENT_SPAN_S)
        axes.set_xlabel(f"seconds (robot {info.provenance.robot}, task {info.provenance.task or 'unnamed'})")
        axes.grid(axis="y", visible=False)
        svg = to_svg(figure, "Events of one episode on their own clocks")
    return Picture(
        svg=svg,
        title="Every stream keeps its own clock",
        meaning="A dot marks when a sample was captured, a bar when the computer received it. Streams differ in rate "
        "and latency. The decision uses the coloured samples; the grey ones have not arrived yet.",
        is_wide=True,
    )


def _times(stream: Stream, origin_ns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    capture = relative_seconds(stream.capture_ns, origin_ns)
    arrival = relative_seconds(stream.arrival_ns, origin_ns)
    shown = (arrival >= 0) & (capture <= EVENT_SPAN_S)
    return capture[shown], arrival[shown]


def hours_figure(stores: Mapping[str, Store], summaries: Mapping[str, Summary]) -> Picture | None:
    """Draw minutes or hours of robot time by robot, split by task."""
    spent: dict[str, dict[str, float]] = {}
    for store in stores.values():
        for info in store.episodes:
            task = (
                info.provenance.task
                if info.provenance.source == "simulation"
                else f"recorded ({info.provenance.source})"
            )
            by_task = spent.setdefault(info.embodiment, {})
            by_task[task] = by_task.get(task, 0.0) + info.duration_s
    if not spent:
        return None
    total_s = sum(summary.hours for summary in summaries.values()) * 3600
    unit, divisor = ("hours", 3600.0) if total_s > 3 * 3600 else ("minutes", 60.0)
    palette = colours([task for by_task in spent.values() for task in by_task])
    with canvas(0.5 * len(spent) + 1.6) as (figure, axes):
        robots = sorted(spent, reverse=True)
        left = np.zeros(len(robots))
        for task, colour in palette.items():
            width = np.asarray([spent[robot].get(task, 0.0) / divisor for robot in robots])
            axes.barh(robots, width, left=left, color=colour, label=task, height=0.62)
            left += width
        for place, value in enumerate(left):
            axes.text(value, place, f" {value:.1f}", va="center", color=FAINT)
        axes.set_xlabel(f"{unit} of robot time")
        axes.margins(x=0.12)
        axes.grid(axis="y", visible=False)
        axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(-0.02, 1.0), handlelength=1.0, columnspacing=1.0)
        svg = to_svg(figure, "Robot time by robot and task")
    return Picture(
        svg=svg,
        title="Training data",
        meaning="Robot time by robot and task, held-out episodes included.",
    )
