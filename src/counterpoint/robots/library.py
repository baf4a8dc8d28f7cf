"""Robots by name: our own, and descriptions that the user added.

User descriptions are JSON files in `$COUNTERPOINT_HOME/robots` (default `~/.counterpoint/robots`). They describe
channels for training and serving; only our own robots can be simulated.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

from counterpoint.core.embodiment import Embodiment, embodiment_from_dict, embodiment_to_dict
from counterpoint.core.errors import EmbodimentError, unknown_name
from counterpoint.robots.assemble import assemble
from counterpoint.robots.builtin import PLANS
from counterpoint.robots.describe import embodiment_from_mjcf, robot_label
from counterpoint.robots.robot import Robot

_HINT = "See 'counterpoint robots list', or add one with 'counterpoint robots add FILE'."


def simulated_robot_names() -> tuple[str, ...]:
    """Return the names of our own robots, which can be simulated, in the order of our table."""
    return tuple(PLANS)


def robot_names() -> tuple[str, ...]:
    """Return all names: our own robots, then those that the user added, sorted."""
    added = sorted(path.stem for path in _library().glob("*.json"))
    return (*PLANS, *(name for name in added if name not in PLANS))


def load_robot(name: str) -> Robot:
    """Return one of our own robots; cached.

    Raises:
        UnknownNameError: no such robot, with the nearest names.
        EmbodimentError: the robot was added by the user, thus has a description but no simulation model.
    """
    if name in PLANS:
        return _load_builtin(name)
    if _file(name).is_file():
        raise EmbodimentError(
            f"robot {name!r} was added from a file and can be described, trained and served, but not simulated; "
            f"expected one of {', '.join(PLANS)}"
        )
    raise unknown_name("robot", name, robot_names(), hint=_HINT)


def load_embodiment(name: str) -> Embodiment:
    """Return the description of any robot, ours or added.

    Raises:
        UnknownNameError: no such robot, with the nearest names.
        EmbodimentError: the added description is damaged.
    """
    if name in PLANS:
        return _load_builtin(name).embodiment
    path = _file(name)
    if not path.is_file():
        raise unknown_name("robot", name, robot_names(), hint=_HINT)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EmbodimentError(
            f"{path}: not a robot description ({error}); remove it and add the robot again"
        ) from error
    if not isinstance(raw, dict):
        raise EmbodimentError(f"{path}: expected a JSON object, got {type(raw).__name__}; remove it and add it again")
    return embodiment_from_dict(raw)


def add_robot(path: Path, name: str | None = None, *, control_rate_hz: float = 50.0) -> Embodiment:
    """Read an MJCF or URDF and save its description in the user's library, replacing one of the same name.

    Raises:
        EmbodimentError: the file cannot be described, the name is one of ours, or the library cannot be written.
    """
    label = name if name is not None else robot_label(path.stem)
    if label != robot_label(label):
        raise EmbodimentError(f"robot name {label!r}: expected a-z, 0-9 and _, for example {robot_label(label)!r}")
    if label in PLANS:
        raise EmbodimentError(f"robot name {label!r} belongs to a built-in robot; choose another name with --name")
    embodiment = replace(embodiment_from_mjcf(path, name=label, control_rate_hz=control_rate_hz), name=label)
    text = json.dumps(embodiment_to_dict(embodiment), indent=1, allow_nan=False) + "\n"
    target = _file(label)
    draft = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        raise EmbodimentError(
            f"{target}: cannot save the description ({error.strerror}); set COUNTERPOINT_HOME to a folder you may write"
        ) from error
    return embodiment


@cache
def _load_builtin(name: str) -> Robot:
    return assemble(PLANS[name])


def _library() -> Path:
    home = os.environ.get("COUNTERPOINT_HOME")
    return (Path(home) if home else Path.home() / ".counterpoint") / "robots"


def _file(name: str) -> Path:
    return _library() / f"{robot_label(name)}.json"
