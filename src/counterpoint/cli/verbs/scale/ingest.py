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
    """Parquet table to write or to add to."""
    map: UseAppendAction[tuple[str, ...]] = ()
    """Roles of logged names, as size=n_params,data=hours,loss=val/loss; also seed, run, step, unique. Other names stay
    unchanged."""
    all: bool = False
    """Write one row per step at which the loss was logged, instead of one row per run."""
    last: bool = False
    """Write one row per run with its last values. This is the default."""
    prefix: str = ""
    """Prefix for the names of the runs, to keep two sources apart."""
    replace: bool = False
    """Replace rows of the same run and step that came from another source."""


def run_ingest(arguments: IngestRunsArguments) -> Reply:
    """Add runs to one table."""
    from counterpoint.scaling.importers.run import ingest_runs

    if arguments.all and arguments.last:
        raise ConfigError("--all and --last: expected at most one of them, got both")
    found = ingest_runs(
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
        f"columns: {played or 'none that scale fit recognises'}",
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
