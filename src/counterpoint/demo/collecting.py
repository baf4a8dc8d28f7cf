"""Collecting episodes of many robots and tasks at once, with one pool of processes for all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from counterpoint.engine.progress import Progress
from counterpoint.robots.library import load_robot
from counterpoint.sim.collect import collect
from counterpoint.sim.tasks import load_task

ROUND = 20
"""Episodes of one robot and task that a worker collects in one go."""


def collect_all(
    store: Path, episodes: Mapping[tuple[str, str], int], *, seed: int, workers: int, progress: bool
) -> None:
    """Bring every pair of robot and task up to its number of episodes. Re-running resumes.

    The rounds of one pair run one after the other, each starting at the world where the last one ended. So no world
    is run twice, and the store gets the same episodes as from one call of `collect`. A single pair therefore keeps
    only one worker busy.

    Raises:
        CounterpointError: what `collect` raises.
    """
    rounds = {pair: deque(plan_rounds(count)) for pair, count in episodes.items()}
    bar = Progress("collect", total=sum(episodes.values()), unit="episode", shown=progress)
    with bar, ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending: dict[Future[int], tuple[str, str]] = {}

        def begin(pair: tuple[str, str], first: int) -> None:
            pending[pool.submit(_collect_round, str(store), *pair, rounds[pair][0], first, seed)] = pair

        try:
            for pair in rounds:
                begin(pair, 0)
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    pair = pending.pop(future)
                    first = future.result()
                    bar.update(rounds[pair].popleft())
                    if rounds[pair]:
                        begin(pair, first)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def plan_rounds(episodes: int) -> list[int]:
    """Return how many episodes each round of a pair adds."""
    return [min(ROUND, episodes - reached) for reached in range(0, episodes, ROUND)]


def _collect_round(store: str, robot: str, task: str, count: int, first: int, seed: int) -> int:
    """Collect `count` episodes from world `first` on; return the world to continue from."""
    summary = collect(
        load_robot(robot), load_task(task), count, Path(store), seed=seed, workers=1, first=first, progress=False
    )
    return summary.next_index
