"""Halves of a transformer block: each stream has its own weights, attention is joint.

Legend: W windows, T tokens, H heads, D head size, M residual width.
Pre-norm with RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467), normalised queries and keys
(Henry et al. 2020, arXiv 2010.04245), squared-ReLU feed-forward (So et al. 2021, arXiv 2109.08668).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.model.config import HarmonicConfig
from counterpoint.model.rotary import rotate

Phase = tuple[Tensor, Tensor]


class StreamHalf(nn.Module):
    """One stream's weights in one block: queries, keys, values, output projection and feed-forward layer."""

    def __init__(self, config: HarmonicConfig, width: int) -> None:
        super().__init__()
        heads, head_dim, mlp_ratio, layers = config.heads, config.head_dim, config.mlp_ratio, config.layers
        self.heads, self.head_dim = heads, head_dim
        self.attention_norm = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width)
        self.up = nn.Linear(width, mlp_ratio * width, bias=False)
        self.down = nn.Linear(mlp_ratio * width, width, bias=False)
        for layer in (self.qkv, self.up):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
        for layer in (self.out, self.down):
            nn.init.normal_(layer.weight, std=0.5 / math.sqrt(layer.in_features * layers))

    def project(self, x_WTM: Tensor, phase: Phase) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key, value, each [W, H, T, D]; queries and keys are normalised and rotated."""
        qkv: Tensor = self.qkv(self.attention_norm(x_WTM))
        q, k, v = qkv.view(*qkv.shape[:2], 3, self.heads, self.head_dim).unbind(-3)
        q = rotate(functional.rms_norm(q, (self.head_dim,)), phase)
        k = rotate(functional.rms_norm(k, (self.head_dim,)), phase)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def finish(self, x_WTM: Tensor, attended_WHTD: Tensor) -> Tensor:
        """Add the attention output [W, H, T, D] to x [W, T, M], then the feed-forward layer."""
        x_WTM = x_WTM + self.out(attended_WHTD.transpose(1, 2).flatten(-2))
        hidden: Tensor = functional.relu(self.up(self.mlp_norm(x_WTM)))
        down: Tensor = self.down(hidden * hidden)
        return x_WTM + down


class Offer(nn.Module):
    """The sensing stream's last layer: nothing reads its output, so it has keys and values only."""

    def __init__(self, config: HarmonicConfig) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.head_dim
        self.attention_norm = nn.RMSNorm(config.width)
        self.kv = nn.Linear(config.width, 2 * config.heads * config.head_dim, bias=False)
        nn.init.normal_(self.kv.weight, std=1 / math.sqrt(config.width))

    def forward(self, x_WTM: Tensor, phase: Phase) -> tuple[Tensor, Tensor]:
        """Return key and value, each [W, H, T, D]."""
        kv: Tensor = self.kv(self.attention_norm(x_WTM))
        k, v = kv.view(*kv.shape[:2], 2, self.heads, self.head_dim).unbind(-3)
        return rotate(functional.rms_norm(k, (self.head_dim,)), phase).transpose(1, 2), v.transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    """Return the attention of queries [W, H, Q, D] over the keys [W, H, T, D] that `visible` bool [W, Q, T] allows."""
    keep = q.device.type != "cpu"  # the CPU kernel's backward pass is several times slower in bfloat16
    with torch.autocast(q.device.type, enabled=keep and torch.is_autocast_enabled(q.device.type)):
        q, k, v = (q, k, v) if keep else (q.float(), k.float(), v.float())
        bias = torch.zeros(visible.shape, dtype=q.dtype, device=q.device).masked_fill_(~visible, -1e9)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.unsqueeze(1))
