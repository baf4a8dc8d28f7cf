"""Verbs of `scale` on tables of runs and on fits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from counterpoint.cli.verb import AnyVerb, Reply, Verb, VerbArguments, table
from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    from counterpoint.scaling.fitting.fit_record import FitRecord
    from counterpoint.scaling.runs.table import RunTable


@dataclass(frozen=True, kw_only=True)
class TableArguments(VerbArguments):
    """Which column of a table of runs is what; found by name where left out."""

    runs: Positional[Path]
    """Table of runs: CSV, Parquet or JSON lines, one row a measurement."""
    size: str | None = None
    """Column of the model's size (parameters); like data and loss, also arithmetic on columns."""
    data: str | None = None
    """Column of the amount of data (hours, episodes, environments, tokens, ...), or such as flops / (6 * params)."""
    loss: str | None = None
    """Column of the error; positive. Of scores: `1 - score`, with backticks about names that hold spaces."""
    seed: str | None = None
    """Column of the seed."""
    run: str | None = None
    """Column of the run's name: checkpoints of one run share it."""
    drop: str | None = None
    """Rows to leave out, for example `size < 1e6 or seed == 3`; names with spaces stand in backticks."""


@dataclass(frozen=True, kw_only=True)
class FitArguments(TableArguments):
    """Arguments of `scale fit`."""

    law: Literal["power", "power_floor", "additive", "kaplan", "joint", "broken", "repetition", "auto"] = "auto"
    """Form of the law; `auto` takes the one that predicts the most expensive runs best."""
    unique: str | None = None
    """Column of the amount of data without repetitions; for `repetition`, found by name where left out."""
    delta: str = "auto"
    """Where the Huber loss of ln L turns straight: a number such as 1e-3, or `auto`, 1.35 sigma between seeds."""
    bootstrap: int = 400
    """Times that runs are drawn again for intervals."""
    out: Path | None = None
    """Folder for the fit and its page, report.html; for `scale verify`, `forecast` and `allocate`."""
    report: bool = True
    """With --out: also weigh rival laws and changes of the runs (some seconds), and write the page."""
    workers: int | None = None
    """Processes for the bootstrap; one a core where left out and worth it. The answer is the same for any number."""
    cost_hour: float = 60.0
    """Price of an hour (or whatever unit the data are counted in) of robot data, for the page."""
    gpu_hour: float = 2.5
    """Price of an hour of the device that trains, for the page."""


@dataclass(frozen=True, kw_only=True)
class OssifyArguments(TableArguments):
    """Arguments of `scale ossify`."""


@dataclass(frozen=True, kw_only=True)
class VerifyArguments(VerbArguments):
    """Arguments of `scale verify`."""

    fit: Positional[Path]
    """Folder that `scale fit --out` wrote."""
    holdout: str | None = None
    """Runs to predict, for example `data >= 100`; the law is fitted again without them."""
    runs: Path | None = None
    """Table of runs made after the fit, with the same column names; predicted by the fit as it is."""
    tolerance: float = 0.05
    """Mean absolute relative error that passes."""


@dataclass(frozen=True, kw_only=True)
class ForecastArguments(VerbArguments):
    """Arguments of `scale forecast`."""

    fit: Positional[Path]
    """Folder that `scale fit --out` wrote."""
    error: str
    """Wanted error: a number, or a multiple of the present one such as 0.8x."""
    at_size: float | None = None
    """Size of the model; the largest that was tried where left out."""
    cost_hour: float = 60.0
    """Price of an hour (or whatever unit the data are counted in) of robot data."""
    gpu_hour: float = 2.5
    """Price of an hour of the device that trains."""


@dataclass(frozen=True, kw_only=True)
class AllocateArguments(VerbArguments):
    """Arguments of `scale allocate`."""

    fit: Positional[Path]
    """Folder that `scale fit --out` wrote, of a law with size."""
    flops: float | None = None
    """Budget in FLOPs."""
    money: float | None = None
    """Budget in money: data and training together."""
    per_unit: float | None = None
    """FLOPs (or, for money, training hours) for each unit of size x data; from the runs where left out."""
    cost_hour: float = 60.0
    """Price of an hour of robot data."""
    gpu_hour: float = 2.5
    """Price of an hour of the device that trains."""


def run_fit(arguments: FitArguments) -> Reply:
    """Fit a law and print its parameters with intervals, its check by extrapolation and its warnings."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.fitting.choose import fit_law
    from counterpoint.scaling.runs.diversity import describe_diversity

    delta = _checked(arguments)
    runs = _read(
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
        (name, each.value, each.se, _span(each.ci95), _span(each.profile95), "yes" if each.identified else "NO")
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
        lines += ["", f"held-out error of the laws weighed: {compared}"]
    if record.holdout is not None:
        held = record.holdout
        lines += [
            "",
            f"held out {held.runs} runs ({held.rule}): missed by {100 * held.mare:.1f}%, bias {100 * held.bias:+.1f}%, "
            f"{100 * held.coverage:.0f}% inside their 95% intervals",
        ]
    lines += ["", *(f"warning: {warning}" for warning in record.warnings)]
    if arguments.out is not None:
        lines += _write(record, arguments.out, arguments)
    return Reply(data=record.to_dict(), text="\n".join(lines).rstrip())


def run_ossify(arguments: OssifyArguments) -> Reply:
    """Test every size against the null law and say whether models below some size stop absorbing data."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.ossification.ossify import ossification

    runs = _read(arguments, needs_size=True)
    with Progress("test sizes", unit="size", leave=False) as progress:
        found = ossification(runs, on_size=progress.update)
    rows = [
        (f"{each.size:.4g}", each.verdict, each.index, _span(each.ci95), each.p, "yes" if each.overfits else "")
        for each in found.sizes
    ]
    claim = found.threshold
    verdict = (
        f"threshold between {claim.bracket[0]:.4g} and {claim.bracket[1]:.4g}: {claim.reason}"
        if claim.bracket is not None
        else f"no threshold claimed: {claim.reason}"
    )
    lines = [verdict, "", table(("size", "verdict", "index", "95% interval", "p", "rises at its end"), rows)]
    lines += ["", *(f"warning: {warning}" for warning in found.warnings)]
    return Reply(data=found.to_dict(), text="\n".join(lines).rstrip())


def run_verify(arguments: VerifyArguments) -> Reply:
    """Predict runs that the law has not seen; exit code 1 where it misses them."""
    from counterpoint.scaling.fitting.fit_record import load_fit
    from counterpoint.scaling.fitting.verify import verify
    from counterpoint.scaling.runs.table import read_runs

    record = load_fit(arguments.fit)
    new_runs = None
    if arguments.runs is not None:
        names = record.estimate.table.columns
        new_runs = read_runs(
            arguments.runs,
            needs_size=record.estimate.law.uses_size,
            needs_unique=record.estimate.law.name == "repetition",
            size=names.get("size") if record.estimate.law.uses_size else None,
            data=names.get("data"),
            loss=names.get("loss"),
            unique=names.get("unique") if record.estimate.law.name == "repetition" else None,
            to_fit=False,
        )
    found = verify(record, arguments.holdout, new_runs, arguments.tolerance)
    held = found.holdout
    lines = [
        f"{held.runs} runs ({held.rule}): missed by {100 * held.mare:.1f}%, bias {100 * held.bias:+.1f}%, "
        f"{100 * held.coverage:.0f}% inside their 95% intervals",
        *(f"FAILED: {failure}" for failure in found.failures),
    ]
    return Reply(data=found.to_dict(), text="\n".join(lines), passed=found.passed)


def run_forecast(arguments: ForecastArguments) -> Reply:
    """Say what an error needs in data, training and money; refuse where the law cannot tell."""
    from counterpoint.scaling.decisions.forecast import forecast
    from counterpoint.scaling.fitting.fit_record import load_fit
    from counterpoint.scaling.runs.cost import Prices, data_unit

    prices = Prices(hour=arguments.cost_hour, gpu_hour=arguments.gpu_hour)
    record = load_fit(arguments.fit)
    found = forecast(record, arguments.error, size=arguments.at_size, prices=prices)
    unit = data_unit(record.estimate.table) or "units of data"
    at = "" if found.size is None else f" at size {found.size:.4g}"
    lines = [f"wanted error {found.target:.4g}{at}; the law gives {found.error_now:.4g} at {found.data_now:.4g} {unit}"]
    if found.data is None:
        lines.append(f"refused: {found.refused}")
    else:
        assert found.data80 is not None  # given with every number
        assert found.data95 is not None
        lines.append(
            f"data needed: {found.data:.4g} {unit} (80% {_span(found.data80)}, 95% {_span(found.data95)}), "
            f"{found.extrapolation:.2g} times the largest amount that was tried"
        )
        lines.append(f"new data: {found.new_hours_cost:,.0f} in money")
        if found.gpu_hours is not None:
            lines.append(f"training once on all of it: {found.gpu_hours:.3g} hours, {found.gpu_cost:,.0f} in money")
    lines += [f"warning: {warning}" for warning in found.warnings]
    return Reply(data=found.to_dict(), text="\n".join(lines))


def run_allocate(arguments: AllocateArguments) -> Reply:
    """Say which size and how much data give the least error for a budget."""
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
        f"size {found.size:.4g} (95% {_span(found.size95)}), data {found.data:.4g} (95% {_span(found.data95)}), "
        f"error {found.error:.4g} (95% {_span(found.error95)})",
        f"sizes between {found.near_sizes[0]:.4g} and {found.near_sizes[1]:.4g} are within 1% of the least error",
        *(f"warning: {warning}" for warning in found.warnings),
    ]
    return Reply(data=found.to_dict(), text="\n".join(lines))


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
    from counterpoint.scaling.report_data import report_data, write_report_data

    written = report_data(record) if arguments.report else None
    save_fit(record, out)
    lines = [f"written to {out}; next: counterpoint scale forecast {out} --error 0.8x"]
    if written is None:
        return lines
    write_report_data(written, out)
    page = write_scaling_report(out, cost_hour=arguments.cost_hour, gpu_hour=arguments.gpu_hour)
    return [f"page: {page}", *lines]


def _read(
    arguments: TableArguments, *, needs_size: bool | None, needs_unique: bool = False, unique: str | None = None
) -> RunTable:
    """Read the table; None takes a size where there is one that varies."""
    from counterpoint.scaling.runs.table import read_runs

    def read(with_size: bool) -> RunTable:
        return read_runs(
            arguments.runs,
            needs_size=with_size,
            needs_unique=needs_unique,
            size=arguments.size,
            data=arguments.data,
            loss=arguments.loss,
            unique=unique,
            seed=arguments.seed,
            run=arguments.run,
            drop=arguments.drop,
        )

    if needs_size is not None:
        return read(needs_size)
    plain = read(False)
    if "size" not in plain.columns:
        return plain
    varies = len(set(plain.others[plain.columns["size"]].tolist())) > 1
    return read(True) if varies else plain


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


def _span(ends: tuple[float, float]) -> str:
    return f"[{ends[0]:.4g}, {ends[1]:.4g}]"


VERBS: tuple[AnyVerb, ...] = (
    Verb(
        name="scale fit",
        summary="Fit a law of error in data (and size) to runs, with honest intervals and a check by extrapolation.",
        example="counterpoint scale fit runs.csv --law additive --size params --data hours --loss error --out fit",
        arguments=FitArguments,
        run=run_fit,
    ),
    Verb(
        name="scale ossify",
        summary="Test whether models below some size stop absorbing data, against a null law.",
        example="counterpoint scale ossify runs.csv --size params --data hours --loss error",
        arguments=OssifyArguments,
        run=run_ossify,
    ),
    Verb(
        name="scale verify",
        summary="Hold a fit to its word on runs that it has not seen; exit code 1 where it misses.",
        example="counterpoint scale verify fit --holdout 'data >= 100'",
        arguments=VerifyArguments,
        run=run_verify,
    ),
    Verb(
        name="scale forecast",
        summary="What an error needs in data, training and money, with intervals.",
        example="counterpoint scale forecast fit --error 0.8x --cost-hour 60 --gpu-hour 2.5",
        arguments=ForecastArguments,
        run=run_forecast,
    ),
    Verb(
        name="scale allocate",
        summary="The size and the amount of data with the least error for a budget.",
        example="counterpoint scale allocate fit --flops 1e21 --per-unit 6",
        arguments=AllocateArguments,
        run=run_allocate,
    ),
)
