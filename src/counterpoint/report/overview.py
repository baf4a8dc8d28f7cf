"""The result in one table: success by robot and delay beside holding still, and the error on held-out episodes."""

from __future__ import annotations

from collections.abc import Sequence

from counterpoint.report.artefacts import Artefacts, Row, number, part, text, tried
from counterpoint.report.layout import Table

NOTE = (
    "Success is the share of unseen worlds solved, averaged over tasks. Error is on episodes that training never saw; "
    "the best baseline is the best of holding still, repeating the last command and extrapolating it."
)


def overview_table(artefacts: Artefacts) -> Table | None:
    """Return one row for each robot; None where nothing was evaluated."""
    rolled = [row for row in artefacts.rollouts if text(row, "delay_mode") != "measured"]
    delays = sorted({number(row, "delay_ms") for row in rolled if is_model(row)})
    errors = {text(row, "robot"): row for row in artefacts.offline}
    robots = list(dict.fromkeys([*(text(row, "robot") for row in rolled), *errors]))
    if not robots:
        return None
    header = ["robot"]
    if rolled:
        header += [*(f"success at {delay:.0f} ms" for delay in delays), "holding still"]
    header += ["error", "best baseline"] if errors else []
    body = []
    for robot in robots:
        own = [row for row in rolled if text(row, "robot") == robot]
        cells = [robot]
        if rolled:
            cells += [_success([row for row in own if is_model(row) and number(row, "delay_ms") == d]) for d in delays]
            cells.append(_success([row for row in own if not is_model(row)]))
        if errors:
            cells += _error(errors.get(robot, {}))
        body.append(tuple(cells))
    return Table(header=tuple(header), body=tuple(body), note=NOTE)


def is_model(row: Row) -> bool:
    """Return whether a row of rollouts is of the trained policy."""
    return text(row, "policy") not in ("hold", "expert")


def _success(rows: Sequence[Row]) -> str:
    """Return the mean over tasks; says where the time budget left tasks out."""
    rates = [number(row, "success_rate") for row in tried(rows)]
    if not rates:
        return "not measured" if rows else "-"
    partial = f" ({len(rates)} of {len(rows)} tasks)" if len(rates) < len(rows) else ""
    return f"{100 * sum(rates) / len(rates):.0f}%{partial}"


def _error(row: Row) -> tuple[str, str]:
    if not row:
        return "-", "-"
    baselines = part(row, "baselines")
    best = min((number(baselines, name) for name in baselines), default=float("nan"))
    return f"{number(row, 'next_action_mse'):.3f}", f"{best:.3f}"
