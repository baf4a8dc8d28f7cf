"""Planning a study: sizes, amounts, steps that the budget affords, what the runs can tell, what they cost.

The rule of steps: `steps(D) = max(floor, steps at the largest amount x D / largest D)`, the same for every size
and seed. Above the floor every run passes over its data equally often, and each run decays its learning rate at its
own end; the floor keeps the smallest amounts from being short of training instead of short of data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.evaluate.offline import OfflineConfig
from counterpoint.model.sizes import block_parameters, ladder
from counterpoint.scaling.study.definition import (
    HoldOutKind,
    RateSearch,
    Study,
    StudyAmount,
    StudySize,
    Subsets,
    Unit,
)
from counterpoint.scaling.study.power import Assumption, Power, power_analysis
from counterpoint.scaling.study.subset import Pool, open_pool
from counterpoint.scaling.study.timing import Bench, measure, open_bench
from counterpoint.train.config import TrainConfig

FEW_AMOUNTS, FEW_SIZES, NARROW, LIKELY, GROWN = 5, 6, 10.0, 0.8, 2.0
_AROUND = (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.5)
"""Factors about a size at which neighbouring models are looked up for a message."""
SEARCH_SEED = 100_000
"""Seeds of the search begin here: no run of the sweep shares them."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What a study is asked to be."""

    recipe: str
    training: TrainConfig
    """The recipe with its overrides and stores."""
    sizes: tuple[float, ...]
    """Parameters of the transformer blocks; the nearest rungs of the ladder are taken."""
    amounts: tuple[float, ...]
    unit: Unit = "episodes"
    num_seeds: int = 2
    subsets: Subsets = "shared"
    holdout: HoldOutKind = "top"
    budget_s: float | None = None
    """Seconds on this machine with `workers` runs at a time."""
    budget_flops: float | None = None
    steps: int | None = None
    """Steps at the largest amount; None for as many as the budget affords."""
    floor_steps: int = 200
    most_passes: float = 100.0
    """Passes over the data that the budget is spent on at most."""
    multiples: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Factors on the recipe's learning rates that are tried for each size; none for no search."""
    validation_fraction: float = 0.05
    workers: int = 1
    offline: OfflineConfig = field(default_factory=lambda: OfflineConfig(samples=2, max_decisions=300))
    assumed: Assumption = field(default_factory=Assumption)
    keep_checkpoints: bool = False
    longer: float = 2.0
    """Factor on the steps of the runs that are made once more, to see whether training is enough; 0 for none."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        for name, budget in (("budget-hours", self.budget_s), ("budget-flops", self.budget_flops)):
            if budget is not None and not 0 < budget < float("inf"):
                raise ConfigError(f"--{name}: expected more than 0, got {budget:g}")
        if (self.budget_s is None) == (self.budget_flops is None):
            raise ConfigError("give one budget: --budget-hours H (of this machine) or --budget-flops C")
        for name, values in (("sizes", self.sizes), ("amounts", self.amounts)):
            if not values or min(values) <= 0 or len(set(values)) < len(values) or not np.isfinite(values).all():
                raise ConfigError(f"--{name}: expected different positive numbers, got {values}")
        if self.unit == "episodes" and any(value != int(value) for value in self.amounts):
            raise ConfigError(
                f"--amounts: expected whole numbers of episodes, got {self.amounts}; or give --unit hours"
            )
        for name, count in (("seeds", self.num_seeds), ("floor-steps", self.floor_steps), ("workers", self.workers)):
            if count < 1:
                raise ConfigError(f"--{name}: expected at least 1, got {count}")
        if self.longer and not 1 < self.longer < float("inf"):
            raise ConfigError(f"--check-training: expected more than 1, or 0 for no check, got {self.longer:g}")
        if self.steps is not None and self.steps < self.floor_steps:
            raise ConfigError(f"--steps: expected at least --floor-steps {self.floor_steps}, got {self.steps}")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study with what it promises."""

    study: Study
    power: Power
    seconds: float
    """On this machine, with `workers` runs at a time; search and judging included."""
    flops: float
    """Of training, search included."""
    passes: float
    """How often a run at the largest amount sees each second of its data."""
    rules: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {
            "runs": len(self.study.runs()),
            "held_out_runs": sum(run.held_out for run in self.study.runs()),
            "hours": self.seconds / 3600,
            "flops": self.flops,
            "passes": self.passes,
            "power": self.power.to_dict(),
            "rules": [*self.rules],
            "warnings": [*self.warnings],
        }


def plan_study(config: PlanConfig, on_size: Callable[[int, int], object] | None = None) -> Plan:
    """Measure, size and weigh a study.

    Args:
        config: what is asked.
        on_size: called with how many sizes of how many have been timed.

    Raises:
        ConfigError: amounts beyond what is there, sizes that are the same model, a budget that affords nothing.
        StoreError: a store is damaged.
    """
    amounts = tuple(sorted(config.amounts))
    pool = open_pool(config.training, config.validation_fraction if config.multiples else 0.0)
    check_amounts(pool, amounts, config.unit)
    training = replace(config.training, threads=config.training.threads or 1, loader_workers=0)
    sizes, bench = _measured(config, training, pool, on_size)
    draft = Study(
        recipe=config.recipe,
        training=training,
        sizes=sizes,
        amounts=tuple(StudyAmount(amount=amount, steps=1) for amount in amounts),
        unit=config.unit,
        num_seeds=config.num_seeds,
        subsets=config.subsets,
        holdout=config.holdout,
        validation_fraction=config.validation_fraction if config.multiples else 0.0,
        offline=config.offline,
        episodes_hash=pool.hashes(),
        keep_checkpoints=config.keep_checkpoints,
        longer=config.longer,
    )
    share = amounts[-1] / pool.most(config.unit)
    hours = sum(one.duration_s for found in pool.training.values() for one in found) / 3600 * share
    pass_steps = max(hours * 3600 / max(bench.batch.experience_s * training.num_microbatches, 1e-9), 1e-9)
    study = _affordable(config, draft, pass_steps)
    runs = study.runs()
    power = power_analysis(
        np.asarray([float(study.sizes[run.size].size) for run in runs]),
        np.asarray([study.amounts[run.amount].amount for run in runs]),
        np.asarray([run.held_out for run in runs]),
        config.assumed,
    )
    seconds, flops = cost(study, config.workers)
    passes = study.amounts[-1].steps / pass_steps
    return Plan(
        study=study,
        power=power,
        seconds=seconds,
        flops=flops,
        passes=passes,
        rules=_rules(study),
        warnings=tuple(_warnings(study, power, passes, config, seconds, flops)),
    )


def check_amounts(pool: Pool, amounts: Sequence[float], unit: Unit) -> None:
    """Raise ConfigError where an amount exceeds what every robot has."""
    most = pool.most(unit)
    if max(amounts) > most * (1 + 1e-9):
        per = {robot: len(found) for robot, found in pool.training.items()}
        raise ConfigError(
            f"--amounts: {max(amounts):g} {unit} a robot exceed what is available for training ({most:g}; training "
            f"episodes: {', '.join(f'{robot} {count}' for robot, count in per.items())}); collect more, or ask for less"
        )


def with_steps(study: Study, top: int, floor: int, multiples: tuple[float, ...]) -> Study:
    """Return the study with the rule of steps applied, and its search at the middle amount that is not held out."""
    largest = study.amounts[-1].amount
    amounts = tuple(replace(one, steps=max(floor, round(top * one.amount / largest))) for one in study.amounts)
    search = None
    if multiples:
        free = [one for place, one in enumerate(amounts) if not study.is_held_out(0, place)] or list(amounts)
        middle = free[len(free) // 2]
        search = RateSearch(
            multiples=multiples, amount=middle.amount, steps=middle.steps, seed=study.training.seed + SEARCH_SEED
        )
    return replace(study, amounts=amounts, search=search)


def cost(study: Study, workers: int) -> tuple[float, float]:
    """Return seconds with so many runs at a time, and FLOPs; of sweep, search and longer runs."""
    tasks = [(run.size, study.amounts[run.amount].steps) for run in study.runs()]
    tasks += [(run.size, study.longer_steps(run)) for run in study.checked_runs()]
    if study.search is not None:
        tasks += [(size, study.search.steps) for size in range(len(study.sizes)) for _ in study.search.multiples]
    seconds = [study.planned_s(size, steps) for size, steps in tasks]
    flops = sum(steps * study.sizes[size].step_flops for size, steps in tasks)
    return max(sum(seconds) / workers, max(seconds)), flops


def _affordable(config: PlanConfig, draft: Study, pass_steps: float) -> Study:
    """Return the study with the most steps that the budget affords, or those asked for."""

    def of(top: int) -> Study:
        return with_steps(draft, top, config.floor_steps, config.multiples)

    def fits(top: int) -> bool:
        seconds, flops = cost(of(top), config.workers)
        return seconds <= (config.budget_s or np.inf) and flops <= (config.budget_flops or np.inf)

    least = config.steps or config.floor_steps
    if not fits(least):
        seconds, flops = cost(of(least), config.workers)
        raise ConfigError(
            f"the budget is too small for this study: {len(draft.runs())} runs with {least} steps at the largest "
            "amount "
            f"take {seconds / 3600:.3g} hours with {config.workers} at a time, or {flops:.3g} FLOPs; give a larger "
            "budget, fewer or smaller sizes, fewer seeds, or less --floor-steps"
        )
    if config.steps is not None:
        return of(config.steps)
    low, high = least, max(least, round(config.most_passes * pass_steps))
    if fits(high):
        return of(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return of(low)


def _measured(
    config: PlanConfig, training: TrainConfig, pool: Pool, on_size: Callable[[int, int], object] | None
) -> tuple[tuple[StudySize, ...], Bench]:
    rungs = [(size, ladder(size, training.model)) for size in sorted(config.sizes)]
    models = {model.width: model for _, model in rungs}
    if len(models) < len(rungs):
        twice = next(pair for pair in pairwise(rungs) if pair[0][1].width == pair[1][1].width)
        steps = sorted({block_parameters(ladder(twice[0][0] * factor, training.model)) for factor in _AROUND})
        raise ConfigError(
            f"--sizes: {twice[0][0]:g} and {twice[1][0]:g} give the same model, with "
            f"{block_parameters(twice[0][1])} parameters in its blocks; models near them have "
            f"{', '.join(str(each) for each in steps)}"
        )
    bench = open_bench(training, pool)
    found: list[StudySize] = []
    for model in models.values():
        if on_size is not None:
            on_size(len(found), len(models))
        found.append(measure(training, model, bench, config.offline))
    if on_size is not None:
        on_size(len(found), len(models))
    return tuple(found), bench


def _rules(study: Study) -> tuple[str, ...]:
    floor, top = min(one.steps for one in study.amounts), study.amounts[-1]
    rules = [
        f"steps: max({floor}, {top.steps} x data / {top.amount:g} {study.unit}), equal for all sizes and seeds; the "
        "learning rate decays at the end of each run",
        f"evaluation: the same decisions of the same held-out episodes for all runs ({study.offline.samples} samples "
        f"each of at most {study.offline.max_decisions} decisions a robot)",
        f"smaller amounts are subsets of larger ones, and seeds "
        f"{'share them' if study.subsets == 'shared' else 'draw their own'}",
    ]
    if study.search is not None:
        rules.append(
            f"learning rate: by size, the best of {', '.join(f'{m:g}' for m in study.search.multiples)} x the recipe's "
            f"(further while the best is at an end) at {study.search.amount:g} {study.unit}, on validation episodes "
            "that no run trains or is judged on"
        )
    for run in study.checked_runs()[:1]:
        rules.append(
            f"training check: {study.longer:g} times the steps at {study.amounts[run.amount].amount:g} {study.unit}, "
            "smallest and largest size that is not held out; what that gains is training, not data"
        )
    if study.holdout != "none":
        rules.append("held-out runs wait for --release-holdout, so that you predict them before they run")
    return tuple(rules)


def _warnings(study: Study, power: Power, passes: float, config: PlanConfig, seconds: float, flops: float) -> list[str]:
    """Say what the design cannot tell."""
    amounts, words = [one.amount for one in study.amounts], []
    if len(amounts) < FEW_AMOUNTS:
        words.append(f"Only {len(amounts)} amounts of data cannot show whether the curve bends; plan at least 5.")
    if amounts[-1] < NARROW * amounts[0]:
        words.append(
            f"Only {amounts[-1] / amounts[0]:.1f}x between the smallest and the largest amount of data: exponents "
            "are imprecise."
        )
    if study.num_seeds < 2:
        words.append("With one seed, the noise between seeds is not measured, only scatter about the law.")
    elif study.subsets == "shared":
        words.append("Seeds share their episodes, so intervals leave out the variance from drawing episodes.")
    if power.law != "additive":
        words.append("Fewer than 3 sizes remain beside the held-out one, too few for a law of size.")
    if power.law == "power":
        words.append("Only three runs remain beside the held-out ones, too few to show a floor.")
    if len(study.sizes) < FEW_SIZES:
        words.append(f"A threshold of ossification needs at least 6 sizes; the study has {len(study.sizes)}.")
    for name, share in power.excludes_zero.items():
        if share < LIKELY:
            words.append(
                f"If the assumed law is true, the interval of {name} excludes 0 in only {100 * share:.0f}% of "
                "simulated studies."
            )
    if power.verified is not None and power.verified < LIKELY:
        words.append(
            "If the assumed law is true, the held-out runs are predicted within 5% in only "
            f"{100 * power.verified:.0f}% of "
            "worlds."
        )
    steps = [one.steps for one in study.amounts]
    if max(steps) > GROWN * min(steps):
        words.append(
            f"Steps grow {max(steps) / min(steps):.0f}x with data, so exponents describe data and training together "
            f"unless {'the training check' if study.longer else '--check-training 2'} shows that more steps no longer "
            "help; or plan equal steps (--steps N --floor-steps N)."
        )
    at_floor = sum(one.steps == config.floor_steps for one in study.amounts)
    if 1 < at_floor < len(amounts):
        words.append(
            f"{at_floor} of {len(amounts)} amounts train at the floor of {config.floor_steps} steps: they see their "
            "data more often than the others."
        )
    if passes < 1:
        words.append(f"The largest amount is seen only {passes:.2f} times: its runs lack training, not data.")
    if passes > config.most_passes:
        words.append(
            f"The largest amount is seen {passes:.0f} times, more than {config.most_passes:g}: it may overfit."
        )
    left = 1 - max(seconds / (config.budget_s or np.inf), flops / (config.budget_flops or np.inf))
    if left > 0.5:
        words.append(f"{100 * left:.0f}% of the budget remains.")
    return words
