"""The verb `scale verify`: a fit against runs it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class VerifyArguments(VerbArguments):
    """Arguments of `scale verify`."""

    fit: Positional[Path]
    """Folder written by `scale fit --out`."""
    holdout: str | None = None
    """Runs to predict, for example `data >= 100`; the law is refitted without them."""
    runs: Path | None = None
    """Table of runs made after the fit, with the same column names; the fit predicts them unchanged."""
    tolerance: float = 0.05
    """Largest mean absolute relative error that passes."""


def run_verify(arguments: VerifyArguments) -> Reply:
    """Predict runs that the law has not seen; exit code 1 if the error exceeds the tolerance."""
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
        f"{held.runs} runs ({held.rule}): error {100 * held.mare:.1f}%, bias {100 * held.bias:+.1f}%, "
        f"{100 * held.coverage:.0f}% inside their 95% intervals",
        *(f"FAILED: {failure}" for failure in found.failures),
    ]
    return Reply(data=found.to_dict(), text="\n".join(lines), passed=found.passed)


VERB = Verb(
    example="counterpoint scale verify fit --holdout 'data >= 100'",
    arguments=VerifyArguments,
    run=run_verify,
)
