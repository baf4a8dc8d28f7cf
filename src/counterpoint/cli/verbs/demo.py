"""The verb `demo`: every stage on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from counterpoint.cli.verb import Reply, Verb, VerbArguments


@dataclass(frozen=True, kw_only=True)
class DemoArguments(VerbArguments):
    """Arguments of `demo`."""

    out: Path = Path("demo-out")
    """Folder for everything the demo makes; the report is report.html in it."""
    logs: Path | None = None
    """Folder with recordings of real robots (LeRobot datasets) to train on too."""


def run_demo(arguments: DemoArguments) -> Reply:
    """Go the whole way: collect, ingest, train, evaluate, roll out, fit a law, report."""
    from counterpoint import demo

    result = demo.run_demo(arguments.out, logs=arguments.logs)
    return Reply(data=result.to_dict(), text=f"{result.summary}\n\ndone; open {result.report}")


VERB = Verb(
    example="counterpoint demo --out demo-out --logs recordings",
    arguments=DemoArguments,
    run=run_demo,
    resume="run the same command again; stages that are done are not repeated.",
)
