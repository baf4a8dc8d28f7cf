"""What the columns of a table are, told by their names: errors, divergences, task sets, pretraining, fine-tuning data.

Names are compared without case and punctuation: `Task set`, `task_set` and `task-set` are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.runs.expression import Column
from counterpoint.scaling.runs.roles import NAMES, plain
from counterpoint.scaling.runs.rows import nearest
from counterpoint.scaling.runs.units import unit_of

TASKS = (
    "task_set", "taskset", "task", "tasks", "task_group", "task_suite", "task_name", "eval_task", "eval_task_set",
    "eval_set", "evaluation", "benchmark", "suite", "test_set",
)  # fmt: skip
PRETRAINING = (
    "pretrain", "pretraining", "pretrained", "pretrained_on", "pretraining_set", "pretrain_set", "pretraining_data",
    "pretrain_data", "pretraining_dataset", "pretrain_dataset", "pretraining_mixture", "pretrain_mixture", "dataset",
    "data_set", "datasets", "mixture", "data_mixture", "init", "initialization", "initialisation",
)  # fmt: skip
SCRATCH = (
    "", "none", "no", "scratch", "from scratch", "from_scratch", "from-scratch", "false", "nan", "0", "0.0", "-",
    "n/a", "null", "no pretraining", "no_pretraining", "random init", "random_init",
)  # fmt: skip
"""How a table says that a run was not pretrained; compared without case."""
_ERROR = re.compile(r"(?:^|_)(?:errors?|r?mse|mae|loss|losses|nll)(?:_|$)|^l_")
_KL = re.compile(r"(?:^|_)(kl|divergence)(?:_|$)")
_SPREAD = re.compile(r"_(low|lower|high|upper|se|sem|std|stderr|ci\d*|min|max)$")
_FINE_TUNING = re.compile(r"(?:^|_)(fine_?tun\w*|post_?train\w*|d_?f|ft)(?:_|$)")
_SETTINGS = {name for names in NAMES.values() for name in names} | {
    "step", "steps", "epoch", "epochs", "flops", "learning_rate", "lr", "batch_size", "id", "index", "unnamed_0", "",
}  # fmt: skip
_METRIC_WORDS = re.compile(
    r"(reverse|forward|next|action|prediction|val|test|eval|errors?|r?mse|mae|loss|nll|kl|l)", re.I
)


def known_column(columns: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the column with the first of some names, or None."""
    by_name = {plain(each): each for each in columns}
    return next((by_name[each] for each in names if each in by_name), None)


def is_divergence(name: str) -> bool:
    """Whether a column's name says that it is a divergence, such as `reverse_kl`."""
    return _KL.search(plain(name)) is not None


def is_error(name: str) -> bool:
    """Whether a column's name says that it is an error, such as `pick_next_action_mse`."""
    return _ERROR.search(plain(name)) is not None and not is_divergence(name)


def is_setting(name: str) -> bool:
    """Whether a column's name says that it is an amount, a size, a seed or a name, and so neither error nor source."""
    return plain(name) in _SETTINGS or unit_of(name) is not None


def without_metric(name: str) -> str:
    """Return a column's name without the words that say what was measured: `pick` of `pick_next_action_mse`."""
    words = [word for word in re.split(r"[\s_./:()\[\]-]+", name) if word and not _METRIC_WORDS.fullmatch(word)]
    return "_".join(words) or name


def task_column(path: Path, columns: Mapping[str, Column], name: str | None) -> str | None:
    """Return which column names task sets, or None; raises ConfigError where the one asked for is not there."""
    if name is not None and name not in columns:
        raise ConfigError(f"{path}: no column {name!r} for task sets; {nearest(name, columns)}")
    return name or known_column(columns, TASKS)


def pretraining_column(path: Path, columns: Mapping[str, Column], name: str | None) -> str:
    """Return which column says what a run was pretrained on; raises ConfigError, offering the nearest."""
    if name is not None and name not in columns:
        raise ConfigError(f"{path}: no column {name!r} for pretraining; {nearest(name, columns)}")
    found = name or known_column(columns, PRETRAINING)
    if found is None:
        like = [each for each in columns if plain(each).startswith(("pretrain", "pre_train"))]
        like = like or [each for each in columns if plain(each) == "data" and columns[each].dtype.kind not in "fiu"]
        found = like[0] if len(like) == 1 else None
    if found is None:
        raise ConfigError(
            f"{path}: no column says what the runs were pretrained on; the columns are {', '.join(columns)}. Name "
            "it with --pretrain"
        )
    return found


def labels(column: Column) -> NDArray[np.str_]:
    """Return the pretraining set of each row; '' for none."""
    words = ["" if each is None else str(each).strip() for each in column.tolist()]
    return np.asarray(["" if word.lower() in SCRATCH else word for word in words], dtype=np.str_)


def fine_tuning_column(path: Path, columns: Mapping[str, Column], name: str | None) -> str | None:
    """Return which column is the amount of fine-tuning data, or None where there is none.

    A column that says fine-tuning (`finetune_hours`, `D_F`) goes before one that only says an amount (`hours`).

    Raises:
        ConfigError: several say it.
    """
    if name is not None:
        return name
    found = [
        each for each, column in columns.items()
        if column.dtype.kind in "fiu" and _FINE_TUNING.search(plain(each)) and not is_error(each)
        and not is_divergence(each)
    ]  # fmt: skip
    if len(found) > 1:
        raise ConfigError(
            f"{path}: which of {', '.join(found)} is the amount of fine-tuning data? Name it with --amount"
        )
    if found:
        return found[0]
    known = known_column(columns, NAMES["data"])
    is_words = known is not None and plain(known) == "data" and not any(map(_is_number, columns[known].tolist()))
    return None if is_words else known  # words are names of data sets, no amounts


def measured_columns(path: Path, columns: Mapping[str, Column], apart: Iterable[str | None]) -> list[str]:
    """Return the columns that are errors or divergences: those that say so, else all numbers that are nothing else.

    Raises:
        ConfigError: one that says so holds no numbers.
    """
    others = [each for each in columns if each not in apart]
    said = [
        each for each in others if (is_error(each) or is_divergence(each)) and not _SPREAD.search(plain(each))
    ]  # fmt: skip
    for each in said:
        if columns[each].dtype.kind not in "fiu":
            wrong = next((str(cell) for cell in columns[each].tolist() if not _is_number(cell)), "")
            raise ConfigError(f"{path}: column {each!r} is not numbers ({wrong!r}); give plain numbers of one unit")
    if said:
        return said
    return [each for each in others if columns[each].dtype.kind in "fiu" and not is_setting(each)]


def guessed_errors(names: Iterable[str]) -> list[str]:
    """Return a warning where columns count as errors though their names do not say so."""
    guessed = [each for each in names if not (is_error(each) or is_divergence(each))]
    shown = ", ".join(guessed[:12]) + (", ..." if len(guessed) > 12 else "")
    return [f"assumed to be errors, although their names do not say so: {shown}"] if guessed else []


def _is_number(cell: object) -> bool:
    try:
        float(str(cell))
    except ValueError:
        return False
    return True
