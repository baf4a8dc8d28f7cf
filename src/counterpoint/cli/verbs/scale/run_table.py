"""Flags of the verbs that read a table of runs, and the table they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from counterpoint.cli.verb import VerbArguments

if TYPE_CHECKING:
    from counterpoint.scaling.runs.table import RunTable


@dataclass(frozen=True, kw_only=True)
class TableArguments(VerbArguments):
    """The roles of the columns in a table of runs; by default found by their names."""

    runs: Positional[Path]
    """Table of runs: CSV, Parquet or JSON lines, one row per measurement."""
    size: str | None = None
    """Column of the model size (parameters). Like --amount and --loss, it may be arithmetic on columns."""
    amount: str | None = None
    """Column of the amount of data (hours, episodes, environments, tokens, ...), or such as flops / (6 * params)."""
    loss: str | None = None
    """Column of the error, positive. For scores, use `1 - score`; put names with spaces in backticks."""
    seed: str | None = None
    """Column of the seed."""
    run: str | None = None
    """Column of the run's name, shared by the checkpoints of one run."""
    drop: str | None = None
    """Rows to leave out, for example `size < 1e6 or seed == 3`; put names with spaces in backticks."""


def read_table(
    arguments: TableArguments, *, needs_size: bool | None, needs_unique: bool = False, unique: str | None = None
) -> RunTable:
    """Read the table that the flags name.

    `needs_size` None reads the size where the table has one that varies.
    """
    from counterpoint.scaling.runs.table import read_runs

    def read(with_size: bool) -> RunTable:
        return read_runs(
            arguments.runs,
            needs_size=with_size,
            needs_unique=needs_unique,
            size=arguments.size,
            data=arguments.amount,
            loss=arguments.loss,
            unique=unique,
            seed=arguments.seed,
            run=arguments.run,
            drop=arguments.drop,
        )

    if needs_size is not None:
        return read(needs_size)
    plain = read(False)
    if "size" not in plain.columns:
        return plain
    varies = len(set(plain.others[plain.columns["size"]].tolist())) > 1
    return read(True) if varies else plain
