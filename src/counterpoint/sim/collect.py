"""Collecting demonstrations into a store with several processes.

    attempts 0, 1, 2, ...  --workers-->  successes are added to the store by the worker itself

A new attempt starts only while kept episodes and running attempts together could still be too few. The store
therefore ends up with the first `num_episodes` successes for any number of workers. Episodes that the store
already has are not run again, so the same call resumes after Ctrl-C or a crash.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.engine.progress import Progress
from counterpoint.robots.robot import Robot
from counterpoint.sim.cameras import CameraConfig, parse_camera
from counterpoint.sim.demonstrate import DEFAULT_DISTURBANCE, UNSTABLE, Demonstrations, demonstrate
from counterpoint.sim.expert.disturbance import DisturbanceConfig
from counterpoint.sim.task import Task
from counterpoint.sim.world import World
from counterpoint.store import StoreWriter

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE = 20
"""Collecting gives up after at least this many failures, if more than half of the attempts failed."""
AHEAD = 2
"""Attempts under way for each worker."""


@dataclass(frozen=True, kw_only=True)
class CollectSummary:
    """What a collection did."""

    robot: str
    task: str
    store: str
    kept: int
    """Episodes of this series that are in the store now."""
    present: int
    """How many of these the store had before."""
    attempts: int
    """Demonstrations that were run."""
    failures: dict[str, int] = field(default_factory=dict)
    """Reason code -> attempts that were not kept."""
    robot_s: float = 0.0
    """Seconds of robot time added."""
    wall_s: float = 0.0
    next_index: int = 0
    """Number of the series at which the next collection continues; pass it as `first`."""

    @property
    def success_rate(self) -> float:
        """Share of the attempts in which the expert achieved the task; 1 without attempts."""
        return 1.0 - sum(self.failures.values()) / self.attempts if self.attempts else 1.0

    def to_dict(self) -> dict[str, str | int | float | dict[str, int]]:
        """Return plain JSON values."""
        return {**asdict(self), "success_rate": self.success_rate}

    def __str__(self) -> str:
        """Return a sentence for people."""
        reasons = "".join(f", {count} {reason}" for reason, count in sorted(self.failures.items()))
        rate = 60 * (self.kept - self.present) / self.wall_s if self.wall_s > 0 else 0.0
        return (
            f"{self.robot} {self.task}: {self.kept} episodes in {self.store} ({self.present} were there before), "
            f"{self.attempts} attempts{reasons}; {self.robot_s / 3600:.2f} h of robot time, {rate:.0f} episodes/min"
        )


@dataclass(frozen=True, kw_only=True)
class AttemptResult:
    """Result of one attempt of a series."""

    index: int
    kept: bool
    ran: bool
    """False where the store had the episode already."""
    failure: str = ""
    duration_s: float = 0.0


def collect(
    robot: Robot,
    task: Task,
    num_episodes: int,
    store_path: Path | str,
    *,
    seed: int = 0,
    workers: int = 2,
    cameras: Sequence[CameraConfig | str] = (),
    disturbance: DisturbanceConfig | None = DEFAULT_DISTURBANCE,
    keep_failures: bool = False,
    first: int = 0,
    progress: bool = True,
) -> CollectSummary:
    """Add demonstrations of `task` by `robot` until the store has `num_episodes` of this series.

    With `keep_failures`, unsuccessful episodes are kept and counted too. Numbers of the series below `first` are
    ignored.

    Raises:
        ConfigError: the task does not fit the robot, or a count or camera makes no sense.
        UnknownNameError: a camera does not exist.
        StoreError: the store is foreign, or the disk is full.
        CounterpointError: the expert fails most of the time, or a worker died.
        KeyboardInterrupt: once running attempts have finished; the message says how to resume.
    """
    if num_episodes < 1 or workers < 1 or first < 0:
        raise ConfigError(
            f"collect: expected at least 1 episode, at least 1 worker and a first number of at least 0, "
            f"got {num_episodes}, {workers} and {first}"
        )
    parsed = tuple(parse_camera(camera) if isinstance(camera, str) else camera for camera in cameras)
    series = Demonstrations(robot=robot, task=task, seed=seed, cameras=parsed, disturbance=disturbance)
    World(robot, task, seed=series.world_seed(0), cameras=parsed)  # raises now what would fail in every worker
    root, began = Path(store_path), time.perf_counter()
    writer, packed = StoreWriter(root), pickle.dumps(series)

    def begin(executor: Executor, place: int) -> Future[AttemptResult]:
        index = first + place
        if writer.has(series.episode_id(index)):
            return _finished(AttemptResult(index=index, kept=True, ran=False))
        return executor.submit(_attempt, packed, str(root), index, keep_failures)

    outcomes: list[AttemptResult] = []
    bar = Progress(f"collect {robot.name} {task.name}", total=num_episodes, unit="episode", shown=progress)
    with bar, _worker_pool(workers, root) as executor:
        for outcome in _first_kept(partial(begin, executor), num_episodes, workers * AHEAD):
            outcomes.append(outcome)
            _give_up_early(series, outcomes)
            ran = [done for done in outcomes if done.ran]
            bar.status = f"{sum(not done.failure for done in ran)} of {len(ran)} attempts succeeded"
            bar.update(int(outcome.kept))
    summary = _summarize(series, root, outcomes, time.perf_counter() - began)
    return replace(summary, next_index=first + len(outcomes))


def _first_kept(begin: Callable[[int], Future[AttemptResult]], wanted: int, ahead: int) -> Iterator[AttemptResult]:
    """Yield results in the order of finishing until the first `wanted` kept ones, by index, are among them."""
    pending: set[Future[AttemptResult]] = set()
    kept = index = 0
    while kept < wanted:
        while len(pending) < min(ahead, wanted - kept):
            pending.add(begin(index))
            index += 1
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            outcome = future.result()
            kept += outcome.kept
            yield outcome


@lru_cache(maxsize=8)
def _unpacked(packed: bytes, root: str) -> tuple[Demonstrations, StoreWriter]:
    series: Demonstrations = pickle.loads(packed)
    return series, StoreWriter(root)


def _attempt(packed: bytes, root: str, index: int, keep_failures: bool) -> AttemptResult:
    """Run in a worker: one demonstration, added to the store if it is to be kept."""
    series, writer = _unpacked(packed, root)
    demonstration = demonstrate(series, index)
    kept = not demonstration.failure or (keep_failures and demonstration.failure != UNSTABLE)
    if kept:
        writer.add(demonstration.episode)
    return AttemptResult(
        index=index,
        kept=kept,
        ran=True,
        failure=demonstration.failure,
        duration_s=demonstration.episode.duration_s if kept else 0.0,
    )


@contextmanager
def _worker_pool(workers: int, root: Path) -> Iterator[Executor]:
    """Yield an executor; on Ctrl-C running attempts finish and waiting ones are dropped."""
    if workers == 1:
        yield _SameProcess()
        return
    context = multiprocessing.get_context("spawn")  # a forked graphics driver would not work
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield executor
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped; {root} is intact. Re-run the same command to continue.") from None
    except BrokenProcessPool as error:
        raise CounterpointError(
            f"{root}: a worker process died, perhaps for lack of memory. The store is intact: re-run the same command "
            "to continue, with fewer workers if it dies again"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _SameProcess(Executor):
    """Runs each submitted call at once, in this process."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return _finished(fn(*args, **kwargs))


def _finished(value: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(value)
    return future


def _give_up_early(series: Demonstrations, outcomes: list[AttemptResult]) -> None:
    failed = [done.failure for done in outcomes if done.failure]
    if len(failed) >= PATIENCE and 2 * len(failed) > len(outcomes):
        raise CounterpointError(
            f"{series.robot.name} {series.task.name}: the expert failed {len(failed)} of {len(outcomes)} attempts "
            f"({', '.join(sorted(set(failed)))}). Successful episodes are in the store. "
            "Try a calmer world or another task"
        )


def _summarize(series: Demonstrations, root: Path, outcomes: list[AttemptResult], wall_s: float) -> CollectSummary:
    reasons = [done.failure for done in outcomes if done.failure]
    return CollectSummary(
        robot=series.robot.name,
        task=series.task.name,
        store=str(root),
        kept=sum(done.kept for done in outcomes),
        present=sum(not done.ran for done in outcomes),
        attempts=sum(done.ran for done in outcomes),
        failures={reason: reasons.count(reason) for reason in sorted(set(reasons))},
        robot_s=sum(done.duration_s for done in outcomes),
        wall_s=wall_s,
    )
