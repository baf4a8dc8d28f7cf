"""How figures look: one palette, and one size that stays readable on a phone."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = ("#2f6f9f", "#d1662f", "#3d8b5f", "#8a5aa8", "#b5892b", "#5b6b7a", "#c2506e", "#2a9d9d")
BASELINE_COLOURS = {"hold": "#9aa5b1", "repeat": "#c3cad2", "linear": "#dde2e7"}
INK, FAINT = "#22303c", "#8592a0"
WIDTH_IN = 6.0

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6eaee",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "svg.fonttype": "path",
    "text.parse_math": False,  # names of columns and robots are not formulas
    "svg.hashsalt": "counterpoint",
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the report."""

    svg: str
    """Inline SVG."""
    title: str
    meaning: str
    """One sentence: what it shows and how to read it."""
    is_wide: bool = False
    """Whether it takes two columns of the page on large screens."""


@contextmanager
def canvas(height_in: float = 3.4, *, width_in: float = WIDTH_IN) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure and its axes in our style. Needs no window system and leaves no global state behind."""
    with matplotlib.rc_context(RC):  # type: ignore[arg-type]  # the stubs list keys as literals
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        yield figure, figure.add_subplot()


def to_svg(figure: Figure, label: str) -> str:
    """Return inline SVG that scales with the page; screen readers get `label`."""
    buffer = io.StringIO()
    with matplotlib.rc_context(RC):  # type: ignore[arg-type]  # the stubs list keys as literals
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    raw = buffer.getvalue()
    body = raw[raw.index("<svg") :]
    body = re.sub(r'<svg ([^>]*?)width="[^"]*" ', r"<svg \1", body, count=1)
    body = re.sub(r'<svg ([^>]*?)height="[^"]*" ', r"<svg \1", body, count=1)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return unique_ids(body.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1), label)


def unique_ids(svg: str, label: str) -> str:
    """Prefix ids, so that several figures can share a page."""
    prefix = re.sub(r"[^a-z0-9]+", "-", label.lower())[:40]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name; the same names always get the same colours."""
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(sorted(set(names)))}
