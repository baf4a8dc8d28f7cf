"""The prefix in training: committed commands that the model is told, disturbed so that it does not learn to copy them.

Under delay, a policy is told the commands that are still on their way. In recorded episodes those commands are always
right, so the easiest thing to learn is to continue them, and a policy that has missed its grasp then goes on as if it
had not: the action-prefix shortcut (Xiaomi-Robotics-0, arXiv 2602.12684). Each disturbance below breaks one such
shortcut; targets stay as recorded.

    late     the commands of a moment ago           "the prefix tells the time"
    still    the arm's commands stand still         "it stands still, so the goal is reached"
    swapped  the gripper's come from elsewhere      "the hand is closed, so it holds something"
    offset   the arm's are off by a constant        "the arm is where the prefix says"
    hidden   the model is told nothing              it must be able to act on what it senses alone
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class PrefixConfig:
    """How often and how far training disturbs the prefix of a decision; shares are of decisions.

    Raises:
        ConfigError: a value is out of range; the message starts with `window.prefix.`.
    """

    late: float = 0.5
    """Share with the commands recorded up to `late_s` earlier."""
    late_s: float = 0.3
    """Longest lateness, seconds."""
    still: float = 0.8
    """Share whose arm commands are shrunk towards the command in force at the decision: half of them fully, half by
    a uniform factor."""
    swapped: float = 0.4
    """Share whose gripper commands are held at the decision's or taken from another decision of the window."""
    offset: float = 0.5
    """Share whose arm commands are shifted by a constant."""
    offset_sd: float = 0.3
    """Standard deviation of the shift, normalised units."""
    hidden: float = 0.3
    """Share without any prefix."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for field in fields(self):
            value = getattr(self, field.name)
            seconds_or_sd = field.name in ("late_s", "offset_sd")
            if not (0 <= value < float("inf") if seconds_or_sd else 0 <= value <= 1):
                expected = "a number of at least 0" if seconds_or_sd else "a share from 0 to 1"
                raise ConfigError(f"window.prefix.{field.name}: expected {expected}, got {value}")


def lateness_ns(config: PrefixConfig, branches: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how much earlier the prefix of each decision was recorded, int64 [branches], 0 for most."""
    late = rng.random(branches) < config.late
    return (late * rng.uniform(0.0, config.late_s * 1e9, branches)).astype(np.int64)


def disturbed(config: PrefixConfig, prefix: Float, start: Float, relative: Bool, rng: np.random.Generator) -> Float:
    """Return a prefix [branches, knots, channels] with still, swapped and offset decisions; all values normalised.

    Args:
        config: how often.
        prefix: [branches, knots, channels], late or not; not changed.
        start: [branches, knots, channels], the command in force at the decision, held over all knots.
        relative: [channels], True for the arm's channels (positions relative to a base), False for the others.
        rng: generator of the window.
    """
    branches = len(prefix)
    still = rng.random(branches) < config.still
    keep = np.where(rng.random(branches) < 0.5, 0.0, rng.random(branches))
    shrink = np.where(still, 1 - keep, 0.0).astype(np.float32)[:, None, None]
    arm = prefix + shrink * (start - prefix)
    shifted = (rng.random(branches) < config.offset)[:, None, None]
    shift = rng.standard_normal((branches, 1, prefix.shape[2]), dtype=np.float32) * np.float32(config.offset_sd)
    arm = arm + shifted * shift
    others = np.where((rng.random(branches) < 0.5)[:, None, None], start, prefix[rng.permutation(branches)])
    swapped = (rng.random(branches) < config.swapped)[:, None, None]
    return np.where(relative, arm, np.where(swapped, others, prefix)).astype(np.float32)


def hidden(config: PrefixConfig, branches: int, rng: np.random.Generator) -> Bool:
    """Return which decisions are told nothing, bool [branches]."""
    return np.asarray(rng.random(branches) < config.hidden)
