"""The verb `evaluate`: a checkpoint on held-out logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from counterpoint.cli.flag_values import split_names
from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.errors import ConfigError
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
    from counterpoint.data.episodes.selection import Selection
    from counterpoint.evaluate.offline import OfflineConfig, evaluate_offline
    from counterpoint.policy.model_policy import ModelPolicy
    from counterpoint.store import Store

    policy = ModelPolicy(arguments.checkpoint)
    stores = [Store.open(path) for path in arguments.data]
    trained = _trained_holdout(policy.checkpoint.training)
    holdout = trained if arguments.holdout_fraction is None else arguments.holdout_fraction
    if arguments.split == "test" and holdout > trained:
        raise ConfigError(
            f"--holdout-fraction: expected at most {trained}, as in training, got {holdout}: "
            "the checkpoint was trained on some of these episodes. Lower it, or give --split all"
        )
    mixture = _trained_mixture(policy.checkpoint.training) if arguments.split == "test" else ""
    robots = split_names(arguments.robot)
    selection = Selection(split=arguments.split, holdout_fraction=holdout, robots=robots, mixture=mixture)
    config = OfflineConfig(max_decisions=arguments.max_decisions, seed=arguments.seed)
    results = evaluate_offline(policy, stores, selection, config)
    rows = [
        (r.robot, r.next_action_mse, *r.mse_ci95.as_list(), r.reverse_kl, *r.baselines.values(), r.decisions)
        for r in results
    ]
    header = ("robot", "next_action_mse", "from", "to", "reverse_kl", *results[0].baselines, "decisions")
    listed: list[Json] = [result.to_dict() for result in results]
    note = "errors are in normalised units per channel; from .. to is a 95% interval over episodes"
    return Reply(data={"results": listed}, text=f"{table(header, rows)}\n{note}")


def _trained_mixture(training: dict[str, Json]) -> str:
    """Return the mixture that a checkpoint was trained on, whose splits say what is held out; empty for none."""
    match training:
        case {"config": {"data": {"mixture": str(folder)}}}:
            return folder
    return ""


def _trained_holdout(training: dict[str, Json]) -> float:
    """Return the share of episodes that a checkpoint's training kept apart; 0.1 where its record does not say."""
    match training:
        case {"config": {"data": {"holdout_fraction": float(share)}}}:
            return share
        case _:
            return 0.1


VERB = Verb(
    example="counterpoint evaluate runs/first --data data/ur5e",
    arguments=EvaluateArguments,
    run=run_evaluate,
)
