"""All budgets of the demo in one place. The whole demo stays below ten minutes on two cores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from counterpoint.core.errors import ConfigError
from counterpoint.evaluate.closed_loop import ExecutionConfig
from counterpoint.evaluate.offline import OfflineConfig
from counterpoint.evaluate.rollout import RolloutConfig
from counterpoint.model.sizes import ladder
from counterpoint.scaling.study.curve import CurveConfig
from counterpoint.train.config import TrainConfig
from counterpoint.train.recipes import resolve

OTHER_STAGES_S = 50.0
"""Seconds that evaluation on held-out episodes and the report take together on a slow machine."""
LEAST_TRAINING_S = 60.0
"""Training is never cut below this, even if the demo then takes longer."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What the demo does and how long each stage may take."""

    robots: tuple[str, ...] = ("ur5e", "panda", "bimanual_panda")
    tasks: tuple[str, ...] = ("reach", "track", "lift")
    episodes: dict[str, int] = field(default_factory=lambda: {"reach": 300, "track": 160, "lift": 440})
    """Episodes of each task, collected on every robot that the task fits."""
    recipe: str = "demo"
    """Recipe of the model that learns all robots."""
    train_s: float = 325.0
    """Seconds of training, on a machine that collects fast enough (see `training_seconds`)."""
    total_s: float = 585.0
    """Seconds for everything; on a slow machine training is cut to keep to it."""
    holdout_fraction: float = 0.1
    """Share of episodes kept for the error on held-out episodes."""
    real_weight: float = 1.0
    """Share of training windows for each recorded robot, relative to a simulated one."""
    offline: OfflineConfig = field(default_factory=lambda: OfflineConfig(samples=4, max_decisions=250))
    delays_ms: tuple[float, ...] = (0.0, 100.0, 200.0)
    rollout_episodes: int = 20
    """Worlds for each robot, task and delay."""
    rollout_s: float = 70.0
    """Seconds for all rollouts; no new group of worlds starts after its share of them."""
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    law_amounts: tuple[int, ...] = (6, 12, 25, 50, 100, 200)
    """Amounts of data at which the law is measured, in episodes per robot."""
    law_parameters: float = 3e4
    """Parameters of the law's models: few, so that data and not training limits each of them."""
    law_steps: int = 300
    """Steps of each of the law's runs; all runs make equally many."""
    law_s: float = 69.0
    """Seconds for all of the law's runs; on a slow machine each makes fewer steps."""
    workers: int = 2
    """Cores to use: processes for collecting and rollouts, threads for training."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that every task has its number of episodes."""
        missing = [task for task in self.tasks if self.episodes.get(task, 0) < 1]
        if missing:
            raise ConfigError(
                f"demo.episodes: expected a number of episodes for every task, got none for {', '.join(missing)}"
            )


def training_seconds(config: DemoConfig, spent_s: float) -> float:
    """Return how long to train when the stages before took `spent_s`, so that the whole demo keeps its budget."""
    left = config.total_s - spent_s - config.rollout_s - config.law_s - OTHER_STAGES_S
    return max(min(config.train_s, left), min(config.train_s, LEAST_TRAINING_S))


def training(
    config: DemoConfig, stores: tuple[Path, ...], weights: dict[str, float], out: Path, seconds: float
) -> TrainConfig:
    """Return the training run of `seconds`; `weights` are the shares of windows by robot."""
    recipe = resolve(config.recipe)
    data = replace(
        recipe.data,
        stores=stores,
        holdout_fraction=config.holdout_fraction,
        weights=weights,
    )
    return replace(
        recipe, out=out, data=data, steps=None, max_seconds=seconds, threads=config.workers, seed=config.seed
    )


def curve(config: DemoConfig, base: TrainConfig, steps_per_s: float) -> CurveConfig:
    """Return the study of error against data: a small model on the simulated robots, with equal steps for every amount.

    `steps_per_s` is the speed of the demo's own training. A small model on one thread makes about 1.5 times as many
    steps a second as the demo's model on two.
    """
    rounds = -(-len(config.law_amounts) // config.workers)
    affordable = int(0.8 * config.law_s / rounds * 1.5 * steps_per_s)
    run = replace(
        base,
        model=ladder(config.law_parameters, base.model),
        data=replace(base.data, robots=config.robots, weights={}),
        steps=max(min(config.law_steps, affordable), 20),
        max_seconds=None,
        threads=1,
        tensorboard=False,
        save_every=1_000_000,
    )
    return CurveConfig(
        training=run,
        amounts=config.law_amounts,
        offline=OfflineConfig(samples=1, max_decisions=150),
        workers=config.workers,
    )


def rollouts(config: DemoConfig, run: Path, videos: Path) -> dict[str, RolloutConfig]:
    """Return the rollouts: the model at every delay, holding still, the model at its measured delay, and films."""
    model = RolloutConfig(
        policy=str(run),
        robots=config.robots,
        tasks=config.tasks,
        delays_ms=config.delays_ms,
        episodes=config.rollout_episodes,
        lanes=max(1, config.rollout_episodes // 2),
        execution=config.execution,
        workers=config.workers,
        budget_s=0.6 * config.rollout_s,
    )
    return {
        "model": model,
        "hold": replace(model, policy="hold", delays_ms=(0.0,), budget_s=0.15 * config.rollout_s),
        "measured": replace(
            model,
            tasks=config.tasks[:1],
            delays_ms=("measured",),
            episodes=3,
            workers=1,
            budget_s=0.1 * config.rollout_s,
        ),
        "films": replace(model, delays_ms=(100.0,), episodes=1, video_dir=videos, budget_s=0.15 * config.rollout_s),
    }
