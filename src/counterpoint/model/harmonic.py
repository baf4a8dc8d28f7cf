r"""The harmonic transformer: two streams, one attention, real time.

    sensing   e0 e1 e2 e3 e4 ...      causal in arrival order, encoded once      own weights
                 \    \     \
    acting     [s0 ...] [s1 ...]       branches: see arrived events and themselves      own weights

Actions are produced by flow matching on the straight path x_t = (1 - t) noise + t clean (Lipman et al. 2023,
arXiv 2210.02747, equations 22 and 23 with sigma_min = 0). The network predicts the clean chunk; the velocity
is (clean - x_t) / (1 - t). Knots that will already have been executed when the answer is ready are
committed: they enter clean, at flow time 1, and carry no loss (arXiv 2512.05964, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterpoint.model.acting import ActingStream
from counterpoint.model.channels import ChannelEncoder
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.precision import uses_bfloat16
from counterpoint.model.sensing import SensingCache, SensingStream
from counterpoint.model.tensors import TensorBatch


@dataclass(frozen=True, kw_only=True, eq=False)
class Loss:
    """Mean squared error of the clean chunk, in normalised units."""

    total: Tensor
    """Scalar: the mean of each robot's valid, uncommitted numbers, weighted by the robot's share of the windows."""
    by_embodiment: dict[str, Tensor]
    """The mean of each robot, detached scalars."""


class HarmonicModel(nn.Module):
    """One policy network for robots with any channels and rates."""

    def __init__(self, config: HarmonicConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ChannelEncoder(config)
        self.sensing = SensingStream(config, self.encoder)
        self.acting = ActingStream(config, self.encoder)

    def sense(self, batch: TensorBatch, cache: SensingCache | None = None) -> SensingCache:
        """Encode sensing tokens once; with `cache`, only the batch's newer tokens are computed."""
        result: SensingCache = self.sensing(batch, cache)
        return result

    def predict(self, batch: TensorBatch, cache: SensingCache, noisy: list[Tensor], flow_time: Tensor) -> list[Tensor]:
        """Predict clean chunks, a tensor [n, B, K, C] a group; `flow_time` is [W, B, K]."""
        result: list[Tensor] = self.acting(batch, cache, noisy, flow_time, self.sensing.frequencies)
        return result

    def loss(self, batch: TensorBatch, generator: torch.Generator) -> Loss:
        """Return the flow-matching loss at random flow times; randomness comes from `generator` alone."""
        return self.error(batch, *self.corrupt(batch, generator))

    def corrupt(self, batch: TensorBatch, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
        """Draw the network's training input: noisy chunks [n, B, K, C] a group, flow times [W, B, K]."""
        known = known_knots(batch)
        shape = batch.decision_s.shape
        flow = torch.rand(shape, generator=generator, device=batch.decision_s.device) ** self.config.flow_time_power
        flow_time = torch.where(known, 1.0, flow.unsqueeze(-1).expand_as(known))
        noisy = []
        for acting in batch.acting:
            noise = torch.randn(acting.values.shape, generator=generator, device=flow.device)
            t = flow_time[acting.window].unsqueeze(-1)
            blended = (1 - t) * noise + t * acting.values
            prefix = acting.prefix + self.config.commit_noise * noise
            noisy.append(torch.where(known[acting.window].unsqueeze(-1), prefix, blended))
        return noisy, flow_time

    def error(self, batch: TensorBatch, noisy: list[Tensor], flow_time: Tensor) -> Loss:
        """Return the squared error of the clean chunks predicted from `noisy` at `flow_time`, see `corrupt`."""
        committed, device = committed_knots(batch), flow_time.device
        with torch.autocast(
            device.type, dtype=torch.bfloat16, enabled=uses_bfloat16(self.config.training_matmul, device)
        ):
            clean = self.predict(batch, self.sense(batch), noisy, flow_time)
        total = flow_time.new_zeros(())
        by_embodiment: dict[str, Tensor] = {}
        for acting, guess in zip(batch.acting, clean, strict=True):
            counted = (acting.valid & ~committed[acting.window]).unsqueeze(-1)
            squared = torch.where(counted, (guess.float() - acting.values) ** 2, 0.0)
            mean = squared.sum() / (counted.sum() * guess.shape[-1]).clamp_min(1)
            total = total + mean * (acting.window.numel() / flow_time.shape[0])
            by_embodiment[acting.embodiment] = mean.detach()
        return Loss(total=total, by_embodiment=by_embodiment)

    @torch.no_grad()
    def sample(
        self,
        batch: TensorBatch,
        *,
        steps: int,
        temperature: float,
        generator: torch.Generator,
        cache: SensingCache | None = None,
        noise: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """Draw action chunks, a tensor [n, B, K, C] a group, by `steps` Euler steps from scaled noise.

        `temperature` scales the initial noise: 1 samples the learned distribution, 0 follows its
        centre. Committed knots are read from the batch and come back unchanged. `noise`, shaped like the
        result, replaces what `generator` would draw.
        """
        cache = self.sense(batch) if cache is None else cache
        known = known_knots(batch)
        holds = [known[acting.window].unsqueeze(-1) for acting in batch.acting]
        x = []
        for number, (acting, hold) in enumerate(zip(batch.acting, holds, strict=True)):
            drawn = (
                noise[number] if noise else torch.randn(acting.values.shape, generator=generator, device=hold.device)
            )
            x.append(torch.where(hold, acting.prefix, temperature * drawn))
        for step in range(steps):
            t = step / steps
            clean = self.predict(batch, cache, x, torch.where(known, 1.0, t))
            rate = 1 / (steps - step)  # dt / (1 - t)
            x = [
                torch.where(hold, now, now + rate * (end - now)) for hold, now, end in zip(holds, x, clean, strict=True)
            ]
        return x

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Split all parameters into `hidden` (matrices inside blocks, for Muon) and `other`."""
        groups: dict[str, list[nn.Parameter]] = {"hidden": [], "other": []}
        for name, parameter in self.named_parameters():
            inside = (".blocks." in name or ".offer." in name) and parameter.ndim == 2
            groups["hidden" if inside else "other"].append(parameter)
        assert sum(map(len, groups.values())) == len(list(self.parameters()))
        return groups


def committed_knots(batch: TensorBatch) -> Tensor:
    """Return bool [W, B, K]: knots before the delay, executed before the answer is ready; they carry no loss."""
    return batch.knot_s < batch.delay_s.unsqueeze(-1) - 1e-6


def known_knots(batch: TensorBatch) -> Tensor:
    """Return bool [W, B, K]: knots that enter clean, from the batch's prefix."""
    return batch.knot_s < batch.prefix_s.unsqueeze(-1) - 1e-6
