"""The verb `demo`: every stage on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from counterpoint.cli.verb import Reply, Verb, VerbArguments


@dataclass(frozen=True, kw_only=True)
class DemoArguments(VerbArguments):
    """Arguments of `demo`."""

    out: Path = Path("demo-out")
    """Folder to write to; open report.html in it."""
    logs: Path | None = None
    """Folder of real-robot recordings (LeRobot datasets) to train on as well."""


def run_demo(arguments: DemoArguments) -> Reply:
    """Collect, ingest, train, evaluate, roll out, fit a law, report."""
    from counterpoint import demo

    result = demo.run_demo(arguments.out, logs=arguments.logs)
    return Reply(data=result.to_dict(), text=f"{result.summary}\n\ndone; open {result.report}")


VERB = Verb(
    example="counterpoint demo --out demo-out --logs recordings",
    arguments=DemoArguments,
    run=run_demo,
    resume="run the same command again; finished stages are not repeated.",
)
