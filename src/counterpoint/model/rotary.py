"""Rotary position in seconds: the phase advances with physical time, not with an index.

Rotary embedding: Su et al. 2021, arXiv 2104.09864, eq. 34; here the position is a real number of
seconds and the periods are spaced geometrically between a shortest and a longest one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rotary_frequencies(head_dim: int, min_period_s: float, max_period_s: float) -> Tensor:
    """Return angular frequencies in rad/s, float32 [head_dim / 2], highest first."""
    steps = torch.linspace(0.0, 1.0, head_dim // 2)
    periods = min_period_s * (max_period_s / min_period_s) ** steps
    return 2 * math.pi / periods


def rotary_phase(time_s: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine, each [..., 1, head_dim / 2], for times [...] in seconds."""
    angle = (time_s.unsqueeze(-1) * frequencies).unsqueeze(-2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, phase: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the pairs (i, i + head_dim / 2) of `x` [..., heads, head_dim] by the phase of their token."""
    cos, sin = phase
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
