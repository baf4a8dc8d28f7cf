"""Shape of a harmonic model: one frozen dataclass of plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from counterpoint.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class HarmonicConfig:
    """Shape of a harmonic model; `sizes.ladder` derives one from a parameter count."""

    width: int = 128
    """Residual width of the sensing stream."""
    acting_width: int = 128
    """Residual width of the acting stream; may be narrower, because only it repeats while sampling."""
    layers: int = 4
    """Transformer blocks of each stream."""
    heads: int = 4
    """Attention heads, shared by both streams."""
    head_dim: int = 32
    """Size of a head; even, because rotary phases rotate pairs."""
    mlp_ratio: int = 4
    """Hidden size of the feed-forward layers over the residual width."""
    knots_per_token: int = 4
    """Action knots that share an acting token; the number of knots must be a multiple."""
    descriptor_hidden: int = 128
    """Hidden size of the function from channel descriptor to projection row."""
    descriptor_frequencies: int = 64
    """Random Fourier features of the descriptors."""
    descriptor_scale: float = 2.0
    """Standard deviation of those random frequencies."""
    min_period_s: float = 0.1
    """Shortest rotary period, seconds: about the finest timing that attention can resolve."""
    max_period_s: float = 20.0
    """Longest rotary period, seconds."""
    context_s: float = 10.0
    """Sensing tokens captured longer ago than this are invisible (instructions never expire)."""
    commit_noise: float = 0.03
    """Standard deviation of the noise on committed actions in training, normalised units; at run time they are the
    model's own predictions and not exact."""
    flow_time_power: float = 1.0
    """Training flow times are u ** power, u uniform: above 1 favours early, noisy times."""
    training_matmul: Literal["float32", "bfloat16", "auto"] = "float32"
    """Precision of matrix products in training; `auto` is bfloat16 where the processor multiplies it natively.
    Weights, residual streams, attention on CPUs and sampling stay float32."""
    text_buckets: int = 4096
    """Hash buckets of the instruction's words and letter groups."""
    patch: int = 16
    """Side of an image patch, pixels."""
    num_cameras: int = 16
    """Camera embeddings; camera names hash onto them."""

    def __post_init__(self) -> None:
        """Check the numbers before anything is built."""
        for name in ("width", "acting_width", "layers", "heads", "head_dim", "mlp_ratio", "knots_per_token", "patch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name}: expected at least 1, got {getattr(self, name)}")
        if self.head_dim % 2:
            raise ConfigError(f"model.head_dim: expected an even number for rotary pairs, got {self.head_dim}")
        if not 0 < self.min_period_s < self.max_period_s:
            raise ConfigError(
                f"model.min_period_s: expected 0 < min_period_s < max_period_s, got {self.min_period_s} and "
                f"{self.max_period_s}"
            )
        if self.context_s <= 0 or self.commit_noise < 0 or self.flow_time_power <= 0:
            raise ConfigError(
                "model: expected context_s and flow_time_power above 0 and commit_noise at least 0, got "
                f"{self.context_s}, {self.flow_time_power} and {self.commit_noise}"
            )
