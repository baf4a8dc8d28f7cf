"""Training: from stores and a recipe to a checkpoint.

    trainer.train        runs a `config.TrainConfig` to its end, or resumes it
    recipes.resolve      returns the configuration of a recipe with overrides
    explain.explain      says what a run would read, build and cost
    episodes.open_data   opens the stores of a run; `open_batches` yields its batches

This package leaves reading windows to `data`, mathematics to `model`, the checkpoint folder to
`policy`, and judging the result to `evaluate`; it never imports a simulator.
"""

from typing import TYPE_CHECKING

from counterpoint.core.exports import lazy_exports, make_callable

if TYPE_CHECKING:
    from counterpoint.train.config import DataConfig, TrainConfig
    from counterpoint.train.recipes import RECIPES, resolve
    from counterpoint.train.run import TrainedRun, train
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "counterpoint.train.config": ("DataConfig", "TrainConfig"),
            "counterpoint.train.recipes": ("RECIPES", "resolve"),
            "counterpoint.train.run": ("TrainedRun", "train"),
        },
    )
    make_callable(__name__, "train")

__all__ = ["RECIPES", "DataConfig", "TrainConfig", "TrainedRun", "resolve", "train"]
