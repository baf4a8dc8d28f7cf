"""The verb `robots show`: the channels of one robot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.embodiment import Channel, Embodiment, embodiment_to_dict
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class ShowArguments(VerbArguments):
    """Arguments of `robots show`."""

    name: Positional[str]
    """A robot of `counterpoint robots list`."""


def show_robot(arguments: ShowArguments) -> Reply:
    """Answer with every channel of one robot."""
    from counterpoint.robots.library import load_embodiment

    embodiment = load_embodiment(arguments.name)
    return Reply(data={"robot": cast(Json, embodiment_to_dict(embodiment))}, text=describe_embodiment(embodiment))


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


VERB = Verb(
    example="counterpoint robots show panda",
    arguments=ShowArguments,
    run=show_robot,
)
