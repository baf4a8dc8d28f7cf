"""The verb `robots list`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class ListArguments(VerbArguments):
    """Arguments of `robots list`."""


def list_robots(arguments: ListArguments) -> Reply:
    """Answer with every robot and its numbers of channels."""
    from counterpoint.robots.library import load_embodiment, robot_names

    robots: list[Json] = []
    for name in robot_names():
        embodiment = load_embodiment(name)
        robots.append(
            {
                "name": name,
                "acting_channels": len(embodiment.acting),
                "sensing_channels": embodiment.num_sensing_channels,
                "control_rate_hz": embodiment.control_rate_hz,
                "description": embodiment.description,
            }
        )
    rows = [list(cast(dict[str, Json], robot).values()) for robot in robots]
    header = ("robot", "acting", "sensing", "rate Hz", "description")
    return Reply(data={"robots": robots}, text=table(header, rows))


VERB = Verb(
    example="counterpoint robots list --json",
    arguments=ListArguments,
    run=list_robots,
)
