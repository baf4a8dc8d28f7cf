"""Judging policies: offline metrics, closed-loop rollouts under delay, and confidence intervals.

    offline.evaluate_offline    errors against logged actions on held-out episodes, beside baselines
    rollout.rollout             success rates in simulated worlds, by robot, task and delay
    closed_loop.ClosedLoop      one policy in one world that does not wait for it
    statistics                  Wilson and bootstrap intervals

This package leaves learning to `train`, physics to `sim` and pictures to `report`.
"""
