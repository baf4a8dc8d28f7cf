"""Exponential moving average of weights: what policies load."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of a model's parameters over steps.

    The decay grows as (1 + step) / (10 + step) up to `decay`, so that short runs
    soon forget the random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start from the model's present weights; `decay` in [0, 1), 0 follows the weights exactly."""
        self.decay = decay
        self._parameters = dict(model.named_parameters())
        self.weights = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after optimizer step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), [p.detach() for p in self._parameters.values()], 1 - decay)

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Replace the average; names and shapes must be the model's."""
        for name, weight in self.weights.items():
            weight.copy_(weights[name])
