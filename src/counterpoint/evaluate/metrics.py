"""Offline metrics: one module, one meaning everywhere.

Shapes: B decisions, S policy samples a decision, K knots of the horizon, C acting channels.

Units. Actions are compared in normalised units: each acting channel is divided by `channel_scale`,
the standard deviation over all held-out decisions and knots of that robot of the logged action
relative to its base (joint positions: the measured joint at the decision; other channels: nothing).
The scale comes from the data alone, never from a checkpoint, so two models are always compared in the
same unit. Always answering the mean gives an error of 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.seeding import generator

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

SCALE_FLOOR = 5e-3
"""Least scale of a channel in its unit (rad, m or opening), so that errors of still channels are not amplified."""


def channel_scale(relative_BKC: Float, valid_BK: Bool) -> Float:
    """Return the unit of each channel, [C]: standard deviation over valid knots of actions relative to their base."""
    rows = relative_BKC[valid_BK]
    spread = rows.std(axis=0) if len(rows) else np.zeros(relative_BKC.shape[2])
    return np.asarray(np.maximum(spread, SCALE_FLOOR))


def squared_error(samples_BSKC: Float, target_BKC: Float) -> Float:
    """Return the squared error of each decision and knot, averaged over samples and channels: [B, K]."""
    return np.asarray(((samples_BSKC - target_BKC[:, None]) ** 2).mean(axis=(1, 3)))


def next_action_mse(samples_BSKC: Float, target_BKC: Float, valid_BK: Bool) -> Float:
    """Return the error of each decision over its valid knots, [B], in the units given.

    Each sample counts separately: this is the expected error of one answer, not the error of the mean answer.
    """
    error = squared_error(samples_BSKC, target_BKC) * valid_BK
    return np.asarray(error.sum(axis=1) / np.maximum(valid_BK.sum(axis=1), 1))


def reverse_kl(samples_BSKC: Float, target_BKC: Float, valid_BK: Bool, *, draws: int = 8, seed: int = 0) -> Float:
    """Return KL(q || p) of each decision in nats, [B], by Monte-Carlo.

    q is the equal mixture of unit-variance Gaussians at the S samples, p the unit-variance Gaussian at
    the logged action, both over the whole chunk (valid knots times channels), in normalised units:
    E_q[log q - log p]. `draws` pairs x = sample + noise, sample - noise are taken at every sample; the
    squared noise cancels between log q and log p and is never formed. One sample gives half the squared
    distance of the chunk exactly.
    """
    num_decisions, num_samples = samples_BSKC.shape[:2]
    mask = valid_BK[..., None]
    samples = (samples_BSKC * mask[:, None]).reshape(num_decisions, num_samples, -1)
    target = (target_BKC * mask).reshape(num_decisions, 1, -1)
    to_target = 0.5 * ((samples - target) ** 2).sum(axis=2)
    rng = generator(seed, "reverse_kl")
    total = np.zeros(num_decisions)
    for _ in range(draws):
        noise = rng.standard_normal(samples.shape)
        for signed in (noise, -noise):
            total += _log_ratio(samples, target, to_target, signed).mean(axis=1)
    return total / (2 * draws)


def _log_ratio(samples: Float, target: Float, to_target: Float, noise: Float) -> Float:
    """Return log q(x) - log p(x) at x = samples + noise, [B, S]."""
    between = ((samples[:, :, None] - samples[:, None, :]) ** 2).sum(axis=3)
    shift = np.einsum("bkd,bkd->bk", samples, noise)[:, :, None] - np.einsum("bkd,bjd->bkj", noise, samples)
    exponent = -0.5 * between - shift
    top = exponent.max(axis=2, keepdims=True)
    log_q = np.log(np.exp(exponent - top).mean(axis=2)) + top[..., 0]
    log_p = -to_target - np.einsum("bkd,bkd->bk", samples - target, noise)
    return np.asarray(log_q - log_p)
