"""The verb `scale forecast`: the data, training and money that an error needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments, interval

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class ForecastArguments(VerbArguments):
    """Arguments of `scale forecast`."""

    fit: Positional[Path]
    """Folder written by `scale fit --out`."""
    error: str
    """Target error: a number, or a multiple of the current one such as 0.8x."""
    at_size: float | None = None
    """Model size in parameters. Default: the largest in the runs."""
    cost_hour: float = 60.0
    """Price of one hour (or other unit) of robot data."""
    gpu_hour: float = 2.5
    """Price of one hour of the training device."""


def run_forecast(arguments: ForecastArguments) -> Reply:
    """Predict the data, training and money for an error; refuse if the law cannot tell."""
    from counterpoint.scaling.decisions.forecast import forecast
    from counterpoint.scaling.fitting.fit_record import load_fit
    from counterpoint.scaling.runs.cost import Prices, data_unit

    prices = Prices(hour=arguments.cost_hour, gpu_hour=arguments.gpu_hour)
    record = load_fit(arguments.fit)
    found = forecast(record, arguments.error, size=arguments.at_size, prices=prices)
    unit = data_unit(record.estimate.table) or "units of data"
    at = "" if found.size is None else f" at size {found.size:.4g}"
    lines = [f"target error {found.target:.4g}{at}; the law gives {found.error_now:.4g} at {found.data_now:.4g} {unit}"]
    if found.data is None:
        lines.append(f"refused: {found.refused}")
    else:
        assert found.data80 is not None  # given with every number
        assert found.data95 is not None
        lines.append(
            f"data needed: {found.data:.4g} {unit} (80% {interval(found.data80)}, 95% {interval(found.data95)}), "
            f"{found.extrapolation:.2g} times the largest amount in the runs"
        )
        lines.append(f"cost of the new data: {found.new_hours_cost:,.0f}")
        if found.gpu_hours is not None:
            lines.append(f"cost of training once on all of it: {found.gpu_cost:,.0f} ({found.gpu_hours:.3g} hours)")
    lines += [f"warning: {warning}" for warning in found.warnings]
    return Reply(data=found.to_dict(), text="\n".join(lines))


VERB = Verb(
    example="counterpoint scale forecast fit --error 0.8x --cost-hour 60 --gpu-hour 2.5",
    arguments=ForecastArguments,
    run=run_forecast,
)
