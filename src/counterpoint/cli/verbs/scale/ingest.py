"""The verb `scale ingest`: runs logged by any tool in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional, UseAppendAction

from counterpoint.cli.flag_values import split_pairs
from counterpoint.cli.verb import Reply, Verb, VerbArguments
from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class IngestRunsArguments(VerbArguments):
    """Arguments of `scale ingest`."""

    sources: Positional[tuple[str, ...]]
    """Tables (CSV, Parquet, JSON lines), run records or folders of them, mlflow:FOLDER|sqlite:///FILE|http://HOST (and
    #EXPERIMENT), `wandb-export FILE` (CSV, JSON, JSON lines), tensorboard:LOGDIR."""
    into: Path
    """Table to write or to add to (Parquet)."""
    map: UseAppendAction[tuple[str, ...]] = ()
    """Which logged names are what, as size=n_params,data=hours,loss=val/loss; also seed, run, step, unique. All other
    names stay as they are."""
    all: bool = False
    """One row at each step at which the loss was logged (the run's name keeps them together), not one a run."""
    last: bool = False
    """One row a run: its last values. What happens where neither is said."""
    prefix: str = ""
    """Put before the names of the runs, where names of two sources would meet."""
    replace: bool = False
    """Let rows of the same run and step that came from elsewhere give way."""


def run_ingest(arguments: IngestRunsArguments) -> Reply:
    """Take runs into one table."""
    from counterpoint.scaling.importers.intake import take_in

    if arguments.all and arguments.last:
        raise ConfigError("--all and --last: expected one of them")
    found = take_in(
        _sources(arguments.sources),
        arguments.into,
        roles=split_pairs(arguments.map, "--map", "role=name"),
        every=arguments.all,
        prefix=arguments.prefix,
        replace_rows=arguments.replace,
    )
    played = ", ".join(f"{role} = {name}" for role, name in found.columns.items())
    lines = [
        f"{found.into}: {found.rows} rows of {found.runs} runs; {found.added} added, {found.replaced} replaced, "
        f"{found.unchanged} unchanged",
        f"columns: {played or 'none known to scale fit'}",
        *(f"left out ({reason}): {count}" for reason, count in found.left_out.items()),
        *(f"warning: {warning}" for warning in found.warnings),
        f"next: counterpoint scale fit {found.into}",
    ]
    return Reply(data=found.to_dict(), text="\n".join(lines))


def _sources(words: Sequence[str]) -> list[str]:
    """Read `wandb-export FILE` as one source."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("wandb-export", "wandb"):
            if not rest:
                raise ConfigError(f"{word}: expected a file after it")
            word = f"wandb:{rest.pop(0)}"
        found.append(word)
    if not found:
        raise ConfigError("scale ingest: expected a source, for example runs.csv or tensorboard:LOGDIR")
    return found


VERB = Verb(
    example="counterpoint scale ingest tensorboard:logs --into runs.parquet --map size=params,loss=val/loss",
    arguments=IngestRunsArguments,
    run=run_ingest,
)
