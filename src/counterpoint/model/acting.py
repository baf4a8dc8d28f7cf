"""The acting stream: branches of action tokens; each branch sees the events that had arrived at its decision.

Legend: W windows, B branches, K knots, G knots a token, P tokens a branch, C channels, M width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from counterpoint.core.errors import ConfigError
from counterpoint.model.blocks import StreamHalf, attend
from counterpoint.model.channels import ChannelEncoder, ChannelRows
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.rotary import rotary_phase
from counterpoint.model.sensing import SensingCache
from counterpoint.model.tensors import TensorBatch
from counterpoint.model.visibility import branch_visibility, joint_visibility

FLOW_FEATURES = 6
"""Features of a knot's flow time t: t, whether it is committed, and sines and cosines of pi t and 2 pi t."""


class ActingStream(nn.Module):
    """Projects action knots and holds the acting half of every block."""

    def __init__(self, config: HarmonicConfig, encoder: ChannelEncoder) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        group = config.knots_per_token
        self.rows_in = ChannelRows(config.descriptor_hidden, group, config.acting_width)
        self.rows_out = ChannelRows(config.descriptor_hidden, group, config.acting_width)
        self.kind = nn.Linear(config.descriptor_hidden, config.acting_width)
        self.flow = nn.Linear(group * FLOW_FEATURES, config.acting_width)
        self.norm_in = nn.RMSNorm(config.acting_width)
        self.norm_out = nn.RMSNorm(config.acting_width)
        self.gain_out = nn.Parameter(torch.tensor(0.1))
        self.blocks = nn.ModuleList(StreamHalf(config, config.acting_width) for _ in range(config.layers))

    def forward(
        self, batch: TensorBatch, cache: SensingCache, noisy: list[Tensor], flow_time: Tensor, frequencies: Tensor
    ) -> list[Tensor]:
        """Predict the clean chunk of each group.

        Args:
            batch: times, descriptors and windows of the groups.
            cache: the encoded sensing stream of the same windows.
            noisy: for each group, normalised values [n, B, K, C].
            flow_time: [W, B, K] in [0, 1]; 1 for committed knots.
            frequencies: rotary frequencies, rad/s [D / 2].

        Returns:
            Clean values, shaped like `noisy`.

        Raises:
            ConfigError: the batch's knots are not a multiple of `knots_per_token`.
        """
        windows, branches, knots = flow_time.shape
        group = self.config.knots_per_token
        if knots % group:
            raise ConfigError(f"model.knots_per_token: expected a divisor of the {knots} knots a branch, got {group}")
        per_branch = knots // group
        codes = [self.encoder(acting.descriptors) for acting in batch.acting]
        x = self._embed(batch, codes, noisy, flow_time)
        middle = batch.knot_s.view(per_branch, group).mean(1)
        time_s = (batch.decision_s.unsqueeze(-1) + middle).view(windows, branches * per_branch)
        phase = rotary_phase(time_s, frequencies)
        sees = branch_visibility(
            cache.capture_s, cache.arrival_s, cache.lasting, batch.decision_s, self.config.context_s
        )
        visible = joint_visibility(sees, per_branch)
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, StreamHalf)
            q, k, v = block.project(x, phase)
            keys = torch.cat([cache.keys[layer], k], dim=2)
            values = torch.cat([cache.values[layer], v], dim=2)
            x = block.finish(x, attend(q, keys, values, visible))
        x = self.norm_out(x).view(windows, branches, per_branch, -1)
        return [self._read(x[acting.window], code) for acting, code in zip(batch.acting, codes, strict=True)]

    def _embed(self, batch: TensorBatch, codes: list[Tensor], noisy: list[Tensor], flow_time: Tensor) -> Tensor:
        """Return tokens [W, B * P, M]: the sum of projected values, a code of the robot, and flow times, normalised."""
        windows, branches, knots = flow_time.shape
        group, width = self.config.knots_per_token, self.config.acting_width
        per_branch = knots // group
        angle = math.pi * flow_time.unsqueeze(-1)
        committed = (flow_time >= 1).float().unsqueeze(-1)
        features = [flow_time.unsqueeze(-1), committed]
        features += [angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()]
        flow: Tensor = self.flow(torch.cat(features, dim=-1).view(windows, branches, per_branch, -1))
        tokens = flow.new_zeros(windows, branches, per_branch, width)
        for acting, code, x in zip(batch.acting, codes, noisy, strict=True):
            num_channels = code.shape[0]
            rows = self.rows_in(code).transpose(0, 1).reshape(group * num_channels, width)
            values = x.view(*x.shape[:2], per_branch, group * num_channels) @ rows
            kind: Tensor = self.kind(code.mean(0))
            tokens = tokens.index_copy(0, acting.window, values / math.sqrt(num_channels) + kind)
        embedded: Tensor = self.norm_in((tokens + flow).float())
        return embedded.view(windows, branches * per_branch, width)

    def _read(self, x: Tensor, code: Tensor) -> Tensor:
        """Return values [n, B, K, C] from tokens [n, B, P, M] and the channels' code [C, E]."""
        rows = self.rows_out(code)
        scale = self.gain_out / math.sqrt(self.config.acting_width)
        values = torch.einsum("nbpm,cgm->nbpgc", x * scale, rows)
        return values.flatten(2, 3)
