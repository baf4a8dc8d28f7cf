"""The verb `scale run`: execute a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class RunArguments(VerbArguments):
    """Arguments of `scale run`."""

    study: Positional[Path]
    """Folder written by `scale plan`."""
    engine: Literal["local", "ray"] = "local"
    """Where to run: processes of this machine, or a Ray cluster that shares the folders."""
    workers: int | None = None
    """Runs at the same time. Default: one per core."""
    address: str | None = None
    """Ray cluster to join."""
    predict_holdout: bool = False
    """Predict the held-out runs, write the prediction to prediction.json, and do not run them yet."""
    release_holdout: bool = False
    """Predict the held-out runs, write the prediction down, and run them."""


def run_run(arguments: RunArguments) -> Reply:
    """Run what is missing of a study; exit code 1 if a run failed."""
    from counterpoint.scaling.runs.training_check import check_words
    from counterpoint.scaling.study.execute import run_study

    state = run_study(
        arguments.study,
        engine=arguments.engine,
        workers=arguments.workers,
        address=arguments.address,
        predict=arguments.predict_holdout,
        release=arguments.release_holdout,
    )
    lines = [
        f"{state.done} of {state.total} runs done ({state.train_s / 3600:.2f} hours of training); table: {state.table}",
        *(f"FAILED {each.run}: {each.reason}" for each in state.failures),
        *check_words(state.checks),
    ]
    if state.failures:
        lines.append("run the same command again to retry the failed runs")
    elif state.waiting:
        lines += [
            f"{state.waiting} held-out runs remain. Next, predict them, keep a copy of the prediction, and run them:",
            f"  counterpoint scale fit {state.table} --out {arguments.study / 'fit'}",
            f"  counterpoint scale run {arguments.study} --predict-holdout",
            f"  counterpoint scale run {arguments.study} --release-holdout",
        ]
    else:
        lines.append(
            f"next: counterpoint scale verify {arguments.study / 'fit'} --runs {state.table} --holdout held_out"
        )
    return Reply(data=state.to_dict(), text="\n".join(lines), passed=not state.failures)


VERB = Verb(
    example="counterpoint scale run study --workers 2",
    arguments=RunArguments,
    run=run_run,
    resume="finished runs are kept; run the same command again to resume.",
)
