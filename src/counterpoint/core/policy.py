"""The policy protocol: an observation goes in, an action chunk in continuous time comes out.

Scripted, local and remote policies share it; a robot's computer needs NumPy alone to use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoint.core.clock import NS_PER_SECOND, relative_seconds, seconds_to_ns
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import PolicyError
from counterpoint.core.history import HISTORY_S, SensorHistory
from counterpoint.core.stream import Stream

SHOWN_NAMES = 8


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
            raise PolicyError(
                "action chunk: expected finite values, got NaN or infinity; do not send this chunk to a robot"
            )

    def __repr__(self) -> str:
        """Return a line: how many knots of which channels, how far they reach."""
        names = ", ".join(self.channel_names[:SHOWN_NAMES]) + (", ..." if len(self.channel_names) > SHOWN_NAMES else "")
        seconds = (int(self.time_ns[-1]) - int(self.time_ns[0])) / NS_PER_SECOND
        return (
            f"<ActionChunk: {len(self.time_ns)} knots over {seconds:.2f} s from {int(self.time_ns[0])} ns, "
            f"{len(self.channel_names)} channels: {names}>"
        )

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
    """The data that have arrived when a policy is asked to act.

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
    """Commands that the robot executes until `ready_ns`; None before the first command."""

    @classmethod
    def from_streams(
        cls,
        robot: Embodiment,
        streams: Mapping[str, Stream],
        *,
        now_ns: int,
        history_s: float = HISTORY_S,
        ready_ns: int | None = None,
        committed: ActionChunk | None = None,
    ) -> Observation:
        """Return what had arrived by `now_ns` of streams that may go on after it, for example those of an episode.

        Samples captured in the last `history_s` seconds are kept, and the newest of each stream however old it is (an
        instruction is given once). Commands count strictly before `now_ns`. Arrays are views where that is possible.
        """
        since_ns = now_ns - seconds_to_ns(history_s)
        seen = {
            name: stream.known_at(now_ns - int(name == "action"), since_ns=since_ns) for name, stream in streams.items()
        }
        return cls(
            embodiment=robot,
            now_ns=now_ns,
            streams={name: stream for name, stream in seen.items() if len(stream)},
            ready_ns=now_ns if ready_ns is None else ready_ns,
            committed=committed,
        )

    @classmethod
    def from_arrays(
        cls,
        robot: Embodiment,
        *,
        now_ns: int,
        proprioception: ArrayLike,
        cameras: Mapping[str, NDArray[np.uint8]] | None = None,
        instruction: str = "",
        streams: Mapping[str, ArrayLike | Stream] | None = None,
        ready_ns: int | None = None,
        committed: ActionChunk | None = None,
    ) -> Observation:
        """Return an observation of this moment alone; keep an `ObservationBuffer` to show a policy the recent past.

        Args:
            robot: the robot, for example `store.robot("arm")`.
            now_ns: the present, in ns on the clock of the commands.
            proprioception: one value for each channel of the robot's stream `proprioception`, in its units.
            cameras: a picture uint8 [height, width, 3] (RGB) by the name of each camera, for example `front`.
            instruction: what the robot is told to do, in words.
            streams: other streams by name: one value for each channel where the robot describes the stream
                (`tool_pose`), a `Stream` where it does not (`object/0` of a tracker).
            ready_ns: when the answer will be ready; at once where left out.
            committed: the commands that the robot executes until then.

        Raises:
            StreamError: a wrong number of channels, a picture of another shape or type, a value that is not finite.
            UnknownNameError: the robot has no stream of that name; offers the nearest.
        """
        history = SensorHistory(robot)
        history.add_all(
            now_ns, proprioception=proprioception, cameras=cameras, instruction=instruction, streams=streams
        )
        return cls.from_streams(robot, history.streams(now_ns), now_ns=now_ns, ready_ns=ready_ns, committed=committed)

    def __repr__(self) -> str:
        """Return a line for the observation and one for each stream."""
        wait_ms = (self.ready_ns - self.now_ns) / 1e6
        head = f"<Observation of robot {self.embodiment.name} at {self.now_ns} ns, answer ready {wait_ms:.0f} ms later"
        return "\n  ".join([head, *(repr(stream) for stream in self.streams.values())]) + ">"


@runtime_checkable
class Policy(Protocol):
    """Anything that turns observations into action chunks."""

    @property
    def horizon_s(self) -> float:
        """How far the chunk extends after the decision, in seconds."""
        ...

    def reset(self, seed: int) -> None:
        """Clear all state; the same seed gives the same actions."""
        ...

    def act(self, observation: Observation) -> ActionChunk:
        """Return commands from `observation.now_ns` to the horizon.

        Raises:
            PolicyError: the observation lacks a stream that the policy needs.
        """
        ...

    def act_batch(self, observations: Sequence[Observation]) -> list[ActionChunk]:
        """Act on several independent observations at once; returns the same values as `act` on each, in order."""
        ...
