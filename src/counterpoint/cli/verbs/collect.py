"""The verb `collect`: episodes of a scripted expert in simulation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import tyro

from counterpoint.cli.verb import Reply, Verb, VerbArguments
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class CollectArguments(VerbArguments):
    """Arguments of `collect`."""

    robot: str
    """A robot of `counterpoint robots list` that can be simulated."""
    task: str
    """Task: reach, track, push, lift, pick_place, conveyor or, with two arms, lift_box."""
    num_episodes: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 100
    """Number of episodes the store shall hold of this series, at least 1."""
    into: Path
    """Store to write to. It is created if it does not exist."""
    seed: int = 0
    """Random seed; the same seed gives the same episodes."""
    workers: int = 2
    """Number of processes, at least 1."""
    cameras: tuple[str, ...] = ()
    """Cameras to record: `front`, `wrist`, or with size and rate `front:96x96@15`. Without any, it is faster."""


def run_collect(arguments: CollectArguments) -> Reply:
    """Let the scripted expert do the task and keep what succeeded."""
    from counterpoint.robots.library import load_robot
    from counterpoint.sim.collect import collect
    from counterpoint.sim.tasks import load_task

    summary = collect(
        load_robot(arguments.robot),
        load_task(arguments.task),
        arguments.num_episodes,
        arguments.into,
        seed=arguments.seed,
        workers=arguments.workers,
        cameras=arguments.cameras,
    )
    return Reply(data=cast(dict[str, Json], summary.to_dict()), text=str(summary))


VERB = Verb(
    example="counterpoint collect --robot ur5e --task reach -n 200 --into data/ur5e",
    arguments=CollectArguments,
    run=run_collect,
    resume="finished episodes are kept; run the same command again to resume.",
)
