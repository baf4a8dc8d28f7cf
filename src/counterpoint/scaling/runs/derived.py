"""Columns that a table does not have but its columns give: `1 - score`, or D = C / 6N from FLOPs and sizes.

Published tables often give scores where laws are of errors, and computing where laws are of data. Such a column is
written out by whoever fits, never guessed: what is guessed here is only which words to offer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np

from counterpoint.core.errors import CounterpointError
from counterpoint.scaling.runs.expression import Column, amounts
from counterpoint.scaling.runs.roles import plain

ARITHMETIC = "; a column may be arithmetic on others, names with spaces in backticks: 1 - `my score`"
"""Words to add where a name that is no column looks like arithmetic."""
_OPERATORS = re.compile(r"[-+*/%`(]")
_FLOPS = re.compile(r"(?:^|_)(?:flops?|compute)(?:_|$)|^c$")
_SIZE = re.compile(r"(?:^|_)(?:size|params?|parameters)(?:_|$)|^n$")
_SCORE = re.compile(r"(?:^|_)(?:scores?|success(?:es|ful)?|acc\d*|accuracy|solved|rewards?|returns?|pass)(?:_|$)")
_ERROR = re.compile(r"(?:^|_)(?:errors?|loss|losses|r?mse|mae|nll|gap|regret|brier)(?:_|$)")


def derived(table: Mapping[str, Column], asked: Iterable[str | None], rows: int) -> dict[str, Column]:
    """Return the columns that are asked for and not there, but are arithmetic on those that are."""
    found = {}
    for name in asked:
        if name is not None and name not in table and is_arithmetic(name):
            with suppress(CounterpointError):  # told by whoever looks for the column
                found[name] = amounts(name, table, rows)
    return found


def derivable(role: str, table: Mapping[str, Column]) -> str:
    """Return words that offer an expression for a column that is missing, or none."""
    names = {plain(name): name for name, column in table.items() if column.dtype.kind in "fiu"}
    flops = next((name for each, name in names.items() if _FLOPS.search(each)), None)
    size = next((name for each, name in names.items() if _SIZE.search(each)), None)
    if role == "data" and flops is not None and size is not None:
        return f"; D = C / 6N is --amount '{quoted(flops)} / (6 * {quoted(size)})'"
    score = next((name for each, name in names.items() if is_score(name)), None)
    if role == "loss" and score is not None:
        return f"; an error of scores is --loss '{error_of(score, table[score])}'"
    return ""


def is_arithmetic(asked: str) -> bool:
    """Whether a name holds operators."""
    return _OPERATORS.search(asked) is not None


def is_score(name: str) -> bool:
    """Whether a column's name says that more of it is better; `1 - score` does not."""
    return name[:1].isalpha() and _SCORE.search(plain(name)) is not None and _ERROR.search(plain(name)) is None


def error_of(name: str, column: Column) -> str:
    """Return the expression for the error of a score: 1 minus it, or of percent."""
    most = float(np.nanmax(column.astype(np.float64)))
    return f"1 - {quoted(name)}" if most <= 1 else f"1 - {quoted(name)} / 100"


def quoted(name: str) -> str:
    """Return a column's name as it stands in an expression."""
    return name if name.isidentifier() else f"`{name}`"
