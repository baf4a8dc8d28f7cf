r"""Learning-rate schedules as functions of the fraction of the run that is done.

    wsd     /-----------\      warm-up, stable, linear decay (Hu et al. 2024, arXiv 2404.06395)
    cosine  /--.__             warm-up, half a cosine

The argument is a fraction, so that one schedule serves runs bounded by steps and by time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from counterpoint.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Shape of the learning rate over the run."""

    kind: Literal["wsd", "cosine"] = "wsd"
    """`wsd` holds the peak until the decay begins; `cosine` falls from the end of the warm-up."""
    warmup_fraction: float = 0.03
    """Share of the run in which the rate rises linearly from 0, in [0, 1)."""
    decay_fraction: float = 0.4
    """Share of the run, at its end, in which `wsd` falls linearly; in [0, 1]; unused by `cosine`."""
    final_factor: float = 0.02
    """Rate at the end over the peak rate, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.kind not in ("wsd", "cosine"):
            raise ConfigError(f"kind: expected 'wsd' or 'cosine', got {self.kind!r}")
        for key in ("warmup_fraction", "decay_fraction", "final_factor"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"{key}: expected a value in [0, 1], got {getattr(self, key)}")
        decay = self.decay_fraction if self.kind == "wsd" else 0.0
        if self.warmup_fraction + decay > 1 or self.warmup_fraction == 1:
            raise ConfigError(
                f"warmup_fraction: warm-up {self.warmup_fraction} and decay {decay} must fit into the run "
                "(sum at most 1, warm-up below 1)"
            )


def rate_factor(config: ScheduleConfig, fraction: float) -> float:
    """Return the learning rate over its peak when `fraction` in [0, 1] of the run is done."""
    done = min(max(fraction, 0.0), 1.0)
    if done < config.warmup_fraction:
        return done / config.warmup_fraction
    if config.kind == "cosine":
        phase = (done - config.warmup_fraction) / (1 - config.warmup_fraction)
        return config.final_factor + (1 - config.final_factor) * 0.5 * (1 + math.cos(math.pi * phase))
    left = 1 - done
    if config.decay_fraction == 0 or left >= config.decay_fraction:
        return 1.0
    return config.final_factor + (1 - config.final_factor) * left / config.decay_fraction
