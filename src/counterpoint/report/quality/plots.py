"""A picture for a finding: the stream that shows it, with its range shaded, or thumbnails for a camera."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from counterpoint.catalog.quality import CheckName
from counterpoint.core.errors import CounterpointError
from counterpoint.core.stream import Stream
from counterpoint.report.quality.words import Mark
from counterpoint.report.style import FAINT, INK, PALETTE, canvas, to_svg
from counterpoint.store import Store, ViewFrames

MAX_POINTS = 700
MAX_LINES = 8
AROUND_S = 1.5
"""Seconds shown before and after a short range."""
SHADE = {"fail": "#c2503e", "warn": "#d9a32b", "note": "#8592a0"}
THUMBNAIL_PX = 150
TIMES: frozenset[CheckName] = frozenset({"gap", "drop", "rate", "repeated_time"})
DELAYS: frozenset[CheckName] = frozenset({"arrival_order", "clock_step", "clock_drift"})
PAIRS: frozenset[CheckName] = frozenset({"lag", "stuck"})


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The stretch of an episode in a plot, ns."""

    first: int
    last: int
    origin: int
    """Where the episode begins: 0 on the axis."""


def draw(store: Store, view: ViewFrames, mark: Mark, label: str) -> str | None:
    """Return inline SVG of what a mark is about, or None where there is nothing to draw."""
    try:
        streams = store.low(mark.episode_id)
        if mark.check in ("dark", "blur", "frozen_camera"):
            return _strip(store, view, mark, label)
        if mark.stream not in streams or len(streams[mark.stream]) < 2:
            return None
        return _plot(streams, mark, label)
    except CounterpointError:
        return None  # damage since the check; `check` reports it, a page about it need not fail


def _plot(streams: Mapping[str, Stream], mark: Mark, label: str) -> str:
    stream = streams[mark.stream]
    shown = _shown(streams, mark)
    times = stream.capture_ns
    with canvas(2.5) as (figure, axes):
        if mark.check in TIMES:
            _lines(axes, times[1:], np.diff(times)[:, None] / 1e6, shown, [""], style="steps-pre")
            axes.set_ylabel("ms since the last sample")
            axes.set_ylim(bottom=0)
            if mark.check == "gap":
                axes.axhline(mark.threshold, color=INK, lw=0.9, ls="--")
        elif mark.check in DELAYS:
            _lines(axes, times, (stream.arrival_ns - times)[:, None] / 1e6, shown, [""], marker=".")
            axes.set_ylabel("ms from capture to arrival")
        elif mark.check == "clock_skew" and mark.channel in streams:
            for name in (mark.channel, mark.stream):
                moved, speed = _speed(streams[name])
                _lines(axes, moved, speed[:, None], shown, [name])
            axes.set_ylabel("speed (share of maximum)")
            axes.legend(loc="best")
        elif mark.check in PAIRS and "action" in streams:
            _command_and_state(axes, streams, mark, shown)
        else:
            _values(axes, stream, mark, shown)
        start, end = ((at - shown.origin) / 1e9 for at in (mark.start_ns, mark.end_ns))
        least = (shown.last - shown.first) / 1e9 / 150  # keeps a single step visible
        axes.axvspan(start, max(end, start + least), color=SHADE[mark.severity], alpha=0.2, lw=0)
        axes.set_xlim((shown.first - shown.origin) / 1e9, (shown.last - shown.origin) / 1e9)
        axes.set_xlabel("seconds from the start of the episode")
        return to_svg(figure, label)


def _shown(streams: Mapping[str, Stream], mark: Mark) -> Shown:
    """Return the stretch to show: the range with some time around it, or the part with most motion of a long one."""
    stream = streams[mark.stream]
    origin = min(int(each.capture_ns[0]) for each in streams.values() if len(each))
    start, end, around = int(stream.capture_ns[0]), int(stream.capture_ns[-1]), int(AROUND_S * 1e9)
    if mark.check in ("lag", "clock_skew") and end - start > 4 * around:
        start, end = _liveliest(stream, 3 * around)
    elif mark.end_ns - mark.start_ns < 8 * around:
        start, end = max(start, mark.start_ns - around), min(end, mark.end_ns + around)
    return Shown(first=start, last=end, origin=origin)


def _liveliest(stream: Stream, length: int) -> tuple[int, int]:
    times = stream.capture_ns
    starts = np.linspace(int(times[0]), int(times[-1]) - length, 16).astype(np.int64)
    moved = [float(np.ptp(stream.between(int(at), int(at) + length).values, axis=0).sum()) for at in starts]
    start = int(starts[int(np.argmax(moved))])
    return start, start + length


def _values(axes: Axes, stream: Stream, mark: Mark, shown: Shown) -> None:
    names = stream.spec.channel_names
    if mark.channel in names:
        channel = stream.spec.channels[names.index(mark.channel)]
        _lines(axes, stream.capture_ns, stream.values[:, [names.index(mark.channel)]], shown, [""], marker=".")
        axes.set_ylabel(_short(f"{mark.channel}, {channel.unit}"))
        for limit in (channel.lower, channel.upper) if mark.check in ("limits", "saturation") else ():
            if np.isfinite(limit):
                axes.axhline(limit, color=INK, lw=0.9, ls="--")
        return
    inside = stream.between(shown.first, shown.last + 1).values
    livelier = np.argsort(-np.ptp(inside, axis=0))[:MAX_LINES] if len(inside) else np.arange(min(MAX_LINES, len(names)))
    values = stream.values[:, livelier].astype(np.float64)
    _lines(axes, stream.capture_ns, values - values.mean(axis=0), shown, [""] * len(livelier))
    axes.set_ylabel("value minus mean")


def _command_and_state(axes: Axes, streams: Mapping[str, Stream], mark: Mark, shown: Shown) -> None:
    state, action = streams[mark.stream], streams["action"]
    name = mark.channel
    if name not in state.spec.channel_names or name not in action.spec.channel_names:
        name = _busiest(action, state, mark.channel == "hands", shown)
    for stream, label in ((action, "command"), (state, "state")):
        column = stream.spec.channel_names.index(name)
        _lines(axes, stream.capture_ns, stream.values[:, [column]], shown, [label])
    unit = state.spec.channels[state.spec.channel_names.index(name)].unit
    axes.set_ylabel(_short(f"{name}, {unit}"))
    axes.legend(loc="best", ncols=2)


def _busiest(action: Stream, state: Stream, is_hand: bool, shown: Shown) -> str:
    """Return the joint that is commanded to move most, among the hands or among the others."""
    shared = [c for c in action.spec.channels if c.name in state.spec.channel_names]
    able = [c.name for c in shared if (c.part in ("hand", "gripper")) == is_hand] or [c.name for c in shared]
    inside = action.between(shown.first, shown.last + 1).values
    moved = np.ptp(inside, axis=0) if len(inside) else np.zeros(len(action.spec.channels))
    return max(able, key=lambda each: float(moved[action.spec.channel_names.index(each)]))


def _speed(stream: Stream) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return times and speed of a stream's positions over a tenth of a second, as a share of the greatest."""
    wanted = [i for i, c in enumerate(stream.spec.channels) if c.quantity in ("joint_position", "position")]
    times, values = stream.capture_ns, stream.values[:, wanted].astype(np.float64)
    apart = min(max(1, round(1e8 / max(float(np.median(np.diff(times))), 1.0))), len(times) - 1)
    speed = np.sqrt(((values[apart:] - values[:-apart]) ** 2).sum(axis=1))
    return (times[apart:] + times[:-apart]) // 2, speed / max(float(speed.max()), 1e-12)


def _short(words: str) -> str:
    return words if len(words) <= 30 else f"...{words[-27:]}"


def _lines(
    axes: Axes,
    times: NDArray[np.int64],
    values: NDArray[np.generic],
    shown: Shown,
    labels: Sequence[str],
    marker: str = "",
    style: Literal["default", "steps-pre"] = "default",
) -> None:
    """Draw each column over the stretch shown; many points become the least and greatest of their neighbours."""
    first, last = np.searchsorted(times, [shown.first, shown.last + 1])
    rows = slice(max(0, int(first) - 1), int(last) + 1)
    seconds = (times[rows] - shown.origin) / 1e9
    group = max(1, 2 * len(seconds) // MAX_POINTS)
    for column, label in zip(np.asarray(values[rows], np.float64).T, labels, strict=True):
        place = np.arange(len(column))
        if group > 1:
            cut = column[: len(column) // group * group].reshape(-1, group)
            base = np.arange(len(cut)) * group
            place = np.unique(np.concatenate([base + cut.argmin(axis=1), base + cut.argmax(axis=1)]))
        axes.plot(
            seconds[place],
            column[place],
            lw=1.2,
            color=PALETTE[len(axes.lines) % len(PALETTE)],
            label=label or None,
            marker=marker if len(seconds) < 250 else "",
            ms=3.5,
            drawstyle=style,
        )


def _strip(store: Store, view: ViewFrames, mark: Mark, label: str) -> str | None:
    """Return pictures before, within and after a range, side by side."""
    content = store.info(mark.episode_id).content_sha256
    times, _ = view.frame_times(content, mark.stream)
    first, last = np.searchsorted(times, [mark.start_ns, mark.end_ns + 1])
    inside = np.unique(np.linspace(first, last - 1, 4).astype(np.int64))
    wanted = np.unique(np.clip([first - 2, *inside, last + 1], 0, len(times) - 1))
    start = store.info(mark.episode_id).start_ns
    size, gap, parts = THUMBNAIL_PX, 8, []
    height = size
    for place, frame in enumerate(view.frames(content, mark.stream, wanted)):
        picture = Image.fromarray(frame)
        picture.thumbnail((2 * size, 2 * size))
        height = max(1, round(size * picture.height / picture.width))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=72)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        is_inside = first <= wanted[place] < last
        colour = SHADE[mark.severity] if is_inside else "#c5ccd3"
        left = 3 + place * (size + gap)
        parts.append(
            f'<image x="{left}" y="3" width="{size}" height="{height}" href="data:image/jpeg;base64,{data}"/>'
            f'<rect x="{left}" y="3" width="{size}" height="{height}" fill="none" stroke="{colour}" stroke-width="4"/>'
            f'<text x="{left}" y="{height + 28}" font-size="22" fill="{FAINT}" font-family="sans-serif">'
            f"{(times[wanted[place]] - start) / 1e9:.1f} s</text>"
        )
    width = len(parts) * (size + gap)
    head = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {max(width, 4 * size)} {height + 38}"'
    return f'{head} xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>' if parts else None
