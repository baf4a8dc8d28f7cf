"""Many worlds in lockstep: one policy answers all that are due in one batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from counterpoint.core.policy import Policy
from counterpoint.evaluate.closed_loop import ClosedLoop, ExecutionConfig, LiveWorld

Delay = float | Literal["measured"]
"""Inference delay in milliseconds of world time, or the wall-clock time of this machine."""


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """Result of one episode."""

    success: bool
    duration_s: float
    delay_s: float
    """Mean inference delay in the episode."""
    decisions: int


class DelaySource:
    """Inference delays: a fixed number, or the measured time of each answer."""

    def __init__(self, delay_ms: Delay) -> None:
        """Start from the given number, or from 0 where it will be measured."""
        self.is_measured = delay_ms == "measured"
        self.expected_s = 0.0 if delay_ms == "measured" else delay_ms / 1000
        """Delay that the policy is asked to plan for."""

    def warm_up(self, policy: Policy, loop: ClosedLoop) -> None:
        """Time an answer and discard it; a first answer, which is slow in every process, is not counted."""
        for _ in range(2):
            observation = loop.observe(self.expected_s)
            self.expected_s = _timed(lambda seen=observation: policy.act(seen))  # type: ignore[misc]  # bound now

    def note(self, took_s: float) -> None:
        """Update the expected delay with an answer that took `took_s`."""
        self.expected_s += 0.1 * (took_s - self.expected_s)


def run_lockstep(
    policy: Policy,
    worlds: Sequence[LiveWorld],
    delay_ms: Delay,
    execution: ExecutionConfig,
    *,
    seed: int = 0,
    after_tick: Callable[[], None] | None = None,
) -> list[EpisodeResult]:
    """Run `policy` in all `worlds` to their ends, one control tick a round; `after_tick` may film them."""
    policy.reset(seed)
    source = DelaySource(delay_ms)
    loops = [ClosedLoop(world, execution) for world in worlds]
    starts = [world.time_ns for world in worlds]
    delays: list[list[float]] = [[] for _ in worlds]
    if source.is_measured and loops:
        source.warm_up(policy, loops[0])
    while active := [index for index, loop in enumerate(loops) if not loop.world.done]:
        for index in active:
            loops[index].receive()
        due = [index for index in active if loops[index].due]
        for index, delay_s in zip(due, _decide(policy, [loops[index] for index in due], source), strict=True):
            delays[index].append(delay_s)
        for index in active:
            loops[index].step()
        if after_tick is not None:
            after_tick()
    return [
        EpisodeResult(
            success=loop.world.success,
            duration_s=(loop.world.time_ns - start) / 1e9,
            delay_s=sum(seen) / max(len(seen), 1),
            decisions=loop.num_decisions,
        )
        for loop, start, seen in zip(loops, starts, delays, strict=True)
    ]


def _decide(policy: Policy, loops: Sequence[ClosedLoop], source: DelaySource) -> list[float]:
    """Take a decision in every loop and return the delay of each, seconds."""
    if not loops:
        return []
    observations = [loop.observe(source.expected_s) for loop in loops]
    if not source.is_measured:
        for loop, seen, chunk in zip(loops, observations, policy.act_batch(observations), strict=True):
            loop.answer(seen, chunk, source.expected_s)
        return [source.expected_s] * len(loops)
    delays = []
    for loop, seen in zip(loops, observations, strict=True):
        start = time.perf_counter()
        chunk = policy.act(seen)
        delays.append(time.perf_counter() - start)
        loop.answer(seen, chunk, delays[-1])
        source.note(delays[-1])
    return delays


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
