"""The short table at the end of the demo, read from the artefacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from counterpoint.core.records import Json


def summary_table(out: Path, seconds: Mapping[str, float]) -> str:
    """Return one line a robot: held-out error beside the best baseline, success by delay; then time and place."""
    offline = _results(out / "offline.json")
    rolled = [row for row in _results(out / "rollout.json") if row["delay_mode"] != "measured"]
    delays = sorted({float(str(row["delay_ms"])) for row in rolled if row["policy"] == "model"})
    header = ["robot", "error", "best baseline", *(f"success {delay:.0f} ms" for delay in delays), "hold still"]
    body = []
    for row in offline:
        robot = str(row["robot"])
        baselines = cast(dict[str, float], row["baselines"])
        cells = [robot, f"{float(str(row['next_action_mse'])):.3f}", f"{min(baselines.values()):.3f}"]
        cells += [_rate(rolled, robot, "model", delay) for delay in delays]
        body.append([*cells, _rate(rolled, robot, "hold", 0.0)])
    widths = [max(len(line[column]) for line in [header, *body]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [header, *body]]
    total = sum(seconds.values())
    return "\n".join([*lines, "", f"{total / 60:.1f} minutes in all; report: {out / 'report.html'}"])


def _rate(rows: list[dict[str, Json]], robot: str, policy: str, delay_ms: float) -> str:
    found = [
        row["success_rate"]
        for row in rows
        if (row["robot"], row["policy"], float(str(row["delay_ms"]))) == (robot, policy, delay_ms)
    ]
    rates = [float(str(rate)) for rate in found if rate is not None]
    if not rates:
        return "not measured" if found else "-"
    short = f" ({len(rates)} of {len(found)} tasks)" if len(rates) < len(found) else ""
    return f"{100 * sum(rates) / len(rates):.0f}%{short}"


def _results(path: Path) -> list[dict[str, Json]]:
    return cast(list[dict[str, Json]], json.loads(path.read_text(encoding="utf-8"))["results"])
