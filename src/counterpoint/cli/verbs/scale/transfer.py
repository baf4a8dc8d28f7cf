"""The verb `scale transfer`: what pretraining is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from counterpoint.cli.verb import Reply, Verb, interval, table
from counterpoint.cli.verbs.scale.run_table import TableArguments
from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    from counterpoint.scaling.transfer.verdict import Transfer


@dataclass(frozen=True, kw_only=True)
class TransferArguments(TableArguments):
    """Arguments of `scale transfer`."""

    pretrain: str | None = None
    """Column of what a run was pretrained on, a name or an amount; none, scratch, 0 or empty mean from scratch.
    `--amount` is then the amount of fine-tuning data."""
    law: Literal["auto", "power", "power_floor", "additive", "kaplan", "joint"] = "auto"
    """Form of the law of the runs from scratch."""
    task: str | None = None
    """Column of the task set. Pretraining sets are then compared by their errors on the same task sets, without
    amounts of data. A table may instead have one column per task set."""
    reference: str | None = None
    """With task sets: the pretraining set to compare with. Default: from scratch if present, else the mean of all."""
    scratch_fit: Path | None = None
    """With task sets: folder of `scale fit --out` for the same error from scratch, to turn ratios into data."""
    bootstrap: int = 200
    """Bootstrap draws for the intervals."""


def run_transfer(arguments: TransferArguments) -> Reply:
    """Measure what pretraining is worth, as ratios of errors and as amounts of task data."""
    from counterpoint.scaling.runs.column_names import fine_tuning_column, known_column, task_column
    from counterpoint.scaling.runs.roles import NAMES
    from counterpoint.scaling.runs.table import read_columns

    if arguments.bootstrap < 2:
        raise ConfigError(f"--bootstrap: expected 2 or more draws, got {arguments.bootstrap}")
    path = arguments.runs
    columns = read_columns(path)
    tasks = task_column(path, columns, arguments.task)
    has_tasks = arguments.task is not None or (tasks is not None and len(set(columns[tasks].tolist())) > 1)
    has_amounts = fine_tuning_column(path, columns, arguments.amount) is not None and (
        arguments.loss is not None or known_column(columns, NAMES["loss"]) is not None
    )
    return _ratios(arguments) if has_tasks or not has_amounts else _amounts(arguments)


def _amounts(arguments: TransferArguments) -> Reply:
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.transfer.analysis import transfer

    with Progress("bootstrap", total=arguments.bootstrap, unit="draw", leave=False) as progress:
        found = transfer(
            arguments.runs,
            law=arguments.law,
            pretrain=arguments.pretrain,
            size=arguments.size,
            data=arguments.amount,
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
    late = "" if found.late is None else f"; with most data {found.late.ratio:.3f} {interval(found.late.ci95)}"
    lines = [
        f"{found.name}: {found.verdict}. Error relative to training from scratch: {found.gain.ratio:.3f} "
        f"{interval(found.gain.ci95)} ({found.runs} runs){late}"
    ]
    if len(found.by_size) > 1:
        lines.append("  by size: " + ", ".join(f"{size:.4g} {verdict}" for size, verdict in found.by_size.items()))
    if found.law:
        numbers = ", ".join(f"{name} {each.value:.4g} {interval(each.ci95)}" for name, each in found.law.items())
        powers = "".join(f" {axis}^{name}" for name, axis in (("alpha", "D_F"), ("beta", "N")) if name in found.law)
        lines.append(f"  transferred: D_T = k{powers}: {numbers}{'' if found.identified else ' - NOT identified'}")
    rows = [
        (f"{each.data:.4g}", "-" if each.size is None else f"{each.size:.4g}", each.runs, each.ratio,
         each.equivalent, each.multiplier, "beyond the runs" if each.beyond else "")
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
            *(f"{one.ratio:.3f} {interval(one.ci95)}" if (one := each.metrics.get(name)) else "-" for name in metrics),
            "-" if each.multiplier is None else f"{each.multiplier[0]:.3g} {interval(each.multiplier[1:])}",
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


VERB = Verb(
    example="counterpoint scale transfer runs.csv --pretrain pretrained_on --amount finetuning_hours --loss error",
    arguments=TransferArguments,
    run=run_transfer,
)
