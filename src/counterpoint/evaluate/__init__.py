"""Judging policies: offline metrics, closed-loop rollouts under delay, and confidence intervals.

    offline.evaluate_offline    errors against logged actions on held-out episodes, beside baselines
    rollout.rollout             success rates in simulated worlds, by robot, task and delay
    closed_loop.ClosedLoop      one policy in one world that does not wait for it
    statistics                  Wilson and bootstrap intervals

This package leaves learning to `train`, physics to `sim` and pictures to `report`.
"""

from typing import TYPE_CHECKING

from counterpoint.core.exports import lazy_exports, make_callable

if TYPE_CHECKING:
    from counterpoint.evaluate.baselines import BASELINES
    from counterpoint.evaluate.closed_loop import ExecutionConfig
    from counterpoint.evaluate.held_out import evaluate
    from counterpoint.evaluate.offline import OfflineConfig, OfflineResult, evaluate_offline
    from counterpoint.evaluate.rollout import RolloutConfig, RolloutResult
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "counterpoint.evaluate.baselines": ("BASELINES",),
            "counterpoint.evaluate.closed_loop": ("ExecutionConfig",),
            "counterpoint.evaluate.held_out": ("evaluate",),
            "counterpoint.evaluate.offline": ("OfflineConfig", "OfflineResult", "evaluate_offline"),
            "counterpoint.evaluate.rollout": ("RolloutConfig", "RolloutResult"),
        },
    )
    make_callable(__name__, "evaluate")

__all__ = [
    "BASELINES",
    "ExecutionConfig",
    "OfflineConfig",
    "OfflineResult",
    "RolloutConfig",
    "RolloutResult",
    "evaluate",
    "evaluate_offline",
]
