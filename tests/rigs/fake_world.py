"""A world of two integrating joints without physics: the smallest `LiveWorld`.

For tests of policies and of execution strategies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.core.stream import Stream, vector_stream

JOINTS = tuple(Channel(name=f"joint_{i}", quantity="joint_position", unit="rad") for i in (1, 2))
ROBOT = Embodiment(
    name="fake",
    sensing=(StreamSpec(name="proprioception", channels=JOINTS, rate_hz=20),),
    acting=JOINTS,
    control_rate_hz=20.0,
)
PERIOD_NS = 50_000_000
LATENCY_NS = 20_000_000
START_NS = 1_700_000_000_000_000_000


class FakeWorld:
    """Joints jump to their command; each measurement arrives 20 ms late; ends after `num_ticks`."""

    def __init__(self, num_ticks: int = 40, start: float = 0.5) -> None:
        """Start with both joints at `start` and one measurement already in."""
        self.num_ticks = num_ticks
        self.commands: list[tuple[int, NDArray[np.float32]]] = []
        self.joints = np.full(2, start, dtype=np.float32)
        self.time_ns = START_NS
        self.measured = [(START_NS - PERIOD_NS, self.joints.copy())]

    @property
    def done(self) -> bool:
        """Whether `num_ticks` commands were executed."""
        return len(self.commands) >= self.num_ticks

    @property
    def success(self) -> bool:
        """Whether both joints stand at 1 rad."""
        return bool(np.abs(self.joints - 1.0).max() < 1e-3)

    def step(self, command: NDArray[np.float32]) -> None:
        """Record the command and the measurement, then jump."""
        self.commands.append((self.time_ns, command))
        self.measured.append((self.time_ns, self.joints.copy()))
        self.joints = np.asarray(command, dtype=np.float32)
        self.time_ns += PERIOD_NS

    def observation(
        self, *, ready_ns: int | None = None, context_s: float = 2.0, committed: ActionChunk | None = None
    ) -> Observation:
        """Return what has arrived by now."""
        capture = np.asarray([when for when, _ in self.measured], dtype=np.int64)
        stream = vector_stream(
            ROBOT.sensing[0],
            capture,
            np.stack([joints for _, joints in self.measured]),
            arrival_ns=capture + LATENCY_NS,
        )
        return Observation.from_streams(
            ROBOT,
            {"proprioception": stream, "action": self._actions()},
            now_ns=self.time_ns,
            history_s=context_s,
            ready_ns=ready_ns,
            committed=committed,
        )

    def _actions(self) -> Stream:
        when = np.asarray([when for when, _ in self.commands], dtype=np.int64)
        values = np.asarray([command for _, command in self.commands], dtype=np.float32).reshape(-1, 2)
        return vector_stream(ROBOT.action_spec, when, values)
