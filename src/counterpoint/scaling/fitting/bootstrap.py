"""The law on redrawn runs: what other runs of the same kind might have said.

Runs are drawn, never checkpoints. What is drawn is settled before any fit, so that the answer is the same for any
number of processes; fits start at the optimum of all runs.

Plain percentiles of redrawn runs are too narrow: they use n where n - p is right, and a normal quantile for a t one.
The percentiles are therefore taken further out (Hesterberg 2015, "expanded percentile"); docs/log.md has the coverage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from counterpoint.core.seeding import generator
from counterpoint.engine import LocalEngine
from counterpoint.scaling.fitting.solve import descend
from counterpoint.scaling.laws.forms import Axes, Float, Form

FEW_RUNS = 8
"""With so many runs or fewer, intervals are t intervals."""
NO_FLOOR = 4.6
"""A floor by so much (of ln L) below the least error, a hundredth of it, is next to none."""
CHUNK = 20
"""Draws that one process takes at a time."""
WORTH_S = 20.0
"""Seconds of work left from which processes of their own pay: they start slowly where the machine is busy."""

_Task = tuple[int, NDArray[np.int16]]
"""Number of the first draw, and how often each row was drawn, [chunk, rows]."""


def bootstrap(
    law: Form,
    vector: Float,
    run: NDArray[np.str_],
    x: Axes,
    log_errors: Float,
    delta: float,
    *,
    draws: int,
    seed: int = 0,
    workers: int | None = 1,
    on_draw: Callable[[], object] | None = None,
) -> Float:
    """Return the law on redrawn runs, [draws, vector]; draws that cannot carry the law are drawn again.

    Args:
        law: the law.
        vector: its optimum.
        run: [rows] name of each row's run.
        x: [rows] where errors were measured.
        log_errors: [rows] ln L.
        delta: of the Huber loss.
        draws: how many; fewer come back where runs are so few that most draws cannot carry the law.
        seed: of the draws.
        workers: processes; None for one a core where the work is long enough.
        on_draw: called after each draw, for progress.
    """
    counts = _redraws(law, run, x, draws, seed)
    tasks: list[_Task] = [(at, counts[at : at + CHUNK]) for at in range(0, len(counts), CHUNK)]
    fit = partial(_fit_each, law, vector, x, log_errors, delta)
    found: dict[int, Float] = {}
    if workers is None and tasks:
        begun = time.perf_counter()
        found[0] = fit(tasks[0])
        _tell(on_draw, len(found[0]))
        tasks = tasks[1:]
        workers = None if (time.perf_counter() - begun) * len(tasks) > WORTH_S else 1
    for done in LocalEngine(workers).run(fit, tasks, unit="draws") if tasks else ():
        if done.result is None:
            raise RuntimeError(f"a draw of the bootstrap failed: {done.message}")
        found[done.task[0]] = done.result
        _tell(on_draw, len(done.result))
    return np.concatenate([found[at] for at in sorted(found)]) if found else np.empty((0, len(vector)))


def interval(values: Sequence[float] | Float, value: float, num_runs: int, num_parameters: int) -> tuple[float, float]:
    """Return a parameter's 95% interval from its redrawn values.

    Expanded percentiles; with FEW_RUNS runs or fewer, t about `value`. NaN where there are no draws, or one run.
    """
    array = np.asarray(values, dtype=np.float64)
    low, high = ends(array[np.isfinite(array)], np.asarray(value), 0.95, num_runs, num_parameters)
    return float(low), float(high)


def ends(drawn: Float, value: Float, level: float, num_runs: int, num_parameters: int) -> Float:
    """Return the interval of that level of quantities, [2, quantities], from redrawn ones, [draws, quantities].

    As `interval`; `value`, [quantities], is what all runs say.
    """
    if len(drawn) < 2 or num_runs < 2:
        return np.full((2, *value.shape), np.nan)
    if num_runs > FEW_RUNS:
        return np.asarray(np.quantile(drawn, expanded(level, num_runs, num_parameters), axis=0))
    half = student.ppf((1 + level) / 2, max(num_runs - num_parameters, 1)) * drawn.std(axis=0, ddof=1)
    return np.stack([value - half, value + half])


def expanded(level: float, num_runs: int, num_parameters: int) -> tuple[float, float]:
    """Return the shares of redrawn values at which an interval of that level ends, for so many runs."""
    freedom = max(num_runs - num_parameters, 1)
    wide = float(student.ppf((1 + level) / 2, freedom)) * (num_runs / freedom) ** 0.5
    share = float(norm.sf(wide))
    return share, 1 - share


def _redraws(law: Form, run: NDArray[np.str_], x: Axes, draws: int, seed: int) -> NDArray[np.int16]:
    """Return how often each row is drawn, [draws, rows]."""
    rng = generator(seed, "scaling.bootstrap")
    names, owner = np.unique(run, return_inverse=True)
    found: list[NDArray[np.int16]] = []
    for _ in range(20 * draws):
        if len(found) == draws:
            break
        counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names))).astype(np.int16)[owner.ravel()]
        if not _too_few(counts > 0, x, law):
            found.append(counts)
    return np.stack(found) if found else np.empty((0, len(run)), dtype=np.int16)


def _fit_each(law: Form, vector: Float, x: Axes, log_errors: Float, delta: float, task: _Task) -> Float:
    return np.stack([_fit(law, vector, x, log_errors, delta, counts.astype(np.float64)) for counts in task[1]])


def _fit(law: Form, vector: Float, x: Axes, log_errors: Float, delta: float, counts: Float) -> Float:
    """Return the law on one draw, from the optimum of all runs and, where that has no floor, from one with a floor.

    A floor of 0 has no slope to descend: without the second start every draw would stay there.
    """
    found = [descend(law, each, x, log_errors, delta, counts, widths=()) for each in floored(law, vector, log_errors)]
    return min(found, key=lambda each: each[1])[0]


def floored(law: Form, vector: Float, log_errors: Float) -> list[Float]:
    """Return the vector and, where its floor is next to nothing, the same with one at a third of the least error."""
    if "floor" not in law.vector:
        return [vector]
    entry, least = law.vector.index("floor"), float(log_errors.min())
    if vector[entry] > least - NO_FLOOR:
        return [vector]
    raised = vector.copy()
    raised[entry] = least - 1.0
    return [vector, raised]


def _tell(on_draw: Callable[[], object] | None, count: int) -> None:
    for _ in range(count if on_draw is not None else 0):
        assert on_draw is not None  # nothing is counted without it
        on_draw()


def _too_few(present: NDArray[np.bool_], x: Axes, law: Form) -> bool:
    if present.sum() < len(law.vector):
        return True
    amounts = len(np.unique(x.log_data[present].round(9)))
    sizes = len(np.unique(x.log_size[present].round(9)))
    return amounts < 2 or (law.uses_size and sizes < 2)
