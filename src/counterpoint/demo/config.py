"""All budgets of the demo in one place; the whole stays below ten minutes on two cores."""

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


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What the demo does and how long it may take."""

    robots: tuple[str, ...] = ("ur5e", "panda", "bimanual_panda")
    tasks: tuple[str, ...] = ("reach", "track", "lift")
    episodes: dict[str, int] = field(default_factory=lambda: {"reach": 300, "track": 160, "lift": 440})
    """Episodes collected of each task, on every robot that the task fits."""
    recipe: str = "demo"
    """Recipe of the one model."""
    train_s: float = 325.0
    """Seconds of training."""
    holdout_fraction: float = 0.1
    """Share of episodes kept for judging offline."""
    real_weight: float = 1.0
    """Windows of each recorded robot, relative to a simulated one."""
    offline: OfflineConfig = field(default_factory=lambda: OfflineConfig(samples=4, max_decisions=250))
    delays_ms: tuple[float, ...] = (0.0, 100.0, 200.0)
    rollout_episodes: int = 20
    """Worlds a robot, task and delay."""
    rollout_s: float = 55.0
    """No new group of worlds starts after these seconds."""
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    law_amounts: tuple[int, ...] = (6, 12, 25, 50, 100, 200)
    """Episodes a robot at which the law is measured."""
    law_parameters: float = 3e4
    """Size of the law's models: small, so that each is trained long enough to be limited by its data."""
    law_steps: int = 300
    """Steps of each run of the law; all runs have the same."""
    law_s: float = 69.0
    """Seconds for all runs of the law; on a slow machine all get fewer steps, alike."""
    workers: int = 2
    """Processes, and threads of training: the cores to use."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that every task has its number of episodes."""
        missing = [task for task in self.tasks if self.episodes.get(task, 0) < 1]
        if missing:
            raise ConfigError(f"demo.episodes: expected a number for every task, none for {', '.join(missing)}")


def training(config: DemoConfig, stores: tuple[Path, ...], weights: dict[str, float], out: Path) -> TrainConfig:
    """Return the training run of the one model; `weights` are the shares of windows by robot."""
    recipe = resolve(config.recipe)
    data = replace(
        recipe.data,
        stores=stores,
        holdout_fraction=config.holdout_fraction,
        weights=weights,
    )
    return replace(
        recipe, out=out, data=data, steps=None, max_seconds=config.train_s, threads=config.workers, seed=config.seed
    )


def curve(config: DemoConfig, base: TrainConfig, steps_per_s: float) -> CurveConfig:
    """Return the study of error against data: a small model, simulated robots, the same steps for all.

    `steps_per_s` is the speed that the demo's own training had; a small model on one thread makes about
    1.5 times as many steps as the demo's on two.
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
    """Return the closed-loop runs: the model at every delay, films of it, its own speed, and holding still."""
    model = RolloutConfig(
        policy=str(run),
        robots=config.robots,
        tasks=config.tasks,
        delays_ms=config.delays_ms,
        episodes=config.rollout_episodes,
        lanes=max(1, config.rollout_episodes // 2),
        execution=config.execution,
        workers=config.workers,
        budget_s=config.rollout_s,
    )
    return {
        "model": model,
        "hold": replace(model, policy="hold", delays_ms=(0.0,)),
        "measured": replace(model, tasks=config.tasks[:1], delays_ms=("measured",), episodes=3, workers=1),
        "films": replace(model, delays_ms=(100.0,), episodes=1, video_dir=videos),
    }
