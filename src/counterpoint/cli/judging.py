"""Verbs that judge a policy: `evaluate` on logs, `rollout` in closed loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments(VerbArguments):
    """Arguments of `evaluate`."""

    checkpoint: Positional[Path]
    """Checkpoint or run folder."""
    data: tuple[Path, ...]
    """Stores to judge on, one or several."""
    split: Literal["test", "train", "all"] = "test"
    """`test`: the episodes that training kept apart."""
    holdout_fraction: float | None = None
    """Share of episodes kept apart; as in the checkpoint's training where left out."""
    robot: str = ""
    """Only these robots, with commas between; all in the stores where left out."""
    max_decisions: int = 400
    """Decisions judged a robot, at least 1; more is finer and slower."""
    seed: int = 0
    """Of the samples drawn."""


@dataclass(frozen=True, kw_only=True)
class RolloutArguments(VerbArguments):
    """Arguments of `rollout`."""

    policy: Positional[str]
    """Checkpoint or run folder; or `expert`, or a baseline: `hold`, `repeat`, `linear`."""
    robot: str
    """One robot, or several with commas between."""
    task: str
    """One task, or several with commas between."""
    delay_ms: str = "0"
    """Inference delays in milliseconds of world time with commas between, or `measured`."""
    strategy: Literal["trained_delay", "naive", "synchronous"] = "trained_delay"
    """What the robot does while the policy thinks."""
    replan_ms: float = 100.0
    """Least time between decisions, milliseconds, above 0; the next also waits for the last answer."""
    episodes: int = 20
    """Episodes a robot, task and delay, at least 1."""
    seed: int = 0
    """First world; evaluation worlds never occur in collection."""
    workers: int = 2
    """Worker processes, at least 1; `measured` delays are honest with 1 only."""
    video: Path | None = None
    """Folder for one video a robot, task and delay; none where left out."""


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
            "some of these episodes were trained on; lower it, or say --split all"
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
    note = "errors in per-channel normalised units; from .. to is a 95% interval over episodes"
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


def run_rollout(arguments: RolloutArguments) -> Reply:
    """Run a policy in worlds whose clock does not wait for it."""
    from counterpoint.engine.progress import Progress
    from counterpoint.evaluate.closed_loop import ExecutionConfig
    from counterpoint.evaluate.rollout import RolloutConfig, rollout

    config = RolloutConfig(
        policy=arguments.policy,
        robots=split_names(arguments.robot),
        tasks=split_names(arguments.task),
        delays_ms=parse_delays(arguments.delay_ms),
        episodes=arguments.episodes,
        execution=ExecutionConfig(strategy=arguments.strategy, replan_s=arguments.replan_ms / 1000),
        seed=arguments.seed,
        workers=arguments.workers,
        video_dir=arguments.video,
    )
    with Progress("rollout", unit="group") as progress:
        results = [result.to_dict() for result in rollout(config, progress.reach)]
    header = ("robot", "task", "delay ms", "strategy", "episodes", "success", "95% from", "to")
    rows = []
    for result in results:
        interval = result["ci95"]
        keys = ("robot", "task", "delay_ms", "strategy", "episodes")
        rate = (result["success_rate"], *interval) if isinstance(interval, list) else ("not measured", "-", "-")
        rows.append((*(result[key] for key in keys), *rate))
    listed: list[Json] = [*results]
    return Reply(data={"results": listed}, text=table(header, rows))


def split_names(text: str) -> tuple[str, ...]:
    """Split names at commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_delays(text: str) -> tuple[float | Literal["measured"], ...]:
    """Read delays such as `0,100,measured`.

    Raises:
        ConfigError: something that is neither a number nor `measured`.
    """
    delays: list[float | Literal["measured"]] = []
    for part in split_names(text):
        if part == "measured":
            delays.append("measured")
            continue
        try:
            delays.append(float(part))
        except ValueError:
            raise ConfigError(
                f"--delay-ms: expected milliseconds with commas between, or 'measured', got {part!r}"
            ) from None
    return tuple(delays)


VERBS = (
    Verb(
        name="evaluate",
        summary="Judge a checkpoint on held-out logs: next-action error beside simple baselines.",
        example="counterpoint evaluate runs/first --data data/ur5e",
        arguments=EvaluateArguments,
        run=run_evaluate,
    ),
    Verb(
        name="rollout",
        summary="Judge a policy in closed loop, under inference delays, with intervals.",
        example="counterpoint rollout runs/first --robot ur5e --task reach,track --delay-ms 0,100,200 --video videos",
        arguments=RolloutArguments,
        run=run_rollout,
    ),
)
