"""The verb `scale plan`: a scaling study that fits a budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from counterpoint.cli.verb import OverridableArguments, Reply, Verb, table
from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    from counterpoint.scaling.study.plan import Plan, PlanConfig


@dataclass(frozen=True, kw_only=True)
class PlanArguments(OverridableArguments):
    """Arguments of `scale plan`; dotted paths override settings of the recipe."""

    out: Path
    """Folder to create for the study; its plan, study.json, never changes."""
    sizes: tuple[float, ...]
    """Model sizes in parameters of the blocks, such as 3e4 1e5 3e5; each becomes the nearest possible model."""
    amounts: tuple[float, ...]
    """Amounts of data per robot, such as 6 12 25 50 100 200; each is a subset of the larger ones."""
    budget_hours: float | None = None
    """Hours that the study may take on this machine; they decide the number of steps. Give this or --budget-flops."""
    budget_flops: float | None = None
    """Training FLOPs that the study may take. Give this or --budget-hours."""
    data: tuple[Path, ...] = ()
    """Stores to read episodes from."""
    mixture: Path | None = None
    """Folder written by `counterpoint mix`, instead of --data."""
    recipe: str = "demo"
    """Recipe of the runs; `counterpoint train list` lists them."""
    unit: Literal["episodes", "hours"] = "episodes"
    """What --amounts counts."""
    seeds: int = 2
    """Runs per size and amount."""
    subsets: Literal["shared", "by_seed"] = "shared"
    """Whether all seeds train on the same episodes, or each draws its own nested subsets."""
    holdout: Literal["top", "data", "none"] = "top"
    """Runs to hold out and predict: those of the largest amount or the largest size (`top`), of the largest amount
    (`data`), or none."""
    steps: int | None = None
    """Optimizer steps at the largest amount. Default: as many as the budget allows."""
    floor_steps: int = 200
    """Minimum steps of a run; above it, steps are proportional to data."""
    most_passes: float = 100.0
    """Maximum passes over the data."""
    rates: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Multiples of the recipe's learning rates to try for each size first; one number skips the search."""
    validation: float = 0.05
    """Share of the training episodes reserved for choosing learning rates."""
    workers: int = 0
    """Runs at the same time, for the budget; 0 means one per core."""
    decisions: int = 300
    """Held-out decisions per robot on which every run is evaluated."""
    assume_floor: float = 0.05
    """Power analysis: irreducible error."""
    assume_size_term: float = 0.1
    """Power analysis: error that the middle size adds."""
    assume_data_term: float = 0.25
    """Power analysis: error that the middle amount of data adds."""
    assume_alpha: float = 0.3
    """Power analysis: exponent of size."""
    assume_beta: float = 0.4
    """Power analysis: exponent of data."""
    noise: float = 0.03
    """Power analysis: standard deviation of ln error between seeds."""
    keep_checkpoints: bool = False
    """Keep the checkpoints of runs after evaluation."""
    check_training: float = 2.0
    """Repeat the smallest and the largest size with this many times the steps, on the largest amount that is not held
    out, to check whether runs are trained long enough; 0 skips the check."""


def run_plan(arguments: PlanArguments) -> Reply:
    """Measure step times, fit the study to the budget, estimate its power, and write it."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.study.definition import save_study
    from counterpoint.scaling.study.plan import plan_study

    folder = arguments.out
    if (folder / "study.json").exists():
        raise ConfigError(f"{folder}: holds a study already, and a study never changes; give another --out")
    config = plan_config(arguments)
    with Progress("time sizes", unit="size", leave=False) as progress:
        plan = plan_study(config, progress.reach)
    path = save_study(plan.study, folder, plan.to_dict())
    return Reply(data={"study": str(path), **plan.to_dict()}, text=_described(plan, config, folder))


def plan_config(arguments: PlanArguments) -> PlanConfig:
    """Return what the command line asks for.

    Raises:
        UnknownNameError: no such recipe. ConfigError: no stores, a bad override, or values out of range.
    """
    from counterpoint.engine import LocalEngine
    from counterpoint.evaluate.offline import OfflineConfig
    from counterpoint.scaling.study.plan import PlanConfig
    from counterpoint.scaling.study.power import Assumption
    from counterpoint.train.recipes import resolve

    training = resolve(arguments.recipe, arguments.overrides)
    stores = tuple(path.expanduser().resolve() for path in arguments.data or training.data.stores)
    mixture = str(arguments.mixture.expanduser().resolve()) if arguments.mixture else training.data.mixture
    if not stores and not mixture:
        raise ConfigError(
            "scale plan: expected --data STORE... or --mixture FOLDER, got neither. "
            "Create a store with counterpoint ingest or counterpoint collect"
        )
    return PlanConfig(
        recipe=arguments.recipe,
        training=replace(training, data=replace(training.data, stores=stores, mixture=mixture)),
        sizes=arguments.sizes,
        amounts=arguments.amounts,
        unit=arguments.unit,
        num_seeds=arguments.seeds,
        subsets=arguments.subsets,
        holdout=arguments.holdout,
        budget_s=None if arguments.budget_hours is None else arguments.budget_hours * 3600,
        budget_flops=arguments.budget_flops,
        steps=arguments.steps,
        floor_steps=arguments.floor_steps,
        most_passes=arguments.most_passes,
        multiples=arguments.rates if len(arguments.rates) > 1 else (),
        validation_fraction=arguments.validation,
        workers=arguments.workers or LocalEngine().workers,
        offline=OfflineConfig(samples=2, max_decisions=arguments.decisions),
        assumed=Assumption(
            floor=arguments.assume_floor,
            size_term=arguments.assume_size_term,
            data_term=arguments.assume_data_term,
            alpha=arguments.assume_alpha,
            beta=arguments.assume_beta,
            noise=arguments.noise,
        ),
        keep_checkpoints=arguments.keep_checkpoints,
        longer=arguments.check_training,
    )


def _described(plan: Plan, config: PlanConfig, folder: Path) -> str:
    study, power = plan.study, plan.power
    sizes = [
        (
            each.size,
            each.total_parameters,
            f"{each.model.width} x {each.model.layers}",
            round(1000 * each.step_s, 1),
            each.step_flops,
            sum(study.planned_s(place, one.steps) for one in study.amounts) * study.num_seeds / 3600,
        )
        for place, each in enumerate(study.sizes)
    ]
    amounts = [(one.amount, one.steps) for one in study.amounts]
    held = sum(run.held_out for run in study.runs())
    errors = ", ".join(f"{name} {power.truth[name]:.3g} +- {se:.2g}" for name, se in power.standard_errors.items())
    shares = ", ".join(f"{name} {100 * share:.0f}%" for name, share in power.excludes_zero.items())
    lines = [
        f"{len(study.runs())} runs, {held} of them held out: {plan.seconds / 3600:.3g} hours on this machine with "
        f"{config.workers} at a time, {plan.flops:.3g} FLOPs; {plan.passes:.1f} passes over the largest amount",
        "",
        table(("size", "all parameters", "width x layers", "ms per step", "FLOPs per step", "run-hours"), sizes),
        "",
        table((f"{study.unit} per robot", "steps"), amounts),
        "",
        *(f"rule: {rule}" for rule in plan.rules),
        "",
        f"power, in {power.worlds} worlds of the assumed law (fitted: {power.law}; noise of ln error "
        f"{config.assumed.noise:g}):",
        f"  expected standard errors: {errors}",
        f"  95% interval of the exponent excludes 0: {shares}",
    ]
    if power.verified is not None and power.missed is not None:
        lines.append(
            f"  held-out runs predicted within 5% in {100 * power.verified:.0f}% of worlds (median error "
            f"{100 * power.missed:.1f}%)"
        )
    lines += ["", *(f"warning: {warning}" for warning in plan.warnings), f"next: counterpoint scale run {folder}"]
    return "\n".join(lines)


VERB = Verb(
    example="counterpoint scale plan --data data/sim --budget-hours 8 --sizes 3e4 1e5 3e5 1e6 3e6 "
    "--amounts 6 12 25 50 100 200 --seeds 2 --out study",
    arguments=PlanArguments,
    run=run_plan,
)
