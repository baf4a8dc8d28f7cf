"""Judging policies: offline metrics, closed-loop rollouts under delay, and honest intervals.

This package leaves learning to `train`, physics to `sim` and pictures to `report`.
"""
