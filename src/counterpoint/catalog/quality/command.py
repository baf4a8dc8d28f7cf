"""Checks of commands: positions outside the model's limits, and commands pinned at the end of their range."""

from __future__ import annotations

import numpy as np

from counterpoint.catalog.quality.finding import Finding, Severity, whole
from counterpoint.catalog.quality.motion import LEAST_SAMPLES, columns
from counterpoint.catalog.quality.thresholds import Limits, Saturation
from counterpoint.core.embodiment import Quantity
from counterpoint.core.stream import Stream

BOUNDED: tuple[Quantity, ...] = ("joint_position", "gripper_opening")
"""Pushes and falls exceed limits of speed and effort; positions beyond their limits are faults."""
PINNABLE: tuple[Quantity, ...] = (
    "joint_position",
    "joint_velocity",
    "joint_effort",
    "linear_velocity",
    "angular_velocity",
)


def check_limits(stream: Stream, limits: Limits) -> list[Finding]:
    """Find channels with more samples outside the model's limits than allowed; the worst channel is named."""
    chosen = columns(stream, BOUNDED)
    lower = np.asarray([stream.spec.channels[i].lower for i in chosen])
    upper = np.asarray([stream.spec.channels[i].upper for i in chosen])
    if not len(stream) or not (np.isfinite(lower) | np.isfinite(upper)).any():
        return []
    width = upper - lower
    is_gripper = np.asarray([stream.spec.channels[i].quantity == "gripper_opening" for i in chosen])
    slack = np.where(np.isfinite(width), np.where(is_gripper, limits.gripper_slack, limits.slack) * width, 0.0)
    values = stream.values[:, chosen]
    share = ((values < lower - slack) | (values > upper + slack)).mean(axis=0)
    worst = int(share.argmax())
    if share[worst] <= limits.fraction:
        return []
    severity: Severity = "fail" if share[worst] > limits.fail_fraction else "warn"
    channel = stream.spec.channels[chosen[worst]].name
    return [whole("limits", stream, severity, share[worst], limits.fraction, channel)]


def check_saturation(stream: Stream, limits: Saturation) -> list[Finding]:
    """Find commands that stay at one end of their range: the model's, or the episode's own where there is none.

    Grippers and hands are left out, because they are commanded to their ends.
    """
    chosen = [i for i in columns(stream, PINNABLE) if stream.spec.channels[i].part not in ("gripper", "hand")]
    if not chosen or len(stream) < LEAST_SAMPLES:
        return []
    values = stream.values[:, chosen].astype(np.float64)
    low, high = values.min(axis=0), values.max(axis=0)
    lower = np.asarray([stream.spec.channels[i].lower for i in chosen])
    upper = np.asarray([stream.spec.channels[i].upper for i in chosen])
    has_limits = np.isfinite(lower) & np.isfinite(upper)
    ends = np.stack([np.where(has_limits, lower, low), np.where(has_limits, upper, high)])
    slack = np.where(has_limits, 1e-3, 1e-6) * (ends[1] - ends[0])
    pinned = np.maximum((values <= ends[0] + slack).mean(axis=0), (values >= ends[1] - slack).mean(axis=0))
    pinned[(high == low) & ~has_limits] = 0.0  # a channel that is not used
    worst = int(pinned.argmax())
    if pinned[worst] <= limits.fraction:
        return []
    severity: Severity = "fail" if pinned[worst] > limits.fail_fraction else "warn"
    channel = stream.spec.channels[chosen[worst]].name
    return [whole("saturation", stream, severity, pinned[worst], limits.fraction, channel)]
