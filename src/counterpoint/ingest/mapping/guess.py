"""Guesses what a column is from its name: `kLeftShoulderPitch`, `right_gripper.pos`, `waist_yaw`.

A guess is a starting point: `counterpoint ingest` uses it where no robot is given. It can be written to a mapping file,
corrected and passed back (`mapping.robot_mapping`). What the name does not say stays unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from counterpoint.core.embodiment import Channel, Part, Quantity, Side, Unit, Vector3

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SIDES: dict[str, Side] = {"left": "left", "l": "left", "right": "right", "r": "right"}
# The first part with a word in the name wins: `LeftHandThumb` is a hand.
_PARTS: tuple[tuple[Part, frozenset[str]], ...] = (
    ("gripper", frozenset({"gripper", "jaw", "claw"})),
    ("hand", frozenset({"hand", "finger", "thumb", "pinky", "ring", "middle", "index", "palm"})),
    ("torso", frozenset({"waist", "torso", "trunk", "spine", "chest"})),
    ("head", frozenset({"head", "neck"})),
    ("leg", frozenset({"hip", "knee", "ankle", "leg", "foot"})),
    ("base", frozenset({"base", "wheel", "chassis"})),
    ("arm", frozenset({"shoulder", "elbow", "wrist", "forearm", "arm", "joint", "motor"})),
)
_QUANTITIES: tuple[tuple[frozenset[str], Quantity, Unit], ...] = (
    (frozenset({"vel", "velocity", "dq", "qvel"}), "joint_velocity", "rad/s"),
    (frozenset({"effort", "torque", "tau", "current"}), "joint_effort", "Nm"),
    (frozenset({"force"}), "force", "N"),
)
_AXES: dict[str, Vector3] = {"roll": (1.0, 0.0, 0.0), "pitch": (0.0, 1.0, 0.0), "yaw": (0.0, 0.0, 1.0)}


def guess_channels(names: Sequence[str]) -> tuple[Channel, ...]:
    """Return one channel per name, in order; repeated names get the suffixes `#2`, `#3`."""
    channels = [_guess(name) for name in _unique(names)]
    lengths = Counter((channel.part, channel.side) for channel in channels)
    seen: Counter[tuple[Part, Side]] = Counter()
    numbered = []
    for channel in channels:
        chain = channel.part, channel.side
        numbered.append(replace(channel, chain_index=seen[chain], chain_length=lengths[chain]))
        seen[chain] += 1
    return tuple(numbered)


def unknown_channels(names: Sequence[str]) -> tuple[Channel, ...]:
    """Return channels of unknown quantity with the given names."""
    return tuple(Channel(name=name, quantity="unknown", unit="1") for name in _unique(names))


def _guess(name: str) -> Channel:
    words = [word.lower() for word in _WORD.findall(name)]
    part: Part = next((part for part, marks in _PARTS if marks.intersection(words)), "unknown")
    side: Side = next((_SIDES[word] for word in words if word in _SIDES), "center")
    quantity: Quantity = "gripper_opening" if part == "gripper" else "joint_position"
    unit: Unit = "1" if part == "gripper" else "rad"
    for marks, marked, in_unit in _QUANTITIES:
        if marks.intersection(words):
            quantity, unit = marked, in_unit
    axis = next((_AXES[word] for word in words if word in _AXES), (0.0, 0.0, 0.0))
    return Channel(name=name, quantity=quantity, unit=unit, part=part, side=side, axis=axis)


def _unique(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
