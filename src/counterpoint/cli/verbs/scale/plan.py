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
    """Arguments of `scale plan`; settings of the recipe are overridden by their dotted paths."""

    out: Path
    """Folder of the study; `study.json` in it is frozen."""
    sizes: tuple[float, ...]
    """Sizes of the model in parameters of its blocks, such as 3e4 1e5 3e5; the nearest models are taken."""
    amounts: tuple[float, ...]
    """Amounts of data a robot, such as 6 12 25 50 100 200; each is a subset of the larger ones."""
    budget_hours: float | None = None
    """Hours of this machine that the whole study may take; steps are chosen to use them. This or --budget-flops."""
    budget_flops: float | None = None
    """FLOPs of training that the whole study may take. This or --budget-hours."""
    data: tuple[Path, ...] = ()
    """Episode stores."""
    mixture: Path | None = None
    """Folder that `counterpoint mix` wrote, instead of stores."""
    recipe: str = "demo"
    """Recipe of the runs, see `counterpoint train list`; its model gives what sizes do not decide."""
    unit: Literal["episodes", "hours"] = "episodes"
    """What --amounts counts."""
    seeds: int = 2
    """Runs of each size and amount."""
    subsets: Literal["shared", "by_seed"] = "shared"
    """Whether seeds train on the same episodes or each draws its own nested subsets."""
    holdout: Literal["top", "data", "none"] = "top"
    """Runs that are predicted first: the largest amount and the largest size, only the largest amount, or none."""
    steps: int | None = None
    """Optimizer steps at the largest amount; as many as the budget affords where left out."""
    floor_steps: int = 200
    """Least steps of any run; above it steps are proportional to data."""
    most_passes: float = 100.0
    """Passes over the data beyond which no budget is spent."""
    rates: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Multiples of the recipe's learning rates tried for each size before the sweep; one number for no search."""
    validation: float = 0.05
    """Share of the training episodes on which learning rates are chosen; no run trains or is judged on them."""
    workers: int = 0
    """Runs at the same time, for the budget; 0 for one a core."""
    decisions: int = 300
    """Held-out decisions a robot on which every run is judged."""
    assume_floor: float = 0.05
    """Power analysis: error that nothing removes."""
    assume_size_term: float = 0.1
    """Power analysis: what the middle size adds to the error."""
    assume_data_term: float = 0.25
    """Power analysis: what the middle amount of data adds."""
    assume_alpha: float = 0.3
    """Power analysis: exponent of size."""
    assume_beta: float = 0.4
    """Power analysis: exponent of data."""
    noise: float = 0.03
    """Power analysis: standard deviation of ln error between seeds."""
    keep_checkpoints: bool = False
    """Keep the checkpoints of runs after they are judged."""
    check_training: float = 2.0
    """Make the smallest and the largest size once more with this many times the steps, at the most data that is not
    held out, to see whether runs are trained enough; 0 for no check."""


def run_plan(arguments: PlanArguments) -> Reply:
    """Plan a study: measure, size it to the budget, say what it can tell, and freeze it."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.study.plan import plan_study
    from counterpoint.scaling.study.study import save_study

    folder = arguments.out
    if (folder / "study.json").exists():
        raise ConfigError(f"{folder}: there is a study already, and a study is frozen; give another --out")
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
        f"{len(study.runs())} runs, {held} of them held out: {plan.seconds / 3600:.3g} hours of this machine with "
        f"{config.workers} at a time, {plan.flops:.3g} FLOPs; {plan.passes:.1f} passes over the largest amount",
        "",
        table(("size", "all parameters", "width x layers", "ms a step", "FLOPs a step", "run-hours"), sizes),
        "",
        table((f"{study.unit} a robot", "steps"), amounts),
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
            f"  held-out runs predicted within 5%: {100 * power.verified:.0f}% of worlds (missed by "
            f"{100 * power.missed:.1f}% in the middle one)"
        )
    lines += ["", *(f"warning: {warning}" for warning in plan.warnings), f"next: counterpoint scale run {folder}"]
    return "\n".join(lines)


VERB = Verb(
    example="counterpoint scale plan --data data/sim --budget-hours 8 --sizes 3e4 1e5 3e5 1e6 3e6 "
    "--amounts 6 12 25 50 100 200 --seeds 2 --out study",
    arguments=PlanArguments,
    run=run_plan,
)
