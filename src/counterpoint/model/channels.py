"""Projections computed from a channel's physical description.

Robots of any number of channels, seen in training or not, share the same parameters:

    descriptor [C, F] -> Fourier features -> MLP -> rows [C, slots, width]

Legend: C channels, F descriptor numbers, G slots (value features or knots of a token), E hidden.
Fourier features of coordinates: Tancik et al. 2020, arXiv 2006.10739, eq. 5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from counterpoint.core.descriptor import DESCRIPTOR_DIM
from counterpoint.model.config import HarmonicConfig


class ChannelEncoder(nn.Module):
    """Maps descriptors [C, F] to codes [C, E] by fixed random frequencies and a learned layer."""

    frequencies: Tensor

    def __init__(self, config: HarmonicConfig) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shape = (DESCRIPTOR_DIM, config.descriptor_frequencies)
        self.register_buffer("frequencies", torch.randn(shape, generator=generator) * config.descriptor_scale)
        self.mix = nn.Sequential(
            nn.Linear(DESCRIPTOR_DIM + 2 * config.descriptor_frequencies, config.descriptor_hidden),
            nn.GELU(),
        )

    def forward(self, descriptors: Tensor) -> Tensor:
        """Return codes, float32 [C, E]."""
        phase = descriptors @ self.frequencies
        mixed: Tensor = self.mix(torch.cat([descriptors, phase.sin(), phase.cos()], dim=-1))
        return mixed


class ChannelRows(nn.Module):
    """Maps codes [C, E] to projection rows [C, G, width] of about unit variance at initialisation."""

    def __init__(self, hidden: int, slots: int, width: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.slots, self.width = slots, width
        self.rows = nn.Linear(hidden, slots * width)
        nn.init.normal_(self.rows.weight, std=gain * 2.0 / math.sqrt(hidden))
        nn.init.zeros_(self.rows.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Return rows [C, G, width]."""
        rows: Tensor = self.rows(codes)
        return rows.view(-1, self.slots, self.width)
