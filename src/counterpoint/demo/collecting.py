"""Collecting many robots and tasks at once: a few processes for all of them instead of some for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from counterpoint.robots.library import load_robot
from counterpoint.sim.collect import collect
from counterpoint.sim.tasks import load_task

ROUND = 20
"""Episodes of one robot and task that a worker collects at a time."""


def collect_all(
    store: Path, episodes: Mapping[tuple[str, str], int], *, seed: int, workers: int, progress: bool
) -> None:
    """Bring every pair of robot and task up to its number of episodes; goes on where it was stopped.

    Raises:
        CounterpointError: what `collect` raises.
    """
    rounds = list(plan_rounds(episodes))
    bar = tqdm(total=sum(episodes.values()), desc="collect", unit="ep", disable=not progress, dynamic_ncols=True)
    with bar, ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {
            pool.submit(_collect_round, str(store), robot, task, upto, seed): count
            for robot, task, upto, count in rounds
        }
        try:
            for future in as_completed(pending):
                future.result()
                bar.update(pending[future])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def plan_rounds(episodes: Mapping[tuple[str, str], int]) -> Iterator[tuple[str, str, int, int]]:
    """Yield robot, task, the number to reach, and how many are new; all pairs advance together."""
    for reached in range(0, max(episodes.values()), ROUND):
        for (robot, task), wanted in episodes.items():
            if wanted > reached:
                upto = min(wanted, reached + ROUND)
                yield robot, task, upto, upto - reached


def _collect_round(store: str, robot: str, task: str, upto: int, seed: int) -> None:
    collect(load_robot(robot), load_task(task), upto, Path(store), seed=seed, workers=1, progress=False)
