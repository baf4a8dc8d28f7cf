"""Success of every expert on every robot that its task fits, and what an episode costs.

python benchmarks/experts.py --seeds 100
python benchmarks/experts.py --seeds 20 --robots ur5e,panda --tasks reach,lift --disturb
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from counterpoint.robots.library import load_robot, simulated_robot_names
from counterpoint.sim.expert.disturbance import Disturber
from counterpoint.sim.expert.expert import Expert
from counterpoint.sim.tasks import TASKS, load_task
from counterpoint.sim.world import World


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95% Wilson interval of a success rate."""
    z, rate = 1.96, successes / trials
    middle = rate + z * z / (2 * trials)
    half = z * (rate * (1 - rate) / trials + z * z / (4 * trials * trials)) ** 0.5
    scale = 1 + z * z / trials
    return (middle - half) / scale, (middle + half) / scale


def run_one(robot: str, task: str, seed: int, *, disturb: bool) -> tuple[bool, float]:
    """Return whether the expert succeeded, and the episode's length in seconds of world time."""
    world = World(load_robot(robot), load_task(task), seed=seed)
    expert = Expert(world)
    disturber = Disturber(world, seed) if disturb else None
    while not world.done:
        if disturber is not None:
            disturber.step()
        world.step(expert.command(world))
    return world.success, world.time_s


def run_cell(robot: str, task: str, seeds: Sequence[int], *, disturb: bool) -> None:
    """Print one row of the table."""
    began, failed, length_s = time.process_time(), [], 0.0
    for seed in seeds:
        success, duration_s = run_one(robot, task, seed, disturb=disturb)
        length_s += duration_s
        if not success:
            failed.append(seed)
    cost = (time.process_time() - began) / len(seeds)
    low, high = wilson(len(seeds) - len(failed), len(seeds))
    print(
        f"{robot:15s} {task:10s} {len(seeds) - len(failed):4d}/{len(seeds):<4d} [{low:.2f}, {high:.2f}]  "
        f"{length_s / len(seeds):5.2f} s long  {cost:6.3f} core-s  failed seeds {failed[:12]}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="episodes a cell")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--robots", default=",".join(simulated_robot_names()))
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--disturb", action="store_true", help="with pushes, nudges and slips")
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    for task in given.tasks.split(","):
        for robot in given.robots.split(","):
            if load_task(task).fits(load_robot(robot)):
                run_cell(robot, task, seeds, disturb=given.disturb)


if __name__ == "__main__":
    main()
