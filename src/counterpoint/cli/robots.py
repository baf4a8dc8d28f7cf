"""Verbs about robots: list, show, add."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.embodiment import Channel, Embodiment, embodiment_to_dict
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class ListArguments(VerbArguments):
    """Arguments of `robots list`."""


@dataclass(frozen=True, kw_only=True)
class ShowArguments(VerbArguments):
    """Arguments of `robots show`."""

    name: Positional[str]
    """A robot of `counterpoint robots list`."""


@dataclass(frozen=True, kw_only=True)
class AddArguments(VerbArguments):
    """Arguments of `robots add`."""

    file: Positional[Path]
    """MJCF (.xml) or URDF (.urdf) file; meshes are found relative to it."""
    name: str | None = None
    """Name to give the robot; the file's own name where left out."""
    control_rate_hz: float = 50.0
    """Rate at which the robot takes commands, Hz; no description file says it."""


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


def show_robot(arguments: ShowArguments) -> Reply:
    """Answer with every channel of one robot."""
    from counterpoint.robots.library import load_embodiment

    embodiment = load_embodiment(arguments.name)
    return Reply(data={"robot": cast(Json, embodiment_to_dict(embodiment))}, text=describe_embodiment(embodiment))


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


def describe_embodiment(embodiment: Embodiment) -> str:
    """Return acting and sensing channels as tables."""
    parts = [f"{embodiment.name}: {embodiment.description}".rstrip(": ")]
    if embodiment.source:
        parts.append(f"source: {embodiment.source}")
    parts.append(f"\nacting, {len(embodiment.acting)} channels at {embodiment.control_rate_hz:g} Hz")
    parts.append(_channel_table(embodiment.acting))
    for spec in embodiment.sensing:
        rate = f" at {spec.rate_hz:g} Hz" if spec.rate_hz else ""
        parts.append(f"\nsensing {spec.name}, {len(spec.channels)} channels{rate}")
        parts.append(_channel_table(spec.channels))
    return "\n".join(parts)


def _channel_table(channels: tuple[Channel, ...]) -> str:
    rows = [
        (
            channel.name,
            channel.quantity,
            channel.unit,
            f"{_limit(channel.lower)} .. {_limit(channel.upper)}",
            channel.part,
            channel.side,
        )
        for channel in channels
    ]
    return table(("channel", "quantity", "unit", "limits", "part", "side"), rows)


def _limit(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "none"


VERBS = (
    Verb(
        name="robots list",
        summary="List the robots and how many channels each has.",
        example="counterpoint robots list --json",
        arguments=ListArguments,
        run=list_robots,
    ),
    Verb(
        name="robots show",
        summary="Show every channel of a robot: quantity, unit, limits, place in the body.",
        example="counterpoint robots show panda",
        arguments=ShowArguments,
        run=show_robot,
    ),
    Verb(
        name="robots add",
        summary="Add your own robot from an MJCF or URDF file.",
        example="counterpoint robots add my_arm.urdf --name my_arm",
        arguments=AddArguments,
        run=add_robot_file,
    ),
)
