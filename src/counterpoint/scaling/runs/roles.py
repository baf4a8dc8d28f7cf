"""Which column of a table of runs is what, told by its name.

Names are compared without case and punctuation; what is not found is asked for with the nearest names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from counterpoint.scaling.runs.units import unit_of

NAMES: dict[str, tuple[str, ...]] = {
    "size": ("size", "params", "parameters", "num_parameters", "num_params", "n_params", "model_size", "n"),
    "data": (
        "data", "hours", "episodes", "frames", "tokens", "training_tokens", "train_tokens", "num_tokens", "n_tokens",
        "num_episodes", "demonstrations", "demos", "dataset_size", "training_dataset_size", "d",
    ),
    "loss": (
        "loss", "error", "next_action_mse", "val_loss", "test_loss", "validation_loss", "eval_loss", "test_error",
        "val_error", "test_cross_entropy", "cross_entropy", "l", "next_action_error", "mse",
    ),
    "unique": ("unique", "unique_data", "unique_hours", "unique_episodes", "unique_tokens", "u"),
    "seed": ("seed",),
    "run": ("run", "run_id", "run_name", "name"),
}  # fmt: skip
"""Names by which a column is found when it is not given; compared without case and punctuation."""
KINDS = ("environments", "objects", "robots", "sites", "tasks", "embodiments", "operators")
"""Columns that count different things in the data; `num_` or `n_` may stand before. Runs that differ in one differ."""


def plain(name: str) -> str:
    """Return a column's name without case and punctuation: `Model Size` and `model-size` are `model_size`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def counted(name: str) -> str:
    """Return what a column's name says that it counts: `num_environments` counts `environments`."""
    return plain(name).removeprefix("num_").removeprefix("n_")


def known_as(role: str, known: Sequence[str]) -> str | None:
    """Return the column that has one of the names of a role, or None."""
    by_name = {plain(column): column for column in reversed(known)}
    return next((by_name[each] for each in NAMES[role] if each in by_name), None)


def like(role: str, known: Sequence[str]) -> list[str]:
    """Return the columns whose names are like those of a role."""
    names = [name for name in NAMES[role] if len(name) > 1]
    return [
        column
        for column in known
        if all(known_as(other, [column]) is None for other in NAMES)
        if difflib.get_close_matches(plain(column), names, n=1, cutoff=0.75)
        or set(names) & set(plain(column).split("_"))
        or (role == "data" and (unit_of(column) is not None or counted(column) in KINDS))
    ]
