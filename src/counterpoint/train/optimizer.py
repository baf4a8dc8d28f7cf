"""Muon for the hidden matrices and AdamW for the rest, as one object with one state.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, algorithm 2): the momentum of a
matrix is replaced by its nearest semi-orthogonal matrix, approximated by five quintic Newton-Schulz
steps X <- aX + (bXX^T + c(XX^T)^2)X. Matrices of one shape are orthogonalised together in one batched
product, which is what makes it fast on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from counterpoint.core.errors import CheckpointError, ConfigError
from counterpoint.model.precision import uses_bfloat16

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
UpdateScale = Literal["spectral", "match_adamw"]


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Learning rates and momenta of Muon and AdamW."""

    muon_learning_rate: float = 0.02
    """Peak learning rate of Muon (hidden matrices), above 0; the update has spectral norm near 1 times this."""
    learning_rate: float = 3e-3
    """Peak learning rate of AdamW (embeddings, gains, biases, heads), above 0."""
    momentum: float = 0.95
    """Momentum of Muon in [0, 1)."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of AdamW's first and second moment, each in [0, 1)."""
    weight_decay: float = 0.01
    """Decoupled weight decay, times the current rate, on every tensor with two or more dimensions; at least 0."""
    update_scale: UpdateScale = "spectral"
    """`spectral`: sqrt(max(1, rows / columns)); `match_adamw`: 0.2 sqrt(max(rows, columns)), so that Muon
    takes AdamW's rates (Liu et al. 2025, arXiv 2502.16982, equation 4)."""
    newton_schulz_steps: int = 5
    """Iterations of the orthogonalisation, 1 to 20."""
    orthogonalize_in: Literal["float32", "bfloat16", "auto"] = "auto"
    """Precision of that iteration; `auto` is bfloat16 where the processor multiplies it natively (about 3 times
    faster, as in the source)."""
    gradient_clip: float = 1.0
    """Largest global norm of the gradient; 0 switches clipping off."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for key in ("muon_learning_rate", "learning_rate"):
            if not (getattr(self, key) > 0 and math.isfinite(getattr(self, key))):
                raise ConfigError(f"{key}: expected a positive number, got {getattr(self, key)}")
        for key, value in (("momentum", self.momentum), ("betas", self.betas[0]), ("betas", self.betas[1])):
            if not 0 <= value < 1:
                raise ConfigError(f"{key}: expected a value in [0, 1), got {value}")
        for key in ("weight_decay", "gradient_clip"):
            if not getattr(self, key) >= 0:
                raise ConfigError(f"{key}: expected at least 0, got {getattr(self, key)}")
        if not 1 <= self.newton_schulz_steps <= 20:
            raise ConfigError(f"newton_schulz_steps: expected 1 to 20, got {self.newton_schulz_steps}")
        if self.update_scale not in ("spectral", "match_adamw"):
            raise ConfigError(f"update_scale: expected 'spectral' or 'match_adamw', got {self.update_scale!r}")


def orthogonalize(matrices: Tensor, steps: int = 5, precision: torch.dtype = torch.float32) -> Tensor:
    """Return the semi-orthogonal matrices nearest to `matrices` [..., rows, columns], approximately.

    Singular values end up between about 0.7 and 1.2, except those near zero. Multiplies in
    `precision`; returns the dtype it was given.
    """
    a, b, c = NEWTON_SCHULZ
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if is_tall else matrices
    x = wide.reshape(-1, *wide.shape[-2:]).to(precision)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.reshape(wide.shape).to(matrices.dtype)
    return x.mT if is_tall else x


class MuonAdamW:
    """Updates `hidden` parameters with Muon and `other` parameters with AdamW.

    A parameter whose gradient is None is not updated. State tensors are named after
    parameters: `<parameter>/momentum`, `<parameter>/first`, `<parameter>/second`, `<parameter>/count`.
    """

    def __init__(
        self, hidden: Mapping[str, nn.Parameter], other: Mapping[str, nn.Parameter], config: OptimizerConfig
    ) -> None:
        """Take parameters by name; hidden ones need at least two dimensions."""
        for name, parameter in hidden.items():
            assert parameter.ndim >= 2, f"{name}: Muon needs matrices, got shape {tuple(parameter.shape)}"
        self.config = config
        self.hidden, self.other = dict(hidden), dict(other)
        self._momentum = {name: torch.zeros_like(p) for name, p in self.hidden.items()}
        self._first = {name: torch.zeros_like(p) for name, p in self.other.items()}
        self._second = {name: torch.zeros_like(p) for name, p in self.other.items()}
        self._count = dict.fromkeys(self.other, 0)

    def zero_grad(self) -> None:
        """Forget gradients."""
        for parameter in (*self.hidden.values(), *self.other.values()):
            parameter.grad = None

    def clip(self) -> float:
        """Scale gradients to at most `gradient_clip` in global norm; return the norm before."""
        limit = self.config.gradient_clip or math.inf
        return float(nn.utils.clip_grad_norm_((*self.hidden.values(), *self.other.values()), limit))

    @torch.no_grad()
    def step(self, rate_factor: float) -> None:
        """Update every parameter that has a gradient, at `rate_factor` times the peak rates."""
        self._step_hidden(rate_factor * self.config.muon_learning_rate)
        self._step_other(rate_factor * self.config.learning_rate)

    def _step_hidden(self, rate: float) -> None:
        by_shape: dict[torch.Size, list[str]] = {}
        for name, parameter in self.hidden.items():
            if parameter.grad is not None:
                by_shape.setdefault(parameter.shape, []).append(name)
        for shape, names in by_shape.items():
            gradients = [_gradient(self.hidden[name]) for name in names]
            momenta = [self._momentum[name] for name in names]
            torch._foreach_lerp_(momenta, gradients, 1 - self.config.momentum)
            nesterov = torch._foreach_lerp(gradients, momenta, self.config.momentum)
            stacked = torch.stack(nesterov)
            updates = orthogonalize(stacked, self.config.newton_schulz_steps, self._precision(stacked.device))
            parameters: list[Tensor] = [self.hidden[name] for name in names]
            torch._foreach_mul_(parameters, 1 - rate * self.config.weight_decay)
            torch._foreach_add_(parameters, list(updates.unbind()), alpha=-rate * self._scale(shape))

    def _step_other(self, rate: float) -> None:
        names = [name for name, parameter in self.other.items() if parameter.grad is not None]
        if not names:
            return
        beta1, beta2 = self.config.betas
        gradients = [_gradient(self.other[name]) for name in names]
        first, second = [self._first[name] for name in names], [self._second[name] for name in names]
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        for name in names:
            self._count[name] += 1
        counts = [self._count[name] for name in names]
        roots = torch._foreach_sqrt(second)
        torch._foreach_div_(roots, [math.sqrt(1 - beta2**count) for count in counts])
        torch._foreach_add_(roots, 1e-8)
        updates = torch._foreach_div(first, roots)
        torch._foreach_mul_(updates, [-rate / (1 - beta1**count) for count in counts])
        decayed: list[Tensor] = [self.other[name] for name in names if self.other[name].ndim >= 2]
        if decayed:
            torch._foreach_mul_(decayed, 1 - rate * self.config.weight_decay)
        torch._foreach_add_([self.other[name] for name in names], updates)

    def _precision(self, device: torch.device) -> torch.dtype:
        return torch.bfloat16 if uses_bfloat16(self.config.orthogonalize_in, device) else torch.float32

    def _scale(self, shape: torch.Size) -> float:
        rows, columns = shape[-2], shape[-1]
        if self.config.update_scale == "match_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1.0, rows / columns))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the whole state as named tensors (references, not copies)."""
        state = {f"{name}/momentum": value for name, value in self._momentum.items()}
        state |= {f"{name}/first": value for name, value in self._first.items()}
        state |= {f"{name}/second": value for name, value in self._second.items()}
        return state | {f"{name}/count": torch.tensor(count) for name, count in self._count.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            CheckpointError: names or shapes differ from this optimizer's.
        """
        own = self.state_dict()
        if own.keys() != state.keys():
            raise CheckpointError(f"optimizer state: names differ: {sorted(own.keys() ^ state.keys())[:4]}")
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise CheckpointError(f"optimizer state {name}: expected {tensor.shape}, got {state[name].shape}")
            tensor.copy_(state[name])
        self._count = {name: int(state[f"{name}/count"]) for name in self._count}


def build_optimizer(model: nn.Module, groups: Mapping[str, list[nn.Parameter]], config: OptimizerConfig) -> MuonAdamW:
    """Build the optimizer from the model's own groups `hidden` and `other`, which must cover it."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert groups.keys() == {"hidden", "other"}, f"expected groups hidden and other, got {sorted(groups)}"
    named = {group: {names[id(p)]: p for p in parameters} for group, parameters in groups.items()}
    covered = [*named["hidden"], *named["other"]]
    assert sorted(covered) == sorted(names.values()), "parameter groups must hold every parameter exactly once"
    return MuonAdamW(named["hidden"], named["other"], config)


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
