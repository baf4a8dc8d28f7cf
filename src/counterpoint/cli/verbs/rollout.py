"""The verb `rollout`: a policy in closed loop."""

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
class RolloutArguments(VerbArguments):
    """Arguments of `rollout`."""

    policy: Positional[str]
    """Checkpoint or run folder; or `expert`, or a baseline: `hold`, `repeat`, `linear`."""
    robot: str
    """One robot, or several separated by commas."""
    task: str
    """One task, or several separated by commas."""
    delay_ms: str = "0"
    """Inference delays in milliseconds of simulated time, separated by commas, or `measured`."""
    strategy: Literal["trained_delay", "naive", "synchronous"] = "trained_delay"
    """How the robot acts while the policy computes its next actions."""
    replan_ms: float = 100.0
    """Minimum time between decisions in milliseconds, above 0."""
    episodes: int = 20
    """Episodes per robot, task and delay, at least 1."""
    seed: int = 0
    """Random seed. Evaluation worlds never occur in collected data."""
    workers: int = 2
    """Number of processes, at least 1. Use 1 with `measured`, or the processes slow each other down."""
    video: Path | None = None
    """Folder for videos, one per robot, task and delay. Default: no videos."""


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
                f"--delay-ms: expected milliseconds separated by commas, or 'measured', got {part!r}"
            ) from None
    return tuple(delays)


VERB = Verb(
    example="counterpoint rollout runs/first --robot ur5e --task reach,track --delay-ms 0,100,200 --video videos",
    arguments=RolloutArguments,
    run=run_rollout,
)
