"""The verb `train`: train a policy by a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional

from counterpoint.cli.verb import OverridableArguments, Reply, Verb, table
from counterpoint.core.config import settings, to_dict


@dataclass(frozen=True, kw_only=True)
class TrainArguments(OverridableArguments):
    """Arguments of `train`."""

    recipe: Positional[str]
    """Name of a recipe, or `list` to list them. Override any setting by its dotted path, for example --model.width 128;
    --explain lists them."""
    resume: bool = False
    """Resume from the newest checkpoint in the run folder."""
    explain: bool = False
    """Print every setting with its value and meaning, then the data, size and cost of the run, without training."""


def run_train(arguments: TrainArguments) -> Reply:
    """Train by a recipe, or explain it."""
    from counterpoint.train.recipes import RECIPES, resolve

    if arguments.recipe == "list":
        rows = [(name, (recipe.__doc__ or "").strip().splitlines()[0]) for name, recipe in RECIPES.items()]
        return Reply(data={"recipes": [name for name, _ in rows]}, text=table(("recipe", "purpose"), rows))
    config = resolve(arguments.recipe, arguments.overrides)
    if arguments.explain:
        from counterpoint.train.explain import explain

        lines = [
            f"--{each.path} {each.value or repr('')}    ({each.expects})\n    {each.doc}" for each in settings(config)
        ]
        return Reply(data={"config": to_dict(config)}, text="\n".join([*lines, "", explain(config)]))
    from counterpoint.train.trainer import train

    result = train(config, resume=arguments.resume)
    state = "finished" if result.is_finished else "stopped; resume with the same command and --resume"
    text = f"{state} after {result.step} steps, {result.elapsed_s:.0f} s; checkpoint: {result.checkpoint}"
    return Reply(
        data={
            "checkpoint": str(result.checkpoint),
            "step": result.step,
            "elapsed_s": result.elapsed_s,
            "is_finished": result.is_finished,
            "metrics": result.metrics,
        },
        text=text,
    )


VERB = Verb(
    example="counterpoint train single_robot --data.stores data/ur5e --steps 500 --out runs/first",
    arguments=TrainArguments,
    run=run_train,
    resume="run the same command again with --resume to continue from the newest checkpoint.",
)
