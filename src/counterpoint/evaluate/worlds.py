"""The simulated side of a rollout: builds worlds, runs one group in lockstep, films the first of them.

The expert is a special case: it reads the world's true state, which no policy may. It decides at every
control tick and its command is executed after the group's delay. Its row therefore shows the effect of the
delay on a reactive controller that cannot plan ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import NS_PER_SECOND, seconds_to_ns
from counterpoint.core.errors import PolicyError
from counterpoint.core.policy import Policy
from counterpoint.evaluate.baselines import BASELINES
from counterpoint.evaluate.closed_loop import ExecutionConfig
from counterpoint.evaluate.film import Recorder
from counterpoint.evaluate.lockstep import Delay, EpisodeResult, run_lockstep
from counterpoint.policy.model_policy import ModelPolicy, load_policy
from counterpoint.robots.library import load_robot
from counterpoint.sim.expert.expert import Expert
from counterpoint.sim.tasks import load_task
from counterpoint.sim.world import World


@dataclass(frozen=True, kw_only=True)
class Group:
    """Worlds of one robot and task that run in lockstep in one process."""

    policy: str
    robot: str
    task: str
    delay_ms: Delay
    seeds: tuple[int, ...]
    execution: ExecutionConfig
    video_dir: Path | None = None
    videos: int = 0
    """How many of the first worlds are filmed."""


def fitting_pairs(robots: Sequence[str], tasks: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of robot and task that fit; raises UnknownNameError for names that do not exist."""
    loaded = [(name, load_robot(name)) for name in robots]
    return [(name, task) for task in tasks for name, robot in loaded if load_task(task).fits(robot)]


def run_group(group: Group) -> tuple[list[EpisodeResult], list[Path]]:
    """Run a group to the end; return one result a seed, and the videos written."""
    robot, task = load_robot(group.robot), load_task(group.task)
    worlds = [World(robot, task, seed=seed) for seed in group.seeds]
    filmed = group.videos if group.video_dir is not None else 0
    recorders = [Recorder(world) for world in worlds[:filmed]]

    def film() -> None:
        for recorder in recorders:
            recorder.tick()

    if group.policy == "expert":
        outcomes = [_run_expert(world, group.delay_ms, film) for world in worlds]
    else:
        policy = named_policy(group.policy)
        execution = group.execution
        if isinstance(policy, ModelPolicy):
            execution = replace(execution, context_s=max(execution.context_s, policy.history_s))
        outcomes = run_lockstep(policy, worlds, group.delay_ms, execution, seed=group.seeds[0], after_tick=film)
    paths = []
    for recorder, seed in zip(recorders, group.seeds, strict=False):
        assert group.video_dir is not None
        delay = "measured" if group.delay_ms == "measured" else f"{group.delay_ms:g}ms"
        name = f"{group.robot}-{group.task}-{delay}-{seed}.mp4"
        paths.append(recorder.write(group.video_dir / name))
    return outcomes, paths


@lru_cache(maxsize=2)
def named_policy(name: str) -> Policy:
    """Return the baseline of that name, or load the checkpoint folder of that path.

    Raises:
        CheckpointError: the folder is no checkpoint.
    """
    if name in BASELINES:
        return BASELINES[name]
    return load_policy(name, threads=1)


def _run_expert(world: World, delay_ms: Delay, after_tick: Callable[[], None]) -> EpisodeResult:
    """Ask the expert every tick; execute its command `delay_ms` later, standing still before the first."""
    if delay_ms == "measured":
        raise PolicyError("the expert has no inference time to measure; give its delay in milliseconds")
    expert = Expert(world)
    start_ns, decisions = world.time_ns, 0
    answers: deque[tuple[int, NDArray[np.float32]]] = deque()
    command = world.measured()
    while not world.done:
        answers.append((world.time_ns + seconds_to_ns(delay_ms / 1000), expert.command(world)))
        while answers and answers[0][0] <= world.time_ns:
            command = answers.popleft()[1]
        world.step(command)
        decisions += 1
        after_tick()
    return EpisodeResult(
        success=world.success,
        duration_s=(world.time_ns - start_ns) / NS_PER_SECOND,
        delay_s=delay_ms / 1000,
        decisions=decisions,
    )
