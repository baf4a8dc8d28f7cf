"""The thresholds of every check, one class per check.

    --gap.periods 5 --lag.latest-ms 400       on the command line of `counterpoint check`

Defaults follow LeRobot's episode scores, openpi's DROID filter and the practice of teleoperation labs where these
have one; the others were set on simulated and real recordings (`docs/log.md`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from counterpoint.core.config import to_dict
from counterpoint.core.errors import ConfigError

VERSION = 2
"""Grows when a check changes what it finds with the same thresholds."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Gaps between samples, and missing samples."""

    periods: float = 3.0
    """A gap is longer than this many median periods ..."""
    least_ms: float = 50.0
    """... and longer than this."""
    fail_ms: float = 1000.0
    """A gap this long fails the episode."""
    drop_fraction: float = 0.02
    """Share of missing samples that is allowed; random variation is allowed on top, which matters in short episodes."""
    fail_fraction: float = 0.2
    """Share of missing samples that fails the episode."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Mean period without gaps, compared with the declared rate of the stream."""

    tolerance: float = 0.1
    """Share by which the period may be off."""
    fail_tolerance: float = 0.5
    """Share that fails the episode."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Capture times against arrival times, and streams against each other."""

    repeated_fraction: float = 0.01
    """Share of samples that may repeat the capture time before."""
    disorder_fraction: float = 0.05
    """Share of samples that may arrive before one that was captured earlier by `disorder_ms`."""
    disorder_ms: float = 1.0
    """Swaps closer than this do not count."""
    warn_ms: float = 10.0
    """Step of the delay, or skew between streams, that is reported as a warning."""
    fail_ms: float = 33.0
    """Step or skew that fails the episode: one frame of a camera."""
    drift_ms_per_min: float = 1.0
    """Drift that is reported as a warning."""


@dataclass(frozen=True, kw_only=True)
class Idle:
    """Stretches in which no joint moves; they are ranges to leave out, never a fault of the episode."""

    speed: float = 0.02
    """Rad/s (or m/s, or shares of a gripper's travel a second) below which a joint counts as still."""
    window_s: float = 0.1
    """Speed is taken over this time."""
    least_s: float = 0.5
    """Shorter rests are not idle ranges."""


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Numbers that repeat exactly."""

    least_s: float = 0.3
    """Shorter repeats are not reported."""
    moved: float = 0.05
    """Rad, m or share: the robot counts as moving elsewhere if some joint or command changes by more."""
    fail_s: float = 2.0
    """Frozen this long while the robot moves elsewhere fails the episode."""
    settle_s: float = 0.5
    """A command may rest this long while the joints still follow it."""


@dataclass(frozen=True, kw_only=True)
class Jump:
    """Steps that no joint can make."""

    steps: float = 30.0
    """Multiple of the usual deviation of a step from the steps around it, while the channel moves."""
    command_steps: float = 60.0
    """The same for commands, hands and grippers, whose commands may step."""
    fail_count: int = 20
    """This many jumps in one stream fail the episode."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Positions outside the model's limits."""

    fraction: float = 0.001
    """Share of samples that may lie outside."""
    fail_fraction: float = 0.1
    """Share that fails the episode."""
    slack: float = 0.01
    """Share of a channel's range that does not count, for noise and soft stops."""
    gripper_slack: float = 0.25
    """The same for grippers, whose jaws press into what they hold."""


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """Commands at the end of their range."""

    fraction: float = 0.5
    """Share of the samples at one end that is reported as a warning."""
    fail_fraction: float = 0.99
    """Share that fails the episode."""


@dataclass(frozen=True, kw_only=True)
class Lag:
    """Lag of the state behind the command, measured on velocities."""

    earliest_ms: float = -20.0
    """A smaller lag means that the state moves before its command; negative to allow for errors."""
    latest_ms: float = 300.0
    """A larger lag means that the command is hardly followed, or that a clock is wrong."""
    smooth_s: float = 0.1
    """Velocities are smoothed over this time before they are compared."""
    least_likeness: float = 0.6
    """Correlation below which nothing is concluded."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Camera pictures of the training view (longest side 224 pixels), luma 0 to 255."""

    frozen_difference: float = 0.05
    """Mean difference of two thumbnails below which the picture counts as unchanged."""
    frozen_s: float = 0.5
    """Shorter standstills are not reported."""
    frozen_fail_s: float = 3.0
    """A standstill this long while joints move fails the episode."""
    moving_speed: float = 0.1
    """Rad/s: joints must move at least so fast for a standstill to count."""
    black: float = 10.0
    """Mean luma below which the picture is black, which fails the episode."""
    dark: float = 50.0
    """Mean luma below which it is dark."""
    dark_s: float = 0.5
    """Shorter darkness is not reported."""
    sharpness: float = 80.0
    """Variance of the Laplacian below which a picture is blurred."""
    blur_s: float = 0.5
    """Shorter blur is not reported: fast motion blurs."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """All thresholds."""

    gap: Gap = field(default_factory=Gap)
    rate: Rate = field(default_factory=Rate)
    clock: Clock = field(default_factory=Clock)
    idle: Idle = field(default_factory=Idle)
    frozen: Frozen = field(default_factory=Frozen)
    jump: Jump = field(default_factory=Jump)
    limits: Limits = field(default_factory=Limits)
    saturation: Saturation = field(default_factory=Saturation)
    lag: Lag = field(default_factory=Lag)
    picture: Picture = field(default_factory=Picture)

    def __post_init__(self) -> None:
        """Check that every number is one."""
        for part in fields(self):
            for key, value in to_dict(getattr(self, part.name)).items():
                is_signed = (part.name, key) == ("lag", "earliest_ms")
                number = value if isinstance(value, int | float) else math.nan
                if not (is_signed or number > 0) or not math.isfinite(number):
                    raise ConfigError(f"{part.name}.{key}: expected a positive number, got {value}")

    @property
    def hash(self) -> str:
        """Name of these thresholds and of the checks' version: 16 hexadecimal digits."""
        said = json.dumps([VERSION, to_dict(self)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def provenance_of(thresholds: Thresholds) -> Mapping[bytes, bytes]:
    """Return the version and thresholds of a check as Arrow metadata."""
    said = {"version": VERSION, "hash": thresholds.hash, "thresholds": to_dict(thresholds)}
    return {b"counterpoint_checks": json.dumps(said, sort_keys=True).encode()}
