"""The verb `report`: a run or a fit as one HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments


@dataclass(frozen=True, kw_only=True)
class ReportArguments(VerbArguments):
    """Arguments of `report`."""

    run: Positional[Path]
    """Folder written by `demo`, `train` or `scale fit --out`."""
    out: Path | None = None
    """HTML file to write. Default: report.html in the run folder."""
    cost_hour: float = 60.0
    """For a fit: price of one hour (or other unit) of robot data."""
    gpu_hour: float = 2.5
    """For a fit: price of one hour of the training device."""


def run_report(arguments: ReportArguments) -> Reply:
    """Write one self-contained HTML file."""
    from counterpoint.report import write_report

    if (arguments.run / "fit.json").is_file():
        path = _report_fit(arguments)
    else:
        path = write_report(arguments.run, arguments.out)
    return Reply(data={"report": str(path)}, text=f"wrote {path}")


def _report_fit(arguments: ReportArguments) -> Path:
    """Write the page of a fit, computing what it shows where the fit was saved without."""
    from counterpoint.report.scaling.page import DATA_FILE, write_scaling_report

    if not (arguments.run / DATA_FILE).is_file():
        from counterpoint.scaling.fitting.fit_record import load_fit
        from counterpoint.scaling.page_data import save_report_data

        save_report_data(load_fit(arguments.run), arguments.run)
    return write_scaling_report(
        arguments.run, arguments.out, cost_hour=arguments.cost_hour, gpu_hour=arguments.gpu_hour
    )


VERB = Verb(
    example="counterpoint report demo-out",
    arguments=ReportArguments,
    run=run_report,
)
