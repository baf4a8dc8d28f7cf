"""How often the ossification test is right: synthetic worlds with and without ossification, planted by formula.

python benchmarks/ossification.py [--worlds 100] [--noise 0.01] [--workers 2]     prints rates for every kind of world

Healthy kinds must not be flagged; ossifying kinds must be, and a threshold's bracket must hold the planted size.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from counterpoint.scaling.laws.forms import Float
from counterpoint.scaling.ossification.null_test import Ossification, ossification
from counterpoint.scaling.runs.table import RunTable

SIZES = np.geomspace(1e8, 1e10, 7)
AMOUNTS = np.geomspace(1.0, 1000.0, 10)
SEEDS = 2
THRESHOLD = 1.5e9
"""Planted: models below it ossify."""

World = Callable[[Float, Float, np.random.Generator], Float]
"""(sizes, amounts, rng) -> ln L without noise."""


def additive(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return the null world of Hoffmann et al., with exponents drawn anew."""
    alpha, beta = rng.uniform(0.25, 0.45), rng.uniform(0.25, 0.5)
    return np.asarray(np.log(0.1 + 0.5 * (size / 1e8) ** -alpha + data**-beta))


def kaplan(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return a world in which the terms blend."""
    alpha, beta = rng.uniform(0.06, 0.15), rng.uniform(0.15, 0.4)
    return np.asarray(beta * np.log((size / 1e8) ** (-alpha / beta) * 0.3 ** (1 / beta) + 1 / data))


def mistuned(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return an additive world whose larger models were trained at a worse learning rate: an offset a size."""
    offset = 0.08 * rng.random() * np.log(size / 1e8) / np.log(100)
    return np.asarray(additive(size, data, rng) + offset)


def cosine_checkpoint(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return an additive world read off undecayed checkpoints: everything but the last amount is too high."""
    late = (np.log(data) - np.log(data).min()) / np.ptp(np.log(data))
    return np.asarray(additive(size, data, rng) + 0.05 * (1 - late))


def capacity_floor(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return an additive world in which small models are limited by capacity early: plateaus everywhere."""
    return np.asarray(np.log(0.05 + 1.5 * (size / 1e8) ** -0.5 + 0.6 * data ** -rng.uniform(0.3, 0.5)))


def mirage(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return an additive world seen through a success rate that saturates: the error as 1 - success."""
    error = np.exp(additive(size, data, rng))
    return np.asarray(np.log(1 - np.exp(-2.0 * error)))


def hard(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return a world in which models below THRESHOLD learn nothing beyond 40 hours."""
    seen = np.where(size < THRESHOLD, np.minimum(data, 40.0), data)
    return additive(size, seen, rng)


def soft(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return a world in which models below THRESHOLD learn from further data with a fifth of the exponent."""
    log_seen = np.where(
        (size < THRESHOLD) & (data > 30.0), np.log(30.0) + 0.2 * (np.log(data) - np.log(30.0)), np.log(data)
    )
    return additive(size, np.exp(log_seen), rng)


def smooth(size: Float, data: Float, rng: np.random.Generator) -> Float:
    """Return a world that ossifies gradually: the smaller the model, the less further data count."""
    worth = np.clip(0.1 + 0.9 * np.log(size / 1e8) / np.log(100), 0, 1)
    log_seen = np.where(data > 30.0, np.log(30.0) + worth * (np.log(data) - np.log(30.0)), np.log(data))
    return additive(size, np.exp(log_seen), rng)


HEALTHY: dict[str, World] = {
    "additive": additive,
    "kaplan": kaplan,
    "mistuned": mistuned,
    "cosine_checkpoint": cosine_checkpoint,
    "capacity_floor": capacity_floor,
    "mirage": mirage,
}
OSSIFYING: dict[str, World] = {"hard": hard, "soft": soft, "smooth": smooth}


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What the test said of one world."""

    flagged: bool
    """Some size below the threshold (or any, in a healthy world) was found ossifying or regressing."""
    wrong: bool
    """Some size above the threshold was."""
    claimed: bool
    right: bool
    """The bracket holds the planted threshold."""


def draw(world: World, seed: int, noise: float) -> RunTable:
    """Return the runs of one world."""
    rng = np.random.default_rng(seed)
    size = np.repeat(SIZES, len(AMOUNTS) * SEEDS)
    data = np.tile(np.repeat(AMOUNTS, SEEDS), len(SIZES))
    log_error = world(size, data, rng) + rng.normal(0, noise, size.shape)
    runs = np.asarray([f"run {row}" for row in range(len(size))])
    return RunTable(
        path="world", data=data, loss=np.exp(log_error), size=size, unique=None, run=runs, columns={}, others={}
    )


def judge(found: Ossification) -> TrialResult:
    """Compare what was found with what was planted."""
    flags = [(each.size, each.verdict in ("ossifying", "regressing")) for each in found.sizes]
    bracket = found.threshold.bracket
    return TrialResult(
        flagged=any(flag for size, flag in flags if size < THRESHOLD),
        wrong=any(flag for size, flag in flags if size > THRESHOLD),
        claimed=found.threshold.claimed,
        right=bracket is not None and bracket[0] < THRESHOLD < bracket[1],
    )


def trial(name: str, noise: float, seed: int) -> TrialResult:
    """Draw one world and test it."""
    return judge(ossification(draw({**HEALTHY, **OSSIFYING}[name], seed, noise)))


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--kinds", nargs="*", default=[*HEALTHY, *OSSIFYING])
    arguments = parser.parse_args()
    print(f"{arguments.worlds} worlds a kind: {len(SIZES)} sizes x {len(AMOUNTS)} amounts x {SEEDS} seeds, ", end="")
    print(f"noise {arguments.noise:.0%} of L; planted threshold {THRESHOLD:g}")
    print(f"{'world':<18} {'expected':<9} {'flagged':>8} {'wrong size':>11} {'claimed':>8} {'bracket right':>14}")
    with ProcessPoolExecutor(arguments.workers) as pool:
        for name in arguments.kinds:
            found = list(pool.map(partial(trial, name, arguments.noise), range(arguments.worlds), chunksize=5))
            healthy = name in HEALTHY
            flagged = np.mean([each.flagged or (healthy and each.wrong) for each in found])
            wrong = "" if healthy else f"{np.mean([each.wrong for each in found]):.2f}"
            claimed = [each for each in found if each.claimed]
            right = f"{np.mean([each.right for each in claimed]):.2f}" if claimed and not healthy else "-"
            print(
                f"{name:<18} {'none' if healthy else 'flag':<9} {flagged:>8.2f} {wrong:>11} "
                f"{len(claimed) / len(found):>8.2f} {right:>14}"
            )


if __name__ == "__main__":
    main()
