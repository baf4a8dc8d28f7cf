"""The verb `scale ossify`: test whether small models stop learning from more data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterpoint.cli.verb import Reply, Verb, interval, table
from counterpoint.cli.verbs.scale.run_table import TableArguments, read_table

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class OssifyArguments(TableArguments):
    """Arguments of `scale ossify`."""


def run_ossify(arguments: OssifyArguments) -> Reply:
    """Test every size against the null law, and report whether models below some size stop learning from more data."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.ossification.null_test import ossification

    runs = read_table(arguments, needs_size=True)
    with Progress("test sizes", unit="size", leave=False) as progress:
        found = ossification(runs, on_size=progress.update)
    rows = [
        (f"{each.size:.4g}", each.verdict, each.index, interval(each.ci95), each.p, "yes" if each.overfits else "")
        for each in found.sizes
    ]
    claim = found.threshold
    verdict = (
        f"threshold between {claim.bracket[0]:.4g} and {claim.bracket[1]:.4g}: {claim.reason}"
        if claim.bracket is not None
        else f"no threshold claimed: {claim.reason}"
    )
    lines = [verdict, "", table(("size", "verdict", "index", "95% interval", "p", "error rises at the end"), rows)]
    lines += ["", *(f"warning: {warning}" for warning in found.warnings)]
    return Reply(data=found.to_dict(), text="\n".join(lines).rstrip())


VERB = Verb(
    example="counterpoint scale ossify runs.csv --size params --amount hours --loss error",
    arguments=OssifyArguments,
    run=run_ossify,
)
