"""Body part and side of a joint, guessed from its name and the names of its bodies."""

from __future__ import annotations

import re
from collections.abc import Sequence

from counterpoint.core.embodiment import Part, Side

_PARTS: tuple[tuple[Part, frozenset[str]], ...] = (
    ("gripper", frozenset({"gripper", "jaw", "knuckle"})),
    ("hand", frozenset({"hand", "finger", "fingers", "thumb", "index", "middle", "ring", "pinky", "little", "palm"})),
    ("head", frozenset({"head", "neck"})),
    ("leg", frozenset({"leg", "hip", "knee", "ankle", "foot", "thigh", "shin", "calf", "toe"})),
    ("arm", frozenset({"arm", "shoulder", "elbow", "wrist", "forearm", "upperarm", "clavicle"})),
    ("torso", frozenset({"torso", "waist", "spine", "chest", "abdomen", "lumbar", "trunk"})),
    ("base", frozenset({"base", "wheel", "caster", "chassis", "steer", "root"})),
)
_SIDES: tuple[tuple[Side, frozenset[str]], ...] = (
    ("left", frozenset({"left", "l", "lh", "lf", "fl", "bl", "rl", "lr"})),
    ("right", frozenset({"right", "r", "rh", "rf", "fr", "br", "rr"})),
)


def words(name: str) -> tuple[str, ...]:
    """Split a name at punctuation, digits and capitals: `LFShoulder_pitch2` -> lf, shoulder, pitch."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(word.lower() for word in re.findall(r"[A-Za-z]+", spaced))


def guess_part(names: Sequence[str]) -> Part:
    """Return the part named by the first name that contains a known word.

    `names` are those of the joint, of its body, and of the parent bodies, outwards. A limb is attached to a torso or
    base without being part of it, so these two words count only in the first two names.
    """
    for place, name in enumerate(names):
        for part, known in _PARTS:
            if (place < 2 or part not in ("torso", "base")) and _matches(words(name), known):
                return part
    return "unknown"


def _matches(parts: Sequence[str], known: frozenset[str]) -> bool:
    """Match whole words, and word endings of four letters or more (`bthigh`, `upperarm`)."""
    return any(part == word or (len(word) >= 4 and part.endswith(word)) for part in parts for word in known)


def guess_side(names: Sequence[str]) -> Side:
    """Return the side named by the first name that contains a known word, else `center`."""
    for name in names:
        for side, known in _SIDES:
            if not known.isdisjoint(words(name)):
                return side
    return "center"
