"""The report of a demo or a training run: one HTML file that loads nothing else."""

from __future__ import annotations

from pathlib import Path

from counterpoint.report.artefacts import load_artefacts
from counterpoint.report.layout import render_page, save_page
from counterpoint.report.overview import overview_table
from counterpoint.report.sections import all_sections
from counterpoint.report.verdict import cards, headline, lead


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of the run folder `run` to `out` (`run/report.html`); return its path.

    Raises:
        CounterpointError: the folder holds nothing to report, or the file cannot be written.
    """
    artefacts = load_artefacts(run)
    html = render_page(
        title=run.resolve().name,
        headline=headline(artefacts),
        lead=lead(artefacts),
        cards=cards(artefacts),
        overview=overview_table(artefacts),
        sections=all_sections(artefacts),
    )
    return save_page(html, out or run / "report.html")
