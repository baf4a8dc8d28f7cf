"""Closed-loop success rates: robots x tasks x delays, in worlds whose clock does not wait.

    plan_groups --groups of seeds--> worker processes (worlds.run_group) --outcomes--> success +- Wilson

Evaluation worlds are seeded `EVALUATION_SEED + i`; collection stays below, so no policy is judged on a
world it was trained in. Groups are a function of the configuration alone: the number of workers
changes the duration, never the result (except for `measured` delays, which depend on the machine).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.evaluate.closed_loop import ExecutionConfig
from counterpoint.evaluate.lockstep import Delay, EpisodeResult
from counterpoint.evaluate.statistics import wilson_interval
from counterpoint.evaluate.worlds import Group, fitting_pairs, run_group

EVALUATION_SEED = 2**31
"""Seeds of evaluation worlds start here; those of collection lie below (31-bit hashes)."""


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """Which policy runs in which worlds."""

    policy: str
    """Checkpoint folder, or `expert`, `hold`, `repeat`, `linear`."""
    robots: tuple[str, ...]
    tasks: tuple[str, ...]
    """Every robot does every task that fits it; other pairs are skipped."""
    delays_ms: tuple[Delay, ...] = (0.0,)
    """Inference delay in world time, or `measured`: the wall-clock time of this machine."""
    episodes: int = 20
    """Episodes a robot, task and delay; the same worlds for each delay."""
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    seed: int = 0
    """First evaluation world, counted from `EVALUATION_SEED`; at least 0: collection's worlds lie below."""
    lanes: int = 10
    """Worlds in lockstep, answered in one batch."""
    workers: int = 2
    """Worker processes; 1 runs in this process. Use 1 for measured delays: other workers slow the policy down."""
    budget_s: float | None = None
    """No new group starts after this time. Rows report the episodes that ran, and null where none did."""
    video_dir: Path | None = None
    """Where to write one mp4 a robot, task and delay; None writes none."""
    videos: int = 1
    """Episodes filmed of each robot, task and delay, one file each."""

    def __post_init__(self) -> None:
        """Check counts, seed and delays."""
        for name, value in (("episodes", self.episodes), ("lanes", self.lanes), ("workers", self.workers)):
            if value < 1:
                raise ConfigError(f"rollout.{name}: expected at least 1, got {value}")
        if self.seed < 0:
            raise ConfigError(
                f"rollout.seed: expected at least 0 (seeds of training worlds lie below), got {self.seed}"
            )
        bad = [delay for delay in self.delays_ms if delay != "measured" and not 0 <= delay < 10_000]
        if bad or not self.delays_ms:
            raise ConfigError(f"rollout.delays_ms: expected milliseconds in [0, 10000) or 'measured', got {bad}")


@dataclass(frozen=True, kw_only=True)
class RolloutResult:
    """Success of one policy on one robot and task at one delay; without episodes if the budget ran out first."""

    policy: str
    robot: str
    task: str
    delay_ms: float
    """Simulated delay, or the mean of the measured ones; NaN where none was measured."""
    delay_mode: Literal["simulated", "measured"]
    strategy: str
    episodes: tuple[EpisodeResult, ...]
    seeds: tuple[int, ...]
    videos: tuple[Path, ...] = ()

    def to_dict(self) -> dict[str, Json]:
        """Return the row of the command line's `results`; null for what was not measured."""
        count = len(self.episodes)
        successes = sum(episode.success for episode in self.episodes)
        times = [episode.duration_s for episode in self.episodes if episode.success]
        failed = [seed for seed, episode in zip(self.seeds, self.episodes, strict=True) if not episode.success]
        return {
            "policy": self.policy,
            "robot": self.robot,
            "task": self.task,
            "delay_ms": round(self.delay_ms, 3) if math.isfinite(self.delay_ms) else None,
            "delay_mode": self.delay_mode,
            "strategy": self.strategy,
            "episodes": count,
            "successes": successes,
            "success_rate": successes / count if count else None,
            "ci95": [*wilson_interval(successes, count).as_list()] if count else None,
            "mean_seconds_to_success": sum(times) / len(times) if times else None,
            "failed_seeds": [*failed],
            "videos": [str(path) for path in self.videos],
        }


def plan_groups(config: RolloutConfig) -> list[Group]:
    """Return the groups to run, with delays interleaved so that all rows lose equally where the budget runs out.

    Raises:
        ConfigError: no task fits any of the robots.
        UnknownNameError: a robot or task that does not exist.
    """
    pairs = fitting_pairs(config.robots, config.tasks)
    if not pairs:
        raise ConfigError(f"rollout: none of the tasks {config.tasks} fits any of the robots {config.robots}")
    groups = []
    for start in range(0, config.episodes, config.lanes):
        count = min(config.lanes, config.episodes - start)
        first = EVALUATION_SEED + config.seed + start
        for delay in config.delays_ms:
            for robot, task in pairs:
                groups.append(
                    Group(
                        policy=config.policy,
                        robot=robot,
                        task=task,
                        delay_ms=delay,
                        seeds=tuple(range(first, first + count)),
                        execution=config.execution,
                        video_dir=config.video_dir,
                        videos=config.videos if start == 0 else 0,
                    )
                )
    return groups


def worker_pool(workers: int) -> Executor:
    """Return worker processes for `rollout`; use it as a context manager, for one or several rollouts."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))  # a forked graphics driver would not work


def rollout(
    config: RolloutConfig,
    on_group: Callable[[int, int], None] | None = None,
    *,
    pool: Executor | None = None,
) -> list[RolloutResult]:
    """Run everything and return one result a robot, task and delay, in the order of the plan.

    `on_group(done, total)` is called at the start and as groups finish. `pool`, from `worker_pool`, is used instead of
    processes of its own.
    """
    groups = plan_groups(config)
    deadline = None if config.budget_s is None else time.monotonic() + config.budget_s
    finished: dict[int, tuple[list[EpisodeResult], list[Path]]] = {}
    if on_group is not None:
        on_group(0, len(groups))

    def note(index: int, answer: tuple[list[EpisodeResult], list[Path]]) -> None:
        finished[index] = answer
        if on_group is not None:
            on_group(len(finished), len(groups))

    if config.workers == 1 and pool is None:
        for index, group in enumerate(groups):
            if index == 0 or deadline is None or time.monotonic() < deadline:
                note(index, run_group(group))
    elif pool is not None:
        _run_in_processes(pool, groups, config.workers, deadline, note)
    else:
        with worker_pool(min(config.workers, len(groups))) as own:
            _run_in_processes(own, groups, config.workers, deadline, note)
    return _merge(groups, finished)


def _run_in_processes(
    pool: Executor,
    groups: list[Group],
    workers: int,
    deadline: float | None,
    note: Callable[[int, tuple[list[EpisodeResult], list[Path]]], None],
) -> None:
    """Keep every worker busy with one group until all are done or the deadline has passed."""
    waiting = list(enumerate(groups))[::-1]
    running: dict[Future[tuple[list[EpisodeResult], list[Path]]], int] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            index, group = waiting.pop()
            running[pool.submit(run_group, group)] = index
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            note(running.pop(future), future.result())
        if deadline is not None and time.monotonic() >= deadline:
            waiting.clear()


def _merge(groups: list[Group], finished: dict[int, tuple[list[EpisodeResult], list[Path]]]) -> list[RolloutResult]:
    results: dict[tuple[str, str, Delay], RolloutResult] = {}
    for index, group in enumerate(groups):
        outcomes, videos = finished.get(index, ([], []))
        key = (group.robot, group.task, group.delay_ms)
        before = results.get(key)
        merged = (*(before.episodes if before else ()), *outcomes)
        seeds = group.seeds if index in finished else ()
        mean_s = sum(one.delay_s for one in merged) / len(merged) if merged else math.nan
        measured = group.delay_ms == "measured"
        results[key] = RolloutResult(
            policy=group.policy,
            robot=group.robot,
            task=group.task,
            delay_ms=1000 * mean_s if measured else float(group.delay_ms),
            delay_mode="measured" if measured else "simulated",
            strategy="expert" if group.policy == "expert" else group.execution.strategy,
            episodes=merged,
            seeds=(*(before.seeds if before else ()), *seeds),
            videos=(*(before.videos if before else ()), *videos),
        )
    return list(results.values())
