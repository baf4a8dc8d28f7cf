"""How good and how quick the fits are: recovery and coverage on worlds with a known law, and time for 245 points.

python benchmarks/scaling.py [--worlds 300] [--draws 200] [--workers 2]

Worlds:
  hoffmann      245 points of L = 1.8172 + 482.01 N^-.3478 + 2085.43 D^-.3658 (Besiroglu et al. 2024) at nine budgets
                from 6e18 to 3e21 FLOPs and sizes within 5x of the best, noise t(3) of 0.4% (the mean residual of the
                published fit); delta 1e-3
  loud          the same with noise t(3) of 1.2%: standard errors of A, B and E are then about the published ones
  grid          6 sizes x 7 amounts x 2 seeds, additive, noise 1%; delta auto
  amounts       8 amounts x 3 seeds, a power law with a floor, noise 1%; delta auto
  few           6 amounts x 2 seeds, a power law, noise 2%; delta auto

Peers on the same points: `scaling_peers.py`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from counterpoint.scaling.fitting.estimate import estimate
from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.runs.table import RunTable

HOFFMANN = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
BUDGETS = (6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21)
POINTS = 245


@dataclass(frozen=True, kw_only=True)
class World:
    """Runs whose law is known."""

    law: str
    truth: dict[str, float]
    delta: float | Literal["auto"]
    draw: Callable[[np.random.Generator], RunTable]


def hoffmann(rng: np.random.Generator, noise: float = 0.0038) -> RunTable:
    """Return a twin of the points that Besiroglu et al. took from Hoffmann et al."""
    alpha, beta = HOFFMANN["alpha"], HOFFMANN["beta"]
    flops = rng.choice(BUDGETS, POINTS)
    ratio = (alpha * HOFFMANN["A"] / (beta * HOFFMANN["B"])) ** (1 / (alpha + beta))
    best = ratio * (flops / 6) ** (beta / (alpha + beta))
    size = np.clip(best * np.exp(rng.uniform(-1.6, 1.6, POINTS)), 4.4e7, 1.6e10)
    data = flops / 6 / size
    loss = HOFFMANN["E"] + HOFFMANN["A"] * size**-alpha + HOFFMANN["B"] * data**-beta
    return table(data, loss * np.exp(noise * rng.standard_t(3, POINTS)), size)


def grid(rng: np.random.Generator) -> RunTable:
    """Return a study of 6 sizes, 7 amounts and 2 seeds."""
    size = np.repeat(np.geomspace(1e5, 1e7, 6), 14)
    data = np.tile(np.repeat(np.geomspace(1, 300, 7), 2), 6)
    return table(data, (0.05 + 30 * size**-0.4 + 0.5 * data**-0.35) * np.exp(rng.normal(0, 0.01, len(size))), size)


def amounts(rng: np.random.Generator) -> RunTable:
    """Return 8 amounts and 3 seeds of a power law with a floor."""
    data = np.repeat(np.geomspace(1, 300, 8), 3)
    return table(data, (0.1 + (0.64 / data) ** 0.5) * np.exp(rng.normal(0, 0.01, len(data))))


def few(rng: np.random.Generator) -> RunTable:
    """Return 6 amounts and 2 seeds of a power law."""
    data = np.repeat(np.geomspace(1, 300, 6), 2)
    return table(data, (5 / data) ** 0.4 * np.exp(rng.normal(0, 0.02, len(data))))


WORLDS: dict[str, World] = {
    "hoffmann": World(law="additive", truth=HOFFMANN, delta=1e-3, draw=hoffmann),
    "loud": World(law="additive", truth=HOFFMANN, delta=1e-3, draw=partial(hoffmann, noise=0.012)),
    "grid": World(
        law="additive", truth={"E": 0.05, "A": 30, "B": 0.5, "alpha": 0.4, "beta": 0.35}, delta="auto", draw=grid
    ),
    "amounts": World(law="power_floor", truth={"E": 0.1, "A": 0.64, "alpha": 0.5}, delta="auto", draw=amounts),
    "few": World(law="power", truth={"A": 5, "alpha": 0.4}, delta="auto", draw=few),
}


def table(data: Float, loss: Float, size: Float | None = None) -> RunTable:
    """Return runs as a table; every row is a run of its own."""
    runs = np.arange(len(data)).astype(np.str_)
    return RunTable(path="world", data=data, loss=loss, size=size, unique=None, run=runs, columns={}, others={})


def trial(name: str, draws: int, seed: int) -> Float:
    """Return, for each parameter, the estimate, its standard error, and whether each interval holds the truth."""
    world = WORLDS[name]
    runs = world.draw(np.random.default_rng(seed))
    found = estimate(runs, world.law, delta=world.delta, draws=draws, seed=seed)
    rows = []
    for parameter, truth in world.truth.items():
        each = found.parameters[parameter]
        by_ci = each.ci95[0] <= truth <= each.ci95[1]
        by_profile = each.profile95[0] <= truth <= each.profile95[1]
        rows.append((each.value, each.se, by_ci, by_profile))
    return np.asarray(rows, dtype=np.float64)


def coverage(names: list[str], worlds: int, draws: int, workers: int) -> None:
    """Print recovery and coverage of every parameter."""
    print(f"{worlds} worlds a kind, {draws} draws; coverage of 95% intervals, +- 1 standard error of the count")
    print(
        f"{'world':<10} {'':<6} {'truth':>9} {'median':>9} {'se':>9} {'in 2 se':>8} {'bootstrap':>15} {'profile':>15}"
    )
    with ProcessPoolExecutor(workers) as pool:
        for name in names:
            begun = time.perf_counter()
            found = np.stack(list(pool.map(partial(trial, name, draws), range(worlds), chunksize=5)))
            for place, (parameter, truth) in enumerate(WORLDS[name].truth.items()):
                value, se, by_ci, by_profile = found[:, place].T
                near = float((np.abs(value - truth) <= 2 * se).mean())
                shares = [
                    f"{each.mean():.3f} +- {(each.mean() * (1 - each.mean()) / worlds) ** 0.5:.3f}"
                    for each in (by_ci, by_profile)
                ]
                print(
                    f"{name:<10} {parameter:<6} {truth:>9.4g} {np.median(value):>9.4g} {np.median(se):>9.3g} "
                    f"{near:>8.3f} {shares[0]:>15} {shares[1]:>15}"
                )
            print(f"{'':<10} {time.perf_counter() - begun:.0f} s", flush=True)


def speed(draws: int) -> None:
    """Print CPU and wall time of fits of 245 points."""
    runs = hoffmann(np.random.default_rng(0))
    estimate(runs, "additive", delta=1e-3, draws=2)  # imports and warms up
    for label, count, profiles, workers in (
        ("point fit", 0, False, 1),
        ("point fit with profiles", 0, True, 1),
        (f"with {draws} draws, one process", draws, True, 1),
        (f"with {draws} draws, --workers auto", draws, True, None),
    ):
        wall, used = time.perf_counter(), _cpu()
        estimate(runs, "additive", delta=1e-3, draws=count, with_profiles=profiles, workers=workers)
        print(f"{POINTS} points, {label:<32} {time.perf_counter() - wall:7.2f} s wall {_cpu() - used:7.2f} s CPU")


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def main() -> None:
    """Print coverage and times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=300)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--kinds", nargs="*", choices=list(WORLDS), default=list(WORLDS))
    arguments = parser.parse_args()
    speed(1000)
    if arguments.worlds:
        coverage(arguments.kinds, arguments.worlds, arguments.draws, arguments.workers)


if __name__ == "__main__":
    main()
