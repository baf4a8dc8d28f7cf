"""A window: a few decisions in one episode that share their sensing tokens; how big, how far apart, how late.

episode   |---------------------------------------------------|
decisions         s0   s1     s2 s3      s4 ...                random gaps
tokens            newest arrived events at s0, s1, ...         a decision sees its own and earlier ones
knots              ' ' ' ' ' '                                 s, s + knot_s, s + 2 knot_s, ...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import seconds_to_ns
from counterpoint.core.errors import ConfigError
from counterpoint.data.encoding.prefix import PrefixConfig

Times = NDArray[np.int64]
Float = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """Shape and randomness of windows; part of a checkpoint.

    Raises:
        ConfigError: a value is out of range; the message starts with `window.`.
    """

    branches: int = 8
    """Decisions a window, at least 1; they share one encoded sensing stream."""
    knots: int = 16
    """Action knots a decision, at least 2; the first lies at the decision itself."""
    knot_s: float = 0.05
    """Spacing of knots in seconds; the horizon is (knots - 1) * knot_s."""
    min_gap_s: float = 0.05
    """Shortest time between decisions of a window, seconds (shorter only in very short episodes)."""
    max_gap_s: float = 0.4
    """Longest time between decisions of a window, seconds."""
    context_s: float = 1.0
    """How far back serving selects events, seconds."""
    max_age_s: float = 1.0
    """Events captured longer ago than this when selected are no tokens (instructions excepted), seconds."""
    max_delay_s: float = 0.25
    """Longest inference delay trained for, seconds."""
    zero_delay_probability: float = 0.2
    """Share of decisions trained without delay."""
    latency_jitter_s: float = 0.02
    """Extra arrival delay of each stream, cameras included, in a training window: uniform from 0 to this, seconds."""
    past_action_drop: float = 0.5
    """Share of training windows without past-action tokens, against copying."""
    prefix: PrefixConfig = field(default_factory=PrefixConfig)
    """How training disturbs what a decision is told of committed commands."""
    cameras: tuple[str, ...] = ()
    """Image streams to encode, for example `camera/front`; none by default."""
    patch: int = 16
    """Side of an image patch, pixels."""
    image_patches: tuple[int, int] = (4, 4)
    """Rows and columns of patches; pictures are scaled to them, whatever their shape."""
    camera_buckets: int = 16
    """Camera names are hashed below this; equals the model's `num_cameras`."""
    text_buckets: int = 4096
    """Hash buckets of instruction features; equals the model's."""
    text_features: int = 48
    """Features kept of an instruction."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("branches", "knots", "patch", "camera_buckets", "text_buckets", "text_features"):
            if getattr(self, name) < 1:
                raise ConfigError(f"window.{name}: expected at least 1, got {getattr(self, name)}")
        if self.knots < 2:
            raise ConfigError(f"window.knots: expected at least 2, got {self.knots}")
        for name in ("knot_s", "max_age_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"window.{name}: expected a positive number of seconds, got {getattr(self, name)}")
        for name in ("context_s", "max_delay_s", "latency_jitter_s"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"window.{name}: expected 0 or more seconds, got {getattr(self, name)}")
        for name in ("zero_delay_probability", "past_action_drop"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"window.{name}: expected a share from 0 to 1, got {getattr(self, name)}")
        if not 0 < self.min_gap_s <= self.max_gap_s:
            raise ConfigError(f"window.min_gap_s: expected 0 < {self.min_gap_s} <= max_gap_s = {self.max_gap_s}")
        if min(self.image_patches) < 1:
            raise ConfigError(f"window.image_patches: expected at least one row and column, got {self.image_patches}")

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width to which pictures are scaled before they are cut into patches."""
        return self.image_patches[0] * self.patch, self.image_patches[1] * self.patch

    @property
    def horizon_s(self) -> float:
        """How far after a decision the knots reach, seconds."""
        return (self.knots - 1) * self.knot_s

    @property
    def stride_s(self) -> float:
        """Mean time between decisions, seconds; serving selects events this far apart."""
        return 0.5 * (self.min_gap_s + self.max_gap_s)

    @property
    def history_s(self) -> float:
        """How far back an observation must reach for serving, seconds."""
        return self.context_s + self.max_age_s

    @property
    def knot_offset_ns(self) -> Times:
        """Knots from the decision on, int64 [knots], the first 0; shared, do not write to it."""
        return _knot_offset_ns(self.knots, self.knot_s)

    def serving_times_ns(self, now_ns: int) -> Times:
        """Return when serving selects events: now, and earlier by strides; int64 [n], increasing, last is now."""
        count = int(self.context_s / self.stride_s + 1e-9)
        back: Times = np.arange(count, -1, -1, dtype=np.int64) * seconds_to_ns(self.stride_s)
        return np.asarray(now_ns - back, dtype=np.int64)


def draw_decisions(config: WindowConfig, low_ns: int, high_ns: int, centre: float, rng: np.random.Generator) -> Times:
    """Return decision times within [low_ns, high_ns], int64 [branches], never decreasing.

    They lie around the share `centre` (0 to 1) of the range. Where they would stick out at an end they are moved in,
    so that with `centre` uniform both ends of an episode are seen as often as its middle. Gaps shrink where the
    range is shorter than the decisions span.
    """
    gaps = rng.uniform(config.min_gap_s, config.max_gap_s, config.branches - 1) * 1e9
    room = float(high_ns - low_ns)
    span = float(gaps.sum())
    if span > room:
        gaps *= room / span
        span = room
    start = min(max(centre * room - 0.5 * span, 0.0), room - span)
    offsets = np.concatenate(([start], gaps)).cumsum()
    return np.minimum(low_ns + offsets.astype(np.int64), high_ns)


def draw_delays(config: WindowConfig, rng: np.random.Generator) -> Float:
    """Return inference delays, float32 [branches] seconds: often 0, else uniform up to the longest."""
    late = rng.random(config.branches) >= config.zero_delay_probability
    return (late * rng.uniform(0.0, config.max_delay_s, config.branches)).astype(np.float32)


@lru_cache(maxsize=64)
def _knot_offset_ns(knots: int, knot_s: float) -> Times:
    offsets: Times = np.rint(np.arange(knots) * (knot_s * 1e9)).astype(np.int64)
    offsets.setflags(write=False)
    return offsets
