"""Verbs that tell the whole story: `demo` and `report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments


@dataclass(frozen=True, kw_only=True)
class DemoArguments(VerbArguments):
    """Arguments of `demo`."""

    out: Path = Path("demo-out")
    """Folder for everything the demo makes; the report is report.html in it."""
    logs: Path | None = None
    """Folder with recordings of real robots (LeRobot datasets) to train on too."""


@dataclass(frozen=True, kw_only=True)
class ReportArguments(VerbArguments):
    """Arguments of `report`."""

    run: Positional[Path]
    """Run folder, as written by `demo` or `train`, or the folder of a fit, as written by `scale fit --out`."""
    out: Path | None = None
    """File to write; report.html in the run folder where left out."""
    cost_hour: float = 60.0
    """Of a fit: price of an hour (or whatever unit the data are counted in) of robot data."""
    gpu_hour: float = 2.5
    """Of a fit: price of an hour of the device that trains."""


def run_demo(arguments: DemoArguments) -> Reply:
    """Go the whole way: collect, ingest, train, evaluate, roll out, fit a law, report."""
    from counterpoint import demo

    result = demo.run_demo(arguments.out, logs=arguments.logs)
    return Reply(data=result.to_dict(), text=f"{result.summary}\n\ndone; open {result.report}")


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
        from counterpoint.scaling.report_data import save_report_data

        save_report_data(load_fit(arguments.run), arguments.run)
    return write_scaling_report(
        arguments.run, arguments.out, cost_hour=arguments.cost_hour, gpu_hour=arguments.gpu_hour
    )


VERBS = (
    Verb(
        name="demo",
        summary="The whole way in ten minutes: collect, train, evaluate, roll out, report.",
        example="counterpoint demo --out demo-out --logs recordings",
        arguments=DemoArguments,
        run=run_demo,
        resume="run the same command again; stages that are done are not repeated.",
    ),
    Verb(
        name="report",
        summary="Write a run as one self-contained HTML file with figures and tables.",
        example="counterpoint report demo-out",
        arguments=ReportArguments,
        run=run_report,
    ),
)
