"""Three simple baselines: hold still, repeat the last action, extrapolate it.

Every table compares with them: a model that does not beat them has learned nothing. They implement the
policy protocol, so the code that evaluates a model evaluates them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import absolute_ns, relative_seconds
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import PolicyError
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.core.stream import Stream

KNOT_S = 0.05
NUM_KNOTS = 16
TREND_S = 0.3
"""Linear extrapolation fits the actions of the last seconds, this many."""


def hold_command(embodiment: Embodiment, streams: dict[str, Stream]) -> NDArray[np.float32]:
    """Return the command that stays where the robot is, float32 [acting channels].

    Joint positions: the newest measured value of the same name. Other channels, and joints nobody
    measures: the last action, else the measured value, else the channel's reference.

    Raises:
        PolicyError: nothing at all is known of the robot (neither proprioception nor action).
    """
    measured = _newest(streams.get("proprioception"))
    acted = _newest(streams.get("action"))
    if not measured and not acted:
        raise PolicyError(
            f"robot {embodiment.name!r}: no proprioception and no action has arrived yet, so there is nothing to hold; "
            "ask again after the first sample"
        )
    command = np.empty(len(embodiment.acting), dtype=np.float32)
    for column, channel in enumerate(embodiment.acting):
        first, second = (measured, acted) if channel.quantity == "joint_position" else (acted, measured)
        command[column] = first.get(channel.name, second.get(channel.name, channel.reference))
    return command


@dataclass(frozen=True)
class Baseline(ABC):
    """A policy without memory that answers one observation at a time."""

    horizon_s: float = KNOT_S * NUM_KNOTS
    """How far its chunks reach, seconds."""

    def reset(self, seed: int) -> None:  # noqa: B027  # nothing to forget, for any of them
        """Do nothing: there is no memory, and no randomness."""

    @abstractmethod
    def act(self, observation: Observation) -> ActionChunk:
        """Return commands from now to the horizon, one every `KNOT_S`."""

    def act_batch(self, observations: Sequence[Observation]) -> list[ActionChunk]:
        """Answer observations one by one, in order."""
        return [self.act(observation) for observation in observations]


class HoldPolicy(Baseline):
    """Stay at the measured joints with the last gripper command."""

    def act(self, observation: Observation) -> ActionChunk:
        """Return the hold command at every knot."""
        command = hold_command(observation.embodiment, observation.streams)
        return _chunk(observation, np.zeros_like(command), command, self.horizon_s)


class RepeatPolicy(Baseline):
    """Repeat the last executed action; hold still before there is one."""

    def act(self, observation: Observation) -> ActionChunk:
        """Return the last action at every knot."""
        _, actions = recent_actions(observation, TREND_S)
        command = actions[-1] if len(actions) else hold_command(observation.embodiment, observation.streams)
        return _chunk(observation, np.zeros_like(command), command, self.horizon_s)


class LinearPolicy(Baseline):
    """Continue the straight line through the last actions (least squares over `TREND_S`)."""

    def act(self, observation: Observation) -> ActionChunk:
        """Return the extrapolated line; hold still before there is an action."""
        when, actions = recent_actions(observation, TREND_S)
        if not len(actions):
            command = hold_command(observation.embodiment, observation.streams)
            return _chunk(observation, np.zeros_like(command), command, self.horizon_s)
        centred = when - when.mean()
        spread = float((centred**2).sum())
        slope = (centred @ (actions - actions.mean(axis=0))) / spread if spread > 0 else np.zeros(actions.shape[1])
        start = actions[-1] - slope * when[-1]
        return _chunk(observation, slope, start, self.horizon_s)


BASELINES: dict[str, Baseline] = {"hold": HoldPolicy(), "repeat": RepeatPolicy(), "linear": LinearPolicy()}


def recent_actions(observation: Observation, span_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times [n] in seconds before now (at most 0) and values [n, acting] of the last actions, oldest first."""
    stream = observation.streams.get("action")
    if stream is None or not len(stream):
        return np.zeros(0), np.zeros((0, len(observation.embodiment.acting)))
    when = relative_seconds(stream.capture_ns, observation.now_ns)
    rows = np.flatnonzero((when > when[-1] - span_s) & (when <= 0))
    return when[rows], np.asarray(stream.values[rows], dtype=np.float64)


def _newest(stream: Stream | None) -> dict[str, float]:
    if stream is None or not len(stream):
        return {}
    return dict(zip(stream.spec.channel_names, map(float, stream.values[-1]), strict=True))


def _chunk(
    observation: Observation, slope: NDArray[np.floating], start: NDArray[np.floating], horizon_s: float
) -> ActionChunk:
    knot_s = np.arange(round(horizon_s / KNOT_S) + 1) * KNOT_S
    values = start + knot_s[:, None] * slope
    return ActionChunk(
        time_ns=absolute_ns(knot_s, observation.now_ns),
        values=np.asarray(values, dtype=np.float32),
        channel_names=observation.embodiment.acting_names,
    )
