"""Episodes a minute into a store, and speed of the physics, for every robot.

    python benchmarks/collect.py
    python benchmarks/collect.py --episodes 60 --robots ur5e,panda --tasks reach,lift --workers 2

Starting the worker processes is measured too, so short runs look slower than long ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from counterpoint.robots.library import load_robot, simulated_robot_names
from counterpoint.robots.robot import PHYSICS_STEP_S
from counterpoint.sim.collect import collect
from counterpoint.sim.expert.expert import Expert
from counterpoint.sim.tasks import TASKS, load_task
from counterpoint.sim.world import World

TARGETS = {"state": 500, "camera": 200}
"""Episodes a minute on two cores, averaged over robots: state-only, and with one 64x64 camera."""


def episodes_per_minute(robot: str, tasks: Sequence[str], count: int, workers: int, cameras: tuple[str, ...]) -> float:
    """Return the rate over all `tasks` that fit, `count` episodes each."""
    began, kept = time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks:
            if not load_task(task).fits(load_robot(robot)):
                continue
            summary = collect(
                load_robot(robot),
                load_task(task),
                count,
                Path(folder) / "store",
                workers=workers,
                cameras=cameras,
                progress=False,
            )
            kept += summary.kept
    return 60 * kept / (time.perf_counter() - began)


def speeds(robot: str, task: str) -> tuple[float, float, float]:
    """Return physics steps/s and control steps/s of a world that holds still, and control steps/s with the expert."""
    rates = []
    for use_expert in (False, True):
        seconds, steps = 0.0, 0
        for seed in range(4):
            world = World(load_robot(robot), load_task(task), seed=seed)
            expert, still = Expert(world), world.measured()
            began = time.process_time()
            for _ in range(60):
                world.step(expert.command(world) if use_expert else still)
            seconds += time.process_time() - began
            steps += 60
        rates.append(steps / seconds)
    per_control = round(world.control_period_s / PHYSICS_STEP_S)
    return rates[0] * per_control, rates[0], rates[1]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=40, help="episodes of each task and robot")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--robots", default=",".join(simulated_robot_names()))
    parser.add_argument("--tasks", default=",".join(TASKS))
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    robots, tasks = arguments.robots.split(","), arguments.tasks.split(",")
    print(f"episodes/min, {arguments.workers} workers, {arguments.episodes} of each task: {', '.join(tasks)}")
    print(
        f"{'robot':15s} {'state':>7s} {'camera':>7s}   {'physics/s':>9s} {'control/s':>9s} {'+expert':>8s}  (one core)"
    )
    rates: dict[str, list[float]] = {name: [] for name in TARGETS}
    for robot in robots:
        for name, cameras in (("state", ()), ("camera", ("front:64x64@15",))):
            rates[name].append(episodes_per_minute(robot, tasks, arguments.episodes, arguments.workers, cameras))
        physics, control, with_expert = speeds(robot, tasks[0])
        print(
            f"{robot:15s} {rates['state'][-1]:7.0f} {rates['camera'][-1]:7.0f}   "
            f"{physics:9.0f} {control:9.0f} {with_expert:8.0f}",
            flush=True,
        )
    for name, target in TARGETS.items():
        mean = sum(rates[name]) / len(rates[name])
        print(f"mean {name:7s} {mean:6.0f}/min = {mean / target:.2f} x the target of {target}/min")


if __name__ == "__main__":
    main()
