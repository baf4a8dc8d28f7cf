"""The verb `scale allocate`: the best model size and amount of data for a budget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments, interval

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class AllocateArguments(VerbArguments):
    """Arguments of `scale allocate`."""

    fit: Positional[Path]
    """Folder written by `scale fit --out`, of a law with model size."""
    flops: float | None = None
    """Budget in FLOPs."""
    money: float | None = None
    """Budget for data and training together, in money."""
    per_unit: float | None = None
    """FLOPs (or with --money, training hours) per unit of size x data. Default: taken from the runs."""
    cost_hour: float = 60.0
    """Price of one hour of robot data."""
    gpu_hour: float = 2.5
    """Price of one hour of the training device."""


def run_allocate(arguments: AllocateArguments) -> Reply:
    """Find the size and amount of data with the least error for a budget."""
    from counterpoint.scaling.decisions.allocate import allocate
    from counterpoint.scaling.fitting.fit_record import load_fit
    from counterpoint.scaling.runs.cost import Prices

    found = allocate(
        load_fit(arguments.fit),
        flops=arguments.flops,
        money=arguments.money,
        per_unit=arguments.per_unit,
        prices=Prices(hour=arguments.cost_hour, gpu_hour=arguments.gpu_hour),
    )
    lines = [
        f"size {found.size:.4g} (95% {interval(found.size95)}), data {found.data:.4g} (95% {interval(found.data95)}), "
        f"error {found.error:.4g} (95% {interval(found.error95)})",
        f"sizes between {found.near_sizes[0]:.4g} and {found.near_sizes[1]:.4g} are within 1% of the least error",
        *(f"warning: {warning}" for warning in found.warnings),
    ]
    return Reply(data=found.to_dict(), text="\n".join(lines))


VERB = Verb(
    example="counterpoint scale allocate fit --flops 1e21 --per-unit 6",
    arguments=AllocateArguments,
    run=run_allocate,
)
