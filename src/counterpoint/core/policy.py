"""The policy protocol: observation in, action chunk on continuous time out.

Scripted, local and remote policies share it; a robot's computer needs numpy alone to speak it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import relative_seconds
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import PolicyError
from counterpoint.core.stream import Stream


@dataclass(frozen=True, kw_only=True, eq=False)
class ActionChunk:
    """Commands over a horizon: knots in time, linear in between, held outside.

    `time_ns` int64 [knots] strictly increasing; `values` float32 [knots, channels] in the units of
    the acting channels; `channel_names` in column order.
    """

    time_ns: NDArray[np.int64]
    values: NDArray[np.float32]
    channel_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check shapes, order of time, and that every value is finite."""
        if self.values.shape != (len(self.time_ns), len(self.channel_names)) or not len(self.time_ns):
            raise PolicyError(
                f"action chunk: expected values [{len(self.time_ns)}, {len(self.channel_names)}] with at least "
                f"one knot, got {self.values.shape}"
            )
        if (np.diff(self.time_ns) <= 0).any():
            raise PolicyError("action chunk: knot times must increase strictly")
        if not np.isfinite(self.values).all():
            raise PolicyError("action chunk: holds a value that is not finite; refuse to send it to a robot")

    def at(self, time_ns: int) -> NDArray[np.float32]:
        """Return the command at `time_ns`, float32 [channels], interpolated linearly."""
        knots = relative_seconds(self.time_ns, int(self.time_ns[0]))
        when = (time_ns - int(self.time_ns[0])) / 1e9
        right = int(np.clip(np.searchsorted(knots, when), 1, max(len(knots) - 1, 1)))
        if len(knots) == 1:
            return np.asarray(self.values[0])
        span = knots[right] - knots[right - 1]
        weight = np.float32(np.clip((when - knots[right - 1]) / span, 0.0, 1.0))
        return np.asarray((1 - weight) * self.values[right - 1] + weight * self.values[right], dtype=np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """What had arrived when a policy is asked.

    Streams hold recent events only (at least the policy's context), each with capture and arrival
    times at or before `now_ns`. `committed` are the commands that will be executed in
    (now_ns, ready_ns], while the policy is thinking.
    """

    embodiment: Embodiment
    now_ns: int
    streams: dict[str, Stream]
    ready_ns: int
    """When the answer will be ready: `now_ns` plus the expected inference delay."""
    committed: ActionChunk | None = None
    """What the robot goes on doing until `ready_ns`; None when nothing was commanded yet."""


@runtime_checkable
class Policy(Protocol):
    """Anything that turns observations into action chunks."""

    @property
    def horizon_s(self) -> float:
        """How far after the decision the chunk reaches, in seconds."""
        ...

    def reset(self, seed: int) -> None:
        """Forget everything; the same seed gives the same answers."""
        ...

    def act(self, observation: Observation) -> ActionChunk:
        """Return commands from `observation.now_ns` to the horizon.

        Raises:
            PolicyError: the observation lacks a stream that the policy needs.
        """
        ...

    def act_batch(self, observations: Sequence[Observation]) -> list[ActionChunk]:
        """Answer several independent observations at once, in order; same values as `act` one by one."""
        ...
