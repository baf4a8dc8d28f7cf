"""Verbs of `scale` that take in tables of other shapes: any tool's runs, pretraining and fine-tuning, mixtures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional, UseAppendAction

from counterpoint.cli.scaling import TableArguments
from counterpoint.cli.verb import AnyVerb, Reply, Verb, VerbArguments, table
from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    from counterpoint.scaling.transfer.verdict import Transfer


@dataclass(frozen=True, kw_only=True)
class IngestRunsArguments(VerbArguments):
    """Arguments of `scale ingest`."""

    sources: Positional[tuple[str, ...]]
    """Tables (CSV, Parquet, JSON lines), run records or folders of them, mlflow:FOLDER|sqlite:///FILE|http://HOST (and
    #EXPERIMENT), `wandb-export FILE` (CSV, JSON, JSON lines), tensorboard:LOGDIR."""
    into: Path
    """Table to write or to add to (Parquet)."""
    map: UseAppendAction[tuple[str, ...]] = ()
    """Which logged names are what, as size=n_params,data=hours,loss=val/loss; also seed, run, step, unique. All other
    names stay as they are."""
    all: bool = False
    """One row at each step at which the loss was logged (the run's name keeps them together), not one a run."""
    last: bool = False
    """One row a run: its last values. What happens where neither is said."""
    prefix: str = ""
    """Put before the names of the runs, where names of two sources would meet."""
    replace: bool = False
    """Let rows of the same run and step that came from elsewhere give way."""


@dataclass(frozen=True, kw_only=True)
class TransferArguments(TableArguments):
    """Arguments of `scale transfer`."""

    pretrain: str | None = None
    """Column that says what a run was pretrained on: a name or an amount; none, scratch, 0 or empty for from scratch.
    `--data` is then the data of fine-tuning."""
    law: Literal["auto", "power", "power_floor", "additive", "kaplan", "joint"] = "auto"
    """Law of the runs from scratch."""
    task: str | None = None
    """Column of task sets: pretraining sets are then compared by their errors on the same task sets (as a table
    of data sets by task sets, which may also have a column a task set), without amounts."""
    reference: str | None = None
    """With task sets: the pretraining set to compare with; from scratch where there is such, else the mean of all."""
    scratch_fit: Path | None = None
    """With task sets: folder of `scale fit --out` of the same error from scratch, to count ratios in data."""
    bootstrap: int = 200
    """Times that runs are drawn again for intervals."""


@dataclass(frozen=True, kw_only=True)
class MixLawArguments(VerbArguments):
    """Arguments of `scale mix`."""

    mixtures: Positional[Path]
    """Table of trained mixtures: a row each, columns of hours (hours_real) or shares (share_sim) a source, and of
    errors (error_pick) a task set; or a row a mixture and task set."""
    law: Literal["exp", "lgbm"] = "exp"
    """exp: data mixing law, c + k exp(t . shares). lgbm: LightGBM's trees, as RegMix; does not extrapolate."""
    caps: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Hours that are there, as real=100,sim=2000 or real=100 sim=2000; shares where the table has shares and --hours is
    not given."""
    least: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Least shares, as real=0.1."""
    most: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Greatest shares, as sim=0.5."""
    hours: float | None = None
    """Hours that the best mixture is for; those of the current one where left out."""
    current: str | None = None
    """Name of the mixture that an hour is added to; the best trained one where left out."""
    sources: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Columns of sources, as real,sim; found by name where left out."""
    errors: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Columns of errors; found by name where left out."""
    task: str | None = None
    """Column of the task set, where a mixture has a row for each."""
    drop: str | None = None
    """Rows to leave out, for example `hours_real < 1`."""
    delta: float | None = None
    """Where the Huber loss of ln L turns straight; from the scatter where left out."""
    bootstrap: int | None = None
    """Times that mixtures are drawn again for intervals; 200 where left out, 40 for trees."""


def run_ingest(arguments: IngestRunsArguments) -> Reply:
    """Take runs into one table."""
    from counterpoint.scaling.importers.intake import take_in

    if arguments.all and arguments.last:
        raise ConfigError("--all and --last: expected one of them")
    found = take_in(
        _sources(arguments.sources),
        arguments.into,
        roles=_pairs(arguments.map, "--map", "role=name"),
        every=arguments.all,
        prefix=arguments.prefix,
        replace_rows=arguments.replace,
    )
    played = ", ".join(f"{role} = {name}" for role, name in found.columns.items())
    lines = [
        f"{found.into}: {found.rows} rows of {found.runs} runs; {found.added} added, {found.replaced} replaced, "
        f"{found.unchanged} unchanged",
        f"columns: {played or 'none known to scale fit'}",
        *(f"left out ({reason}): {count}" for reason, count in found.left_out.items()),
        *(f"warning: {warning}" for warning in found.warnings),
        f"next: counterpoint scale fit {found.into}",
    ]
    return Reply(data=found.to_dict(), text="\n".join(lines))


def run_transfer(arguments: TransferArguments) -> Reply:
    """Say what pretraining is worth, as ratios of errors and as data of the task itself."""
    from counterpoint.scaling.runs.column_names import fine_tuning_column, known_column, task_column
    from counterpoint.scaling.runs.roles import NAMES
    from counterpoint.scaling.runs.table import read_columns

    if arguments.bootstrap < 2:
        raise ConfigError(f"--bootstrap: expected 2 or more draws, got {arguments.bootstrap}")
    path = arguments.runs
    columns = read_columns(path)
    tasks = task_column(path, columns, arguments.task)
    has_tasks = arguments.task is not None or (tasks is not None and len(set(columns[tasks].tolist())) > 1)
    has_amounts = fine_tuning_column(path, columns, arguments.data) is not None and (
        arguments.loss is not None or known_column(columns, NAMES["loss"]) is not None
    )
    return _ratios(arguments) if has_tasks or not has_amounts else _amounts(arguments)


def _amounts(arguments: TransferArguments) -> Reply:
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.transfer.transfer import transfer

    with Progress("bootstrap", total=arguments.bootstrap, unit="draw", leave=False) as progress:
        found = transfer(
            arguments.runs,
            law=arguments.law,
            pretrain=arguments.pretrain,
            size=arguments.size,
            data=arguments.data,
            loss=arguments.loss,
            seed=arguments.seed,
            run=arguments.run,
            drop=arguments.drop,
            draws=arguments.bootstrap,
            on_draw=progress.update,
        )
    law = found.scratch.estimate.law.name
    lines = [f"{arguments.runs}: from scratch {len(found.scratch.estimate.table)} points, law {law}"]
    for each in found.sets:
        lines += ["", *_of_set(each)]
    lines += ["", *(f"warning: law from scratch: {warning}" for warning in found.scratch.warnings)]
    return Reply(
        data={"scratch": found.scratch.to_dict(), "sets": [each.to_dict() for each in found.sets]},
        text="\n".join(lines).rstrip(),
    )


def _of_set(found: Transfer) -> list[str]:
    late = "" if found.late is None else f"; with most data {found.late.ratio:.3f} {_span(found.late.ci95)}"
    lines = [
        f"{found.name}: {found.verdict}. Error over that from scratch: {found.gain.ratio:.3f} {_span(found.gain.ci95)} "
        f"({found.runs} runs){late}"
    ]
    if len(found.by_size) > 1:
        lines.append("  by size: " + ", ".join(f"{size:.4g} {verdict}" for size, verdict in found.by_size.items()))
    if found.law:
        numbers = ", ".join(f"{name} {each.value:.4g} {_span(each.ci95)}" for name, each in found.law.items())
        powers = "".join(f" {axis}^{name}" for name, axis in (("alpha", "D_F"), ("beta", "N")) if name in found.law)
        lines.append(f"  transferred: D_T = k{powers}: {numbers}{'' if found.identified else ' - NOT identified'}")
    rows = [
        (f"{each.data:.4g}", "-" if each.size is None else f"{each.size:.4g}", each.runs, each.ratio,
         each.equivalent, each.multiplier, "beyond what was tried" if each.beyond else "")
        for each in found.amounts
    ]  # fmt: skip
    header = ("data", "size", "runs", "error ratio", "worth from scratch", "times its data", "")
    lines += [f"  {line}" for line in table(header, rows).splitlines()]
    return [*lines, *(f"  warning: {warning}" for warning in found.warnings)]


def _ratios(arguments: TransferArguments) -> Reply:
    from counterpoint.scaling.fitting.fit_record import load_fit
    from counterpoint.scaling.transfer.ratios import ratios

    found = ratios(
        arguments.runs,
        pretrain=arguments.pretrain,
        task=arguments.task,
        loss=arguments.loss,
        reference=arguments.reference,
        drop=arguments.drop,
        scratch=None if arguments.scratch_fit is None else load_fit(arguments.scratch_fit),
    )
    metrics = list(dict.fromkeys(name for each in found.sets for name in each.metrics))
    rows = [
        (
            each.name,
            each.verdict,
            each.tasks,
            *(f"{told.ratio:.3f} {_span(told.ci95)}" if (told := each.metrics.get(name)) else "-" for name in metrics),
            "-" if each.multiplier is None else f"{each.multiplier[0]:.3g} {_span(each.multiplier[1:])}",
        )
        for each in found.sets
    ]
    header = ("pretraining", "verdict", "task sets", *(f"{name} ratio" for name in metrics), "data multiplier")
    lines = [
        f"{arguments.runs}: ratios to {found.reference}, geometric means over task sets; verdicts on {found.error}",
        "",
        table(header, rows),
        *(f"warning: {warning}" for warning in found.warnings),
    ]
    return Reply(data=found.to_dict(), text="\n".join(lines))


def run_mix(arguments: MixLawArguments) -> Reply:
    """Say which mixture is best under caps, and what an hour of each source is worth."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.mixtures.mixing import advise
    from counterpoint.scaling.mixtures.table import read_mixtures

    draws = arguments.bootstrap if arguments.bootstrap is not None else 200 if arguments.law == "exp" else 40
    if draws < 2:
        raise ConfigError(f"--bootstrap: expected 2 or more draws, got {draws}")
    if arguments.delta is not None and not 0 < arguments.delta < 10:
        raise ConfigError(f"--delta: expected 0 to 10 (of ln L), got {arguments.delta}")
    mixtures = read_mixtures(
        arguments.mixtures,
        sources=_listed(chain(*arguments.sources)),
        errors=_listed(chain(*arguments.errors)),
        task=arguments.task,
        drop=arguments.drop,
    )
    with Progress("bootstrap", total=draws, unit="draw", leave=False) as progress:
        advice = advise(
            mixtures,
            arguments.law,
            caps=_numbers(chain(*arguments.caps), "--caps"),
            least=_numbers(chain(*arguments.least), "--least"),
            most=_numbers(chain(*arguments.most), "--most"),
            hours=arguments.hours,
            current=arguments.current,
            delta=arguments.delta,
            draws=draws,
            on_draw=progress.update,
        )
    found = advice.found
    amount = "" if advice.hours is None else f" for {advice.hours:.4g} hours"
    weights = [
        (name, advice.current_weights[name], each.value, _span(each.ci95),
         f"{100 * found.hour_values[name].value:+.3g}% {_percent(found.hour_values[name].ci95)}")
        for name, each in found.weights.items()
    ]  # fmt: skip
    errors = [
        (name, advice.current_errors[name], each.value, _span(each.ci95), advice.rank_correlations[name])
        for name, each in found.errors.items()
    ]
    lines = [
        f"{arguments.mixtures}: law {advice.law} ({advice.fitted_by}), {advice.mixtures} mixtures; best{amount} has "
        f"{found.change.value:.3f} times {_span(found.change.ci95)} the error of {advice.current!r}",
        "",
        table(("source", "share now", "best share", "95% interval", f"error for one more {advice.per}"), weights),
        "",
        table(("task set", "error now", "predicted", "95% interval", "rank correlation"), errors),
        "",
        f"mixtures left out of the fit are ranked with a correlation of {advice.rank_correlation:.2f}",
        *(f"warning: {warning}" for warning in advice.warnings),
    ]
    return Reply(data=advice.to_dict(), text="\n".join(lines))


def _percent(ends: tuple[float, float]) -> str:
    return f"[{100 * ends[0]:+.3g}%, {100 * ends[1]:+.3g}%]"


def _listed(words: Iterable[str]) -> list[str]:
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def _numbers(words: Iterable[str], flag: str) -> dict[str, float]:
    found = {}
    for name, value in _pairs(words, flag, "source=number").items():
        try:
            found[name] = float(value)
        except ValueError as error:
            raise ConfigError(f"{flag} {name}: expected a number, got {value!r}") from error
    return found


def _span(ends: tuple[float, float]) -> str:
    return f"[{ends[0]:.4g}, {ends[1]:.4g}]"


def _sources(words: Sequence[str]) -> list[str]:
    """Read `wandb-export FILE` as one source."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("wandb-export", "wandb"):
            if not rest:
                raise ConfigError(f"{word}: expected a file after it")
            word = f"wandb:{rest.pop(0)}"
        found.append(word)
    if not found:
        raise ConfigError("scale ingest: expected a source, for example runs.csv or tensorboard:LOGDIR")
    return found


def _pairs(words: Iterable[str], flag: str, form: str) -> dict[str, str]:
    """Read `a=x,b=y`, given once or several times."""
    found: dict[str, str] = {}
    for part in (part for word in words for part in word.split(",")):
        name, sign, value = part.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise ConfigError(f"{flag}: expected {form}, got {part!r}")
        if name.strip() in found:
            raise ConfigError(f"{flag}: {name.strip()!r} is given twice")
        found[name.strip()] = value.strip()
    return found


VERBS: tuple[AnyVerb, ...] = (
    Verb(
        name="scale ingest",
        summary="Take runs of any tool (tables, MLflow, Weights & Biases, TensorBoard, own records) into one table.",
        example="counterpoint scale ingest tensorboard:logs --into runs.parquet --map size=params,loss=val/loss",
        arguments=IngestRunsArguments,
        run=run_ingest,
    ),
    Verb(
        name="scale transfer",
        summary="What pretraining is worth: effective data transferred, and whether it helps or hurts.",
        example="counterpoint scale transfer runs.csv --pretrain pretrained_on --data finetuning_hours --loss error",
        arguments=TransferArguments,
        run=run_transfer,
    ),
    Verb(
        name="scale mix",
        summary="The best mixture of data sources under caps, and what an hour of each is worth.",
        example="counterpoint scale mix mixtures.csv --law exp --hours 500 --caps real=100,sim=2000",
        arguments=MixLawArguments,
        run=run_mix,
    ),
)
