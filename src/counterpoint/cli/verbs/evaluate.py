"""The verb `evaluate`: a checkpoint on held-out logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from counterpoint.cli.flag_values import split_names
from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments(VerbArguments):
    """Arguments of `evaluate`."""

    checkpoint: Positional[Path]
    """Checkpoint or run folder."""
    data: tuple[Path, ...]
    """Stores to read held-out episodes from."""
    split: Literal["test", "train", "all"] = "test"
    """`test`: the episodes that training held out."""
    holdout_fraction: float | None = None
    """Share of episodes held out. Default: as in the checkpoint's training."""
    robot: str = ""
    """Only these robots, separated by commas. Default: all robots of the stores."""
    max_decisions: int = 400
    """Number of decisions to score per robot, at least 1; more is more precise and slower."""
    seed: int = 0
    """Random seed of the policy's samples."""


def run_evaluate(arguments: EvaluateArguments) -> Reply:
    """Compare a checkpoint's actions with the logged ones, beside three simple baselines."""
    from counterpoint.evaluate.held_out import evaluate

    results = evaluate(
        arguments.checkpoint,
        stores=arguments.data,
        split=arguments.split,
        holdout_fraction=arguments.holdout_fraction,
        robots=split_names(arguments.robot),
        max_decisions=arguments.max_decisions,
        seed=arguments.seed,
    )
    rows = [
        (r.robot, r.next_action_mse, *r.mse_ci95.as_list(), r.reverse_kl, *r.baselines.values(), r.decisions)
        for r in results
    ]
    header = ("robot", "next_action_mse", "from", "to", "reverse_kl", *results[0].baselines, "decisions")
    listed: list[Json] = [result.to_dict() for result in results]
    note = "errors are in normalised units per channel; from .. to is a 95% interval over episodes"
    return Reply(data={"results": listed}, text=f"{table(header, rows)}\n{note}")


VERB = Verb(
    example="counterpoint evaluate runs/first --data data/ur5e",
    arguments=EvaluateArguments,
    run=run_evaluate,
)
