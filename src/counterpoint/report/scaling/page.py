"""The page of a fitted law, from report.json in the fit's folder: verdict first, every number with its interval."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import cast

from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.report.artefacts import Row, text
from counterpoint.report.layout import render_page, save_page
from counterpoint.report.scaling.sections import law_sections
from counterpoint.report.scaling.words import cards, summary, verdict

FORMAT = "counterpoint-scaling-report"
VERSION = 1
DATA_FILE = "report.json"


def write_scaling_report(
    folder: Path, out: Path | None = None, *, cost_hour: float = 60.0, gpu_hour: float = 2.5
) -> Path:
    """Write the page of the fit in `folder` to `out` (`folder/report.html`); return its path.

    Args:
        folder: with the report.json that `scale fit --out` wrote.
        out: the file.
        cost_hour: price of an hour (or whatever unit the data are counted in) of robot data.
        gpu_hour: price of an hour of the device that trains.

    Raises:
        CounterpointError: there is no report.json or it is damaged, or the page cannot be written.
        ConfigError: a price is negative.
    """
    if not (cost_hour >= 0 and gpu_hour >= 0 and math.isfinite(cost_hour + gpu_hour)):
        raise ConfigError(f"prices: expected amounts of 0 or more, got {cost_hour} and {gpu_hour}")
    data = _load(folder / DATA_FILE)
    html = render_page(
        title=f"law of {text(data, 'source')}",
        headline=verdict(data),
        lead=(summary(data),),
        cards=cards(data),
        sections=law_sections(data, (cost_hour, gpu_hour)),
    )
    return save_page(html, out or folder / "report.html")


def _load(path: Path) -> Row:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CounterpointError(
            f"{path}: cannot be read ({error}); 'counterpoint scale fit --out' writes it"
        ) from error
    if not isinstance(raw, dict) or (raw.get("format"), raw.get("version")) != (FORMAT, VERSION):
        raise CounterpointError(f"{path}: expected {FORMAT!r} version {VERSION}; run 'counterpoint scale fit' again")
    return cast(Row, raw)
