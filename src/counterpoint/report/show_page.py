"""One episode as a small self-contained page: camera pictures over time, and a plot of each kind of channel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from counterpoint.core.clock import relative_seconds
from counterpoint.core.stream import Stream
from counterpoint.report.layout import save_page
from counterpoint.report.map_page import data_url
from counterpoint.report.style import PALETTE, canvas, to_svg
from counterpoint.report.template import page_template
from counterpoint.store import EpisodeInfo, Store

PICTURES = 8
PICTURE_PX = 240
MOST_POINTS = 1500
MOST_LINES = 8
"""More channels of a kind are shown in several plots."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Pictures of one camera."""

    name: str
    pictures: list[tuple[float, str]]
    """Seconds from the start, and the picture as a data URL."""


def write_episode_page(store: Store, episode_id: str, path: Path) -> Path:
    """Write the page of an episode and return its path.

    Raises:
        CounterpointError: the file cannot be written. StoreError: the episode is damaged. UnknownNameError: no episode.
    """
    info = store.info(episode_id)
    streams = store.low(episode_id)
    html = page_template("episode.html").render(
        title=episode_id,
        facts=_facts(info),
        texts=[
            (round(float(second), 2), str(text))
            for stream in streams.values()
            if stream.spec.kind == "text"
            for second, text in zip(relative_seconds(stream.capture_ns, info.start_ns), stream.values, strict=True)
        ],
        strips=_strips(store, info),
        plots=[
            plot for s in streams.values() if s.spec.kind == "vector" and len(s) for plot in _plots(s, info.start_ns)
        ],
        notes=list(info.provenance.notes),
    )
    return save_page(html, path, option="--html")


def _facts(info: EpisodeInfo) -> list[tuple[str, str]]:
    origin = info.provenance
    success = {True: "yes", False: "no", None: ""}[origin.success]
    facts = [
        ("robot", info.embodiment), ("task", origin.task), ("instruction", origin.instruction), ("site", origin.site),
        ("environment", origin.environment), ("source", origin.source), ("success", success),
        ("duration", f"{info.duration_s:.2f} s"), ("size", f"{info.num_bytes / 1e6:.2f} MB"), ("origin", origin.origin),
    ]  # fmt: skip
    return [(name, value) for name, value in facts if value]


def _strips(store: Store, info: EpisodeInfo) -> list[Strip]:
    strips = []
    for stream in info.streams:
        if stream.kind == "image" and stream.samples:
            samples = np.unique(np.linspace(0, stream.samples - 1, PICTURES).astype(np.int64))
            capture_ns, _ = store.frame_times(info.episode_id, stream.name)
            seconds = relative_seconds(capture_ns[samples], info.start_ns)
            urls = [data_url(pixels, PICTURE_PX) for pixels in store.frames(info.episode_id, stream.name, samples)]
            strips.append(
                Strip(name=stream.name, pictures=[(round(float(s), 2), u) for s, u in zip(seconds, urls, strict=True)])
            )
    return strips


def _plots(stream: Stream, start_ns: int) -> list[tuple[str, str]]:
    """Return (title, SVG) for each kind of channel of a stream."""
    rows = np.unique(np.linspace(0, len(stream) - 1, MOST_POINTS).astype(np.int64))
    seconds = relative_seconds(stream.capture_ns[rows], start_ns)
    values = np.asarray(stream.values)[rows]
    groups: dict[tuple[str, str], list[int]] = {}
    for place, channel in enumerate(stream.spec.channels):
        groups.setdefault((channel.quantity, channel.unit), []).append(place)
    found = []
    for (quantity, unit), places in groups.items():
        title = f"{stream.spec.name}: {quantity.replace('_', ' ')}" + (f" ({unit})" if unit != "1" else "")
        for first in range(0, len(places), MOST_LINES):
            some = places[first : first + MOST_LINES]
            part = f", {first + 1} to {first + len(some)} of {len(places)}" if len(places) > MOST_LINES else ""
            with canvas(2.6, width_in=7.5) as (figure, axes):
                for number, place in enumerate(some):
                    axes.plot(
                        seconds, values[:, place], color=PALETTE[number], lw=1.2, label=stream.spec.channels[place].name
                    )
                axes.set_xlabel("seconds")
                axes.margins(x=0.01)
                figure.legend(
                    *axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8, handlelength=1.2
                )
                found.append((title + part, to_svg(figure, title + part)))
    return found
