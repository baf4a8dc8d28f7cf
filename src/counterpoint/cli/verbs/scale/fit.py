"""The verb `scale fit`: a scaling law from a table of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from counterpoint.cli.verb import Reply, Verb, interval, table
from counterpoint.cli.verbs.scale.run_table import TableArguments, read_table
from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    from counterpoint.scaling.fitting.fit_record import FitRecord


@dataclass(frozen=True, kw_only=True)
class FitArguments(TableArguments):
    """Arguments of `scale fit`."""

    law: Literal["power", "power_floor", "additive", "kaplan", "joint", "broken", "repetition", "auto"] = "auto"
    """Form of the law; `auto` picks the one that best predicts the most expensive runs."""
    unique: str | None = None
    """Column of the amount of unique data, for `repetition`. Default: found by name."""
    delta: str = "auto"
    """Huber threshold of ln L: a number such as 1e-3, or `auto` for 1.35 standard deviations between seeds."""
    bootstrap: int = 400
    """Bootstrap draws for the intervals."""
    out: Path | None = None
    """Folder for the fit and its page, report.html; `scale verify`, `forecast` and `allocate` read it."""
    report: bool = True
    """With --out, skip the comparison with rival laws and the page."""
    workers: int | None = None
    """Number of processes for the bootstrap; the result does not depend on it. Default: one per core if worth it."""
    cost_hour: float = 60.0
    """Price of one hour (or other unit) of robot data, for the page."""
    gpu_hour: float = 2.5
    """Price of one hour of the training device, for the page."""


def run_fit(arguments: FitArguments) -> Reply:
    """Fit a law and print its parameters with intervals, its check by extrapolation and its warnings."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.fitting.choose import fit_law
    from counterpoint.scaling.runs.diversity import describe_diversity

    delta = _checked(arguments)
    runs = read_table(
        arguments,
        needs_size=None if arguments.law == "auto" else _uses_size(arguments.law),
        needs_unique=arguments.law == "repetition" or arguments.unique is not None,
        unique=arguments.unique,
    )
    with Progress("bootstrap", total=arguments.bootstrap, unit="draw", leave=False) as progress:
        record = fit_law(
            runs,
            arguments.law,
            delta=delta,
            draws=arguments.bootstrap,
            workers=arguments.workers,
            on_draw=progress.update,
        )
    found = record.estimate
    rows = [
        (name, each.value, each.se, interval(each.ci95), interval(each.profile95), "yes" if each.identified else "NO")
        for name, each in found.parameters.items()
    ]
    used = ("data", "loss", *(["size"] if found.law.uses_size else []))
    columns = ", ".join(f"{role} {found.table.columns[role]!r}" for role in used if role in found.table.columns)
    lines = [
        f"{arguments.runs}: {columns}",
        describe_diversity(found.table),
        f"law {found.law.name}, {len(runs)} points, Huber delta {found.delta:.3g}, loss "
        f"{found.solution.objective:.6g}, {found.solution.starts_at_optimum} of {found.solution.starts} starts agree",
        "",
        table(("parameter", "value", "se", "95% interval", "95% profile", "identified"), rows),
    ]
    if record.compared:
        compared = ", ".join(f"{name} {100 * error:.1f}%" for name, error in record.compared.items())
        lines += ["", f"held-out error of each law: {compared}"]
    if record.holdout is not None:
        held = record.holdout
        lines += [
            "",
            f"{held.runs} held-out runs ({held.rule}): error {100 * held.mare:.1f}%, bias {100 * held.bias:+.1f}%, "
            f"{100 * held.coverage:.0f}% inside their 95% intervals",
        ]
    lines += ["", *(f"warning: {warning}" for warning in record.warnings)]
    if arguments.out is not None:
        lines += _write(record, arguments.out, arguments)
    return Reply(data=record.to_dict(), text="\n".join(lines).rstrip())


def _checked(arguments: FitArguments) -> float | Literal["auto"]:
    """Check what would else fail after minutes of work, or after an earlier fit was replaced; return the delta."""
    from counterpoint.scaling.runs.cost import Prices

    if arguments.workers is not None and arguments.workers < 1:
        raise ConfigError(f"--workers: expected 1 or more, got {arguments.workers}")
    if arguments.bootstrap < 2:
        raise ConfigError(f"--bootstrap: expected 2 or more draws, got {arguments.bootstrap}")
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise ConfigError(f"--out {arguments.out}: is a file, expected a folder")
    Prices(hour=arguments.cost_hour, gpu_hour=arguments.gpu_hour)
    return _delta(arguments.delta)


def _write(record: FitRecord, out: Path, arguments: FitArguments) -> list[str]:
    """Write the fit and its page; all is computed before anything of an earlier fit is replaced."""
    from counterpoint.report.scaling.page import write_scaling_report
    from counterpoint.scaling.fitting.fit_record import save_fit
    from counterpoint.scaling.page_data import report_data, write_report_data

    written = report_data(record) if arguments.report else None
    save_fit(record, out)
    lines = [f"written to {out}; next: counterpoint scale forecast {out} --error 0.8x"]
    if written is None:
        return lines
    write_report_data(written, out)
    page = write_scaling_report(out, cost_hour=arguments.cost_hour, gpu_hour=arguments.gpu_hour)
    return [f"page: {page}", *lines]


def _uses_size(law: str) -> bool:
    from counterpoint.scaling.laws.known import form

    return form(law).uses_size


def _delta(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(f"--delta: expected a number such as 1e-3, or auto, got {text!r}") from error
    if not 0 < value < 10:
        raise ConfigError(f"--delta: expected 0 to 10 (of ln L) or auto, got {text}")
    return value


VERB = Verb(
    example="counterpoint scale fit runs.csv --law additive --size params --amount hours --loss error --out fit",
    arguments=FitArguments,
    run=run_fit,
)
