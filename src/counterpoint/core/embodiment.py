"""A robot as data: sensing streams and acting channels with physical descriptions.

A channel is one scalar. Its meaning comes from its physical description, never from its position in a vector:

    panda -> sensing  proprioception [joint positions, joint velocities, gripper]  100 Hz
                      tool_pose      [x y z, first two columns of the rotation]    100 Hz
             acting   [joint_1 .. joint_7, gripper]                                 20 Hz
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Literal, cast, get_args

from counterpoint.core.errors import EmbodimentError

Quantity = Literal[
    "joint_position",
    "joint_velocity",
    "joint_effort",
    "gripper_opening",
    "position",
    "relative_position",
    "rotation",
    "linear_velocity",
    "angular_velocity",
    "force",
    "torque",
    "extent",
    "unknown",
]
Unit = Literal["rad", "rad/s", "m", "m/s", "N", "Nm", "1"]
Part = Literal["arm", "gripper", "hand", "torso", "head", "base", "leg", "tool", "object", "unknown"]
Side = Literal["left", "right", "center"]
StreamKind = Literal["vector", "image", "text"]

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
UNITS: tuple[Unit, ...] = get_args(Unit)
PARTS: tuple[Part, ...] = get_args(Part)
SIDES: tuple[Side, ...] = get_args(Side)

Vector3 = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One scalar of a robot, described physically.

    Raises:
        EmbodimentError: limits in the wrong order, an unknown quantity, unit, part or side, or a value
            that is not finite.
    """

    name: str
    """Unique in its stream, for example `left/joint_3`."""
    quantity: Quantity
    unit: Unit
    lower: float = -math.inf
    """Lower limit in `unit`; -inf where none is known."""
    upper: float = math.inf
    """Upper limit in `unit`; inf where none is known."""
    part: Part = "unknown"
    side: Side = "center"
    chain_index: int = 0
    """Position in the kinematic chain, counted from the base (joints), or slot number (objects)."""
    chain_length: int = 1
    axis: Vector3 = (0.0, 0.0, 0.0)
    """Joint axis, or direction of the component, in the base frame at the reference pose (unit vector or zero)."""
    anchor: Vector3 = (0.0, 0.0, 0.0)
    """Joint anchor in the base frame at the reference pose, metres."""
    reference: float = 0.0
    """Value at the reference pose, in `unit`."""

    def __post_init__(self) -> None:
        """Check names, limits and numbers."""
        for word, known in ((self.quantity, QUANTITIES), (self.unit, UNITS), (self.part, PARTS), (self.side, SIDES)):
            if word not in known:
                raise EmbodimentError(f"channel {self.name!r}: expected one of {', '.join(known)}, got {word!r}")
        if not self.lower <= self.upper:
            raise EmbodimentError(
                f"channel {self.name!r}: expected lower limit <= upper limit, got {self.lower} and {self.upper}"
            )
        numbers = (*self.axis, *self.anchor, self.reference)
        if not all(map(math.isfinite, numbers)):
            raise EmbodimentError(f"channel {self.name!r}: axis, anchor and reference must be finite, got {numbers}")


@dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """What a stream carries: kind, channels (vector) or size (image), nominal rate."""

    name: str
    """Unique in an episode: `proprioception`, `tool_pose`, `action`, `camera/front`, `object/0`, `instruction`."""
    kind: StreamKind = "vector"
    channels: tuple[Channel, ...] = ()
    """Meaning of each column, in order; empty for image and text."""
    rate_hz: float | None = None
    """Nominal rate, for people; None for events without a rate. Real times are in the samples."""
    height: int = 0
    """Image height in pixels; 0 for vector and text."""
    width: int = 0
    """Image width in pixels; 0 for vector and text."""

    def __post_init__(self) -> None:
        """Check that channels are unique and fit the kind."""
        names = [channel.name for channel in self.channels]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise EmbodimentError(
                f"stream {self.name!r}: channel names must be unique; these appear more than once: {sorted(doubled)}"
            )
        if (self.kind == "vector") != bool(self.channels):
            raise EmbodimentError(f"stream {self.name!r}: vector streams have channels, {self.kind} streams have none")

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, in column order."""
        return tuple(channel.name for channel in self.channels)


@dataclass(frozen=True, kw_only=True)
class Embodiment:
    """A robot: what it senses and what it can command.

    Trackers, cameras and instructions belong to the world an episode was recorded in and are
    described by the episode's own stream specs.
    """

    name: str
    sensing: tuple[StreamSpec, ...]
    """Streams that the robot itself reports: `proprioception`, `tool_pose`, `wrist_force`."""
    acting: tuple[Channel, ...]
    """Commanded channels. A `joint_position` here is a position target in rad (or m for sliding joints)."""
    control_rate_hz: float
    """Rate at which the robot accepts commands."""
    description: str = ""
    source: str = ""
    """Where the numbers come from."""
    metadata: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that there is something to command and a positive rate."""
        if not self.acting:
            raise EmbodimentError(
                f"robot {self.name!r}: expected an acting channel, got none; add an actuator to its description"
            )
        if not (self.control_rate_hz > 0 and math.isfinite(self.control_rate_hz)):
            raise EmbodimentError(f"robot {self.name!r}: control_rate_hz must be positive, got {self.control_rate_hz}")
        StreamSpec(name="action", channels=self.acting)  # unique names

    def __repr__(self) -> str:
        """Return a line: what it can command and how fast, what it senses."""
        senses = ", ".join(f"{spec.name} ({len(spec.channels)})" for spec in self.sensing) or "nothing"
        commands = f"{len(self.acting)} acting channels at {self.control_rate_hz:g} Hz"
        return f"<Embodiment {self.name}: {commands}; senses {senses}>"

    @property
    def acting_names(self) -> tuple[str, ...]:
        """Names of the acting channels, in column order."""
        return tuple(channel.name for channel in self.acting)

    @property
    def action_spec(self) -> StreamSpec:
        """The stream in which executed commands are recorded, named `action`."""
        return StreamSpec(name="action", channels=self.acting, rate_hz=self.control_rate_hz)

    @property
    def num_sensing_channels(self) -> int:
        """Number of scalars that the robot itself reports."""
        return sum(len(spec.channels) for spec in self.sensing)


def embodiment_to_dict(embodiment: Embodiment) -> dict[str, object]:
    """Return plain JSON values; infinite limits become None."""
    return cast(dict[str, object], _without_infinities(asdict(embodiment)))


def spec_to_dict(spec: StreamSpec) -> dict[str, object]:
    """Return plain JSON values; infinite limits become None."""
    return cast(dict[str, object], _without_infinities(asdict(spec)))


def embodiment_from_dict(raw: dict[str, object]) -> Embodiment:
    """Rebuild what `embodiment_to_dict` wrote.

    Raises:
        EmbodimentError: a key is missing or unknown, or a value breaks the contract.
    """
    values = dict(raw)
    try:
        values["sensing"] = tuple(spec_from_dict(spec) for spec in _dicts(values["sensing"]))
        values["acting"] = tuple(_channel_from_dict(channel) for channel in _dicts(values["acting"]))
        return Embodiment(**values)  # type: ignore[arg-type]  # checked by the dataclass and the except below
    except (KeyError, TypeError) as error:
        raise EmbodimentError(f"robot {raw.get('name')!r}: not an embodiment description: {error}") from error


def spec_from_dict(raw: dict[str, object]) -> StreamSpec:
    """Rebuild what `spec_to_dict` wrote; raises EmbodimentError."""
    values = dict(raw)
    try:
        values["channels"] = tuple(_channel_from_dict(channel) for channel in _dicts(values["channels"]))
        return StreamSpec(**values)  # type: ignore[arg-type]  # checked by the dataclass and the except below
    except (KeyError, TypeError) as error:
        raise EmbodimentError(f"stream {raw.get('name')!r}: not a stream description: {error}") from error


def _channel_from_dict(raw: dict[str, object]) -> Channel:
    values = dict(raw)
    values["lower"] = -math.inf if values["lower"] is None else values["lower"]
    values["upper"] = math.inf if values["upper"] is None else values["upper"]
    for key in ("axis", "anchor"):
        values[key] = tuple(cast(list[float], values[key]))
    return Channel(**values)  # type: ignore[arg-type]  # checked by the dataclass


def _dicts(raw: object) -> Iterator[dict[str, object]]:
    if not isinstance(raw, list | tuple):
        raise TypeError(f"expected a list, got {type(raw).__name__}")
    for item in raw:
        if not isinstance(item, dict):
            raise TypeError(f"expected an object, got {type(item).__name__}")
        yield item


def _without_infinities(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return None
    return value
