"""The verb `robots add`: a robot from an MJCF or URDF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments
from counterpoint.cli.verbs.robots.show import describe_embodiment
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class AddArguments(VerbArguments):
    """Arguments of `robots add`."""

    file: Positional[Path]
    """MJCF (.xml) or URDF (.urdf) file; meshes are found relative to it."""
    name: str | None = None
    """Name of the robot. Default: the name of the file."""
    control_rate_hz: float = 50.0
    """Rate at which the robot takes commands, in Hz; description files do not contain it."""


def add_robot_file(arguments: AddArguments) -> Reply:
    """Read a robot description, check it, and keep it in the user's library."""
    from counterpoint.robots.library import add_robot

    embodiment = add_robot(arguments.file, arguments.name, control_rate_hz=arguments.control_rate_hz)
    text = f"added {embodiment.name!r}; see it with: counterpoint robots show {embodiment.name}"
    data: dict[str, Json] = {
        "name": embodiment.name,
        "acting_channels": len(embodiment.acting),
        "sensing_channels": embodiment.num_sensing_channels,
    }
    return Reply(data=data, text=f"{describe_embodiment(embodiment)}\n\n{text}")


VERB = Verb(
    example="counterpoint robots add my_arm.urdf --name my_arm",
    arguments=AddArguments,
    run=add_robot_file,
)
