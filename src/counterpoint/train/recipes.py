"""Recipes: functions that return the whole configuration of a run. The command line overrides single settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from counterpoint.core.config import apply_overrides
from counterpoint.core.errors import unknown_name
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.sizes import ladder
from counterpoint.train.config import DataConfig, TrainConfig
from counterpoint.train.optimizer import OptimizerConfig
from counterpoint.train.schedule import ScheduleConfig


def tiny() -> TrainConfig:
    """Seconds on a CPU: checks that everything works, but learns little."""
    return TrainConfig(
        out=Path("runs/tiny"),
        data=DataConfig(holdout_fraction=0.2),
        window=WindowConfig(branches=4, knots=8, knot_s=0.1, text_buckets=64, text_features=16),
        model=HarmonicConfig(
            width=16,
            acting_width=16,
            layers=2,
            heads=2,
            head_dim=8,
            descriptor_hidden=16,
            descriptor_frequencies=16,
            text_buckets=64,
        ),
        steps=40,
        batch_windows=8,
        loader_workers=0,
        log_every=10,
        save_every=20,
        tensorboard=False,
    )


def demo() -> TrainConfig:
    """What `make demo` trains: several simulated robots in one model, a few CPU minutes, bounded by time."""
    return TrainConfig(
        out=Path("runs/demo"),
        model=HarmonicConfig(
            width=128, acting_width=128, layers=2, flow_time_power=1.5, commit_noise=0.1, training_matmul="auto"
        ),
        schedule=ScheduleConfig(decay_fraction=0.3),
        steps=None,
        max_seconds=180.0,
        batch_windows=48,
        ema_decay=0.99,
        log_every=20,
        save_every=1000,
    )


def single_robot() -> TrainConfig:
    """One robot, half an hour on a few CPU cores: a first policy from logs of your own."""
    return TrainConfig(
        out=Path("runs/single_robot"),
        data=DataConfig(held_out=()),
        model=ladder(1e6, HarmonicConfig(training_matmul="auto")),
        steps=6000,
        batch_windows=32,
    )


def base() -> TrainConfig:
    """Many robots on one accelerator: about 30M parameters, hours."""
    return replace(
        _large(30e6), out=Path("runs/base"), steps=50_000, batch_windows=256, loader_workers=8, save_every=2000
    )


def large() -> TrainConfig:
    """Many robots on several accelerators under torchrun: about 300M parameters, a day."""
    return replace(
        _large(300e6),
        out=Path("runs/large"),
        steps=200_000,
        batch_windows=1024,
        num_microbatches=8,
        loader_workers=8,
        save_every=2000,
    )


def _large(parameters: float) -> TrainConfig:
    return TrainConfig(
        model=ladder(parameters, HarmonicConfig(training_matmul="auto")),
        optimizer=OptimizerConfig(muon_learning_rate=0.01, learning_rate=1e-3),
        schedule=ScheduleConfig(warmup_fraction=0.02, decay_fraction=0.2),
        ema_decay=0.9995,
        log_every=50,
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    recipe.__name__: recipe for recipe in (demo, single_robot, base, large, tiny)
}


def resolve(recipe: str, overrides: Mapping[str, object] | None = None) -> TrainConfig:
    """Return the configuration of a recipe with dotted overrides, for example `{"optimizer.learning_rate": "1e-3"}`.

    Raises:
        UnknownNameError: no such recipe (offers the nearest).
        ConfigError: an unknown setting (offers the nearest) or a bad value.
    """
    if recipe not in RECIPES:
        raise unknown_name("recipe", recipe, RECIPES, hint="See 'counterpoint train list'.")
    return apply_overrides(RECIPES[recipe](), overrides or {})
