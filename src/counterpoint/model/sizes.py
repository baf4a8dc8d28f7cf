"""A ladder of model sizes from one number, and the cost of a size.

Depth grows slowly with width (aspect ratio about 32 to 128), as in the scaling studies that the
project compares with; the acting stream is as wide as the sensing one up to 512 and half beyond.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from counterpoint.core.descriptor import DESCRIPTOR_DIM
from counterpoint.core.errors import ConfigError
from counterpoint.model.acting import FLOW_FEATURES
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.sensing import VALUE_FEATURES
from counterpoint.model.tensors import TensorBatch

_WIDTHS = (
    *(8, 12, 16, 24, 32, 40, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512),
    *(640, 768, 1024, 1280, 1536, 2048, 3072, 4096, 5120),
)


def ladder(parameters: float, base: HarmonicConfig | None = None) -> HarmonicConfig:
    """Return the configuration whose block parameters come nearest to `parameters`.

    Raises:
        ConfigError: `parameters` is not positive.
    """
    if parameters <= 0:
        raise ConfigError(f"size: expected a positive number of parameters, got {parameters}")
    rungs = [_rung(width, base or HarmonicConfig()) for width in _WIDTHS]
    return min(rungs, key=lambda config: abs(block_parameters(config) / parameters - 1))


def _rung(width: int, base: HarmonicConfig) -> HarmonicConfig:
    head_dim = 16 if width < 128 else 32 if width < 512 else 64 if width < 1024 else 128
    layers = 2 if width < 48 else 3 if width < 96 else 4 if width < 256 else 6 if width < 512 else width // 64
    acting = width if width <= 512 else width // 2
    return replace(
        base,
        width=width,
        acting_width=acting,
        layers=min(layers, 40),
        heads=max(1, width // head_dim),
        head_dim=head_dim,
        descriptor_hidden=max(64, min(width, 512)),
    )


def block_parameters(config: HarmonicConfig) -> int:
    """Parameters of the transformer blocks: the N of a scaling law (embeddings left out)."""
    sensing = half_parameters(config, config.width) * (config.layers - 1) + _offer_parameters(config)
    return sensing + half_parameters(config, config.acting_width) * config.layers


def half_parameters(config: HarmonicConfig, width: int) -> int:
    """Matrix parameters of one stream's half of one block."""
    return 4 * width * config.heads * config.head_dim + 2 * config.mlp_ratio * width * width


def _offer_parameters(config: HarmonicConfig) -> int:
    return 2 * config.width * config.heads * config.head_dim


def num_parameters(model: nn.Module) -> int:
    """All trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def flops_per_batch(config: HarmonicConfig, batch: TensorBatch) -> float:
    """Return the floating point operations of all matrix products in one training pass over `batch`.

    A matrix of P numbers costs 2 P operations a row forward and 4 P backward (Kaplan et al. 2020, arXiv 2001.08361,
    section 2.1). A matrix that reads data instead of activations costs 2 P backward, because data need no gradient.
    Padding and masked scores count, because they are computed. Element-wise operations are left out.
    """
    return _block_flops(config, batch) + _sensing_input_flops(config, batch) + _acting_channel_flops(config, batch)


def _block_flops(config: HarmonicConfig, batch: TensorBatch) -> float:
    """Both streams' blocks: matrices, and scores and sums of attention."""
    windows, sensing = batch.capture_s.shape
    acting = batch.decision_s.shape[1] * batch.knot_s.numel() // config.knots_per_token
    sensing_matrices = half_parameters(config, config.width) * (config.layers - 1) + _offer_parameters(config)
    acting_matrices = half_parameters(config, config.acting_width) * config.layers
    matrices = sensing * sensing_matrices + acting * acting_matrices
    pairs = (config.layers - 1) * sensing * sensing + config.layers * acting * (sensing + acting)
    return float(windows * (6 * matrices + 12 * config.heads * config.head_dim * pairs))


def _sensing_input_flops(config: HarmonicConfig, batch: TensorBatch) -> float:
    """Tokenizers: from measured values and image patches to the residual width."""
    flops = 0
    for vectors in batch.vectors:
        tokens, channels = vectors.values.shape
        flops += _code_flops(config, channels)
        flops += 6 * channels * config.descriptor_hidden * (VALUE_FEATURES + 1) * config.width
        flops += 4 * tokens * channels * VALUE_FEATURES * config.width
    for images in batch.images:
        flops += 4 * images.patches.shape[0] * (3 * config.patch**2 + 2) * config.width
    return float(flops)


def _acting_channel_flops(config: HarmonicConfig, batch: TensorBatch) -> float:
    """Projections between an action chunk and the acting width, and the embedding of flow times."""
    width, hidden, group = config.acting_width, config.descriptor_hidden, config.knots_per_token
    flops = 4 * batch.decision_s.numel() * batch.knot_s.numel() * FLOW_FEATURES * width
    for acting in batch.acting:
        numbers, channels = acting.values.numel(), acting.values.shape[-1]
        flops += _code_flops(config, channels) + 6 * hidden * width  # what the robot is
        flops += 2 * 6 * channels * hidden * group * width  # rows into the stream and out of it
        flops += (4 + 6) * numbers * width
    return float(flops)


def _code_flops(config: HarmonicConfig, channels: int) -> int:
    """Descriptors to codes; the random frequencies are not trained."""
    frequencies = config.descriptor_frequencies
    mixed = (DESCRIPTOR_DIM + 2 * frequencies) * config.descriptor_hidden
    return channels * (2 * DESCRIPTOR_DIM * frequencies + 4 * mixed)
