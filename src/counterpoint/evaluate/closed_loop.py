"""One episode in a world whose clock does not wait for the policy.

The policy is asked at `now` and answers `delay` later. The execution strategy decides what the robot does
meanwhile (here one decision with a delay of 100 ms and control ticks every 50 ms):

    tick              t0        t0+50     t0+100    t0+150
    trained_delay     old       old       new       new        policy gets ready = t0+100 and the commands until then
    naive             old       old       new       new        policy gets ready = t0 and no committed commands
    synchronous       stand     stand     new(0)    new(50)    the robot waits; the chunk starts when it is in
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import NS_PER_SECOND, seconds_to_ns
from counterpoint.core.errors import ConfigError, unknown_name
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.evaluate.baselines import hold_command

Strategy = Literal["trained_delay", "naive", "synchronous"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


class LiveWorld(Protocol):
    """What `ClosedLoop` needs of a world; `sim.World` has it."""

    @property
    def time_ns(self) -> int:
        """World time of the next control tick."""
        ...

    @property
    def done(self) -> bool:
        """Whether the episode is over, by success or by time."""
        ...

    @property
    def success(self) -> bool:
        """Whether the task is achieved."""
        ...

    def step(self, command: NDArray[np.float32]) -> None:
        """Execute `command` [acting channels] for one control period."""
        ...

    def observation(
        self, *, ready_ns: int | None = None, context_s: float = ..., committed: ActionChunk | None = None
    ) -> Observation:
        """Return what has arrived by now."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExecutionConfig:
    """How a policy's answers are executed."""

    strategy: Strategy = "trained_delay"
    replan_s: float = 0.1
    """Least time from one decision to the next; the next also waits for the answer of the last."""
    context_s: float = 2.0
    """How far back observations reach; at least the policy's context."""

    def __post_init__(self) -> None:
        """Check words and ranges."""
        if self.strategy not in STRATEGIES:
            raise unknown_name("execution strategy", self.strategy, STRATEGIES)
        if not (self.replan_s > 0 and math.isfinite(self.replan_s)):
            raise ConfigError(f"execution.replan_s: expected a positive time in seconds, got {self.replan_s}")


class ClosedLoop:
    """Runs one world, one control tick a call: `observe` if `due`, `answer`, then `step`."""

    def __init__(self, world: LiveWorld, config: ExecutionConfig) -> None:
        """Start before the first tick: nothing is commanded, a decision is due at once."""
        self.world = world
        self._config = config
        self._chunk: ActionChunk | None = None
        self._pending: tuple[int, ActionChunk] | None = None
        self._next_decision_ns = world.time_ns
        self._last: NDArray[np.float32] | None = None
        self.num_decisions = 0

    @property
    def due(self) -> bool:
        """Whether a decision is to be taken at this tick."""
        return self._pending is None and self.world.time_ns >= self._next_decision_ns and not self.world.done

    def receive(self) -> None:
        """Switch to the pending chunk if it is in by now."""
        if self._pending is not None and self.world.time_ns >= self._pending[0]:
            self._chunk, self._pending = self._pending[1], None

    def observe(self, expected_delay_s: float) -> Observation:
        """Return what the policy is shown at this decision, which it will answer in `expected_delay_s`."""
        now = self.world.time_ns
        knows_delay = self._config.strategy == "trained_delay"  # the others plan from now on, whatever the delay
        ready = now + seconds_to_ns(expected_delay_s) if knows_delay else now
        observation = self.world.observation(ready_ns=ready, context_s=self._config.context_s)
        if self._last is None:
            self._last = hold_command(observation.embodiment, observation.streams)
        if ready == now:
            return observation
        return replace(observation, committed=self._committed(observation, ready))

    def answer(self, observation: Observation, chunk: ActionChunk, delay_s: float) -> None:
        """Take the policy's answer, which exists `delay_s` after the observation was taken."""
        delay_ns = seconds_to_ns(delay_s)
        if self._config.strategy == "synchronous":
            self._chunk = None  # the robot stands until the answer is in, which then runs from its start
            chunk = replace(chunk, time_ns=chunk.time_ns + delay_ns)
        ready = observation.now_ns + delay_ns
        self._pending = (ready, chunk)
        self._next_decision_ns = max(observation.now_ns + seconds_to_ns(self._config.replan_s), ready)
        if self._config.strategy == "synchronous":
            self._next_decision_ns = ready + seconds_to_ns(self._config.replan_s)
        self.num_decisions += 1
        self.receive()

    def step(self) -> None:
        """Execute one control tick."""
        self.receive()
        command = self._command(self.world.time_ns)
        self._last = command
        self.world.step(command)

    def _command(self, time_ns: int) -> NDArray[np.float32]:
        if self._chunk is not None:
            return np.asarray(self._chunk.at(time_ns), dtype=np.float32)
        if self._last is None:
            observation = self.world.observation(ready_ns=time_ns, context_s=self._config.context_s)
            self._last = hold_command(observation.embodiment, observation.streams)
        return self._last

    def _committed(self, observation: Observation, ready_ns: int) -> ActionChunk:
        """Return what the robot does until `ready_ns`, one knot a control tick, the first at now."""
        period = NS_PER_SECOND / observation.embodiment.control_rate_hz
        ticks = np.arange(math.ceil((ready_ns - observation.now_ns) / period) + 1)
        time_ns = observation.now_ns + np.rint(ticks * period).astype(np.int64)
        rows = [self._command(int(when)) for when in time_ns]
        names = observation.embodiment.acting_names
        return ActionChunk(time_ns=time_ns, values=np.stack(rows), channel_names=names)
