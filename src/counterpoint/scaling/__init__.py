"""Scaling: how the error falls with data, fitted with honest intervals and checked by extrapolation.

This package leaves training to `train`, judging to `evaluate` and pictures to `report`.
"""
