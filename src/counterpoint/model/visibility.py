"""Visibility as data: boolean masks for attention.

    sensing token i sees sensing token j   iff  j had arrived when i arrived, and is not too old
    branch at decision s sees sensing j    iff  j had arrived by s, and is not too old
    branch sees its own acting tokens      and no other branch's

Legend: W windows, S sensing tokens, B branches, P acting tokens a branch.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sensing_visibility(
    capture_s: Tensor,
    arrival_s: Tensor,
    lasting: Tensor,
    context_s: float,
    *,
    query_capture_s: Tensor,
    query_arrival_s: Tensor,
) -> Tensor:
    """Return bool [W, Q, S]: which sensing tokens, the keys, each of some sensing tokens, the queries, sees.

    `lasting` bool [W, S] marks tokens that never expire (instructions). The output of an empty slot is
    never read; it sees everything, because softmax needs a key.
    """
    arrived = arrival_s.unsqueeze(1) <= query_arrival_s.unsqueeze(2)
    fresh = capture_s.unsqueeze(1) >= query_capture_s.unsqueeze(2) - context_s
    visible = arrived & (fresh | lasting.unsqueeze(1)) & torch.isfinite(arrival_s).unsqueeze(1)
    return visible | torch.isinf(query_arrival_s).unsqueeze(2)


def branch_visibility(
    capture_s: Tensor, arrival_s: Tensor, lasting: Tensor, decision_s: Tensor, context_s: float
) -> Tensor:
    """Return bool [W, B, S]: which sensing tokens each decision sees."""
    arrived = arrival_s.unsqueeze(1) <= decision_s.unsqueeze(2)
    fresh = capture_s.unsqueeze(1) >= decision_s.unsqueeze(2) - context_s
    return arrived & (fresh | lasting.unsqueeze(1))


def joint_visibility(branch_sees: Tensor, tokens_per_branch: int) -> Tensor:
    """Return bool [W, B * P, S + B * P] for acting queries over sensing keys, then acting keys."""
    windows, branches, sensing = branch_sees.shape
    acting = branches * tokens_per_branch
    own = torch.arange(acting, device=branch_sees.device) // tokens_per_branch
    same_branch = (own.unsqueeze(0) == own.unsqueeze(1)).expand(windows, acting, acting)
    to_sensing = branch_sees.unsqueeze(2).expand(windows, branches, tokens_per_branch, sensing)
    return torch.cat([to_sensing.reshape(windows, acting, sensing), same_branch], dim=2)
