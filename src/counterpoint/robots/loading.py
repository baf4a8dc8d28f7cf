"""Load an MJCF or URDF with MuJoCo, with errors that say what to do.

MuJoCo reads a URDF's geometry and joints, but drops what it has no word for; mimic joints and velocity limits are
read from the XML here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import mujoco

from counterpoint.core.errors import EmbodimentError

_URDF_JOINTS = ("revolute", "continuous", "prismatic", "fixed", "floating", "planar")
_MJCF_JOINTS = ("hinge", "slide", "ball", "free")


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A compiled model and what its file says beyond it."""

    model: mujoco.MjModel
    where: str
    """For messages: the file, or the model's name."""
    name: str
    is_urdf: bool = False
    mimics: frozenset[str] = frozenset()
    """URDF joints that follow another joint, thus are not commanded."""
    velocity_limits: dict[str, float] = field(default_factory=dict)
    """URDF joint -> rad/s or m/s, where the file gives one."""


def load_model(source: Path | mujoco.MjSpec) -> LoadedModel:
    """Load a file, or compile an editable model.

    Raises:
        EmbodimentError: the file is missing or is neither MJCF nor URDF, MuJoCo refuses it, or it lacks its meshes.
    """
    if isinstance(source, mujoco.MjSpec):
        name = source.modelname or "model"
        return LoadedModel(model=_compile(source, name), where=name, name=name)
    root = _read(source)
    is_urdf = root.tag == "robot"
    _check_joint_types(root, source, _URDF_JOINTS if is_urdf else _MJCF_JOINTS)
    try:
        spec = mujoco.MjSpec.from_file(str(source))
    except ValueError as error:
        raise _load_error(str(source), error) from error
    joints = root.findall("joint") if is_urdf else []
    return LoadedModel(
        model=_compile(spec, str(source)),
        where=str(source),
        name=source.stem,
        is_urdf=is_urdf,
        mimics=frozenset(joint.get("name", "") for joint in joints if joint.find("mimic") is not None),
        velocity_limits={joint.get("name", ""): limit for joint in joints if (limit := _velocity(joint)) > 0},
    )


def _read(path: Path) -> ElementTree.Element:
    if not path.is_file():
        raise EmbodimentError(f"{path}: no such file; expected an MJCF (.xml) or URDF (.urdf) robot description")
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError, OSError) as error:
        raise EmbodimentError(f"{path}: not well-formed XML ({error}); expected an MJCF or URDF file") from error
    if root.tag not in ("mujoco", "robot"):
        raise EmbodimentError(
            f"{path}: the outermost element is <{root.tag}>; expected <mujoco> (MJCF) or <robot> (URDF). "
            "Run xacro on a .xacro file first"
        )
    return root


def _check_joint_types(root: ElementTree.Element, path: Path, known: tuple[str, ...]) -> None:
    for joint in root.iter("joint"):
        kind = joint.get("type", known[0])
        if kind not in known:
            raise EmbodimentError(
                f"{path}: joint {joint.get('name', '')!r} is of type {kind!r}; expected one of {', '.join(known)}. "
                "Correct the type, or model the joint by some of these"
            )


def _velocity(joint: ElementTree.Element) -> float:
    limit = joint.find("limit")
    try:
        value = float(limit.get("velocity", "0")) if limit is not None else 0.0
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _compile(spec: mujoco.MjSpec, where: str) -> mujoco.MjModel:
    try:
        return spec.compile()
    except ValueError as error:
        raise _load_error(where, error) from error


def _load_error(where: str, error: Exception) -> EmbodimentError:
    text = " ".join(str(error).split())
    advice = "correct the file; MuJoCo's XML reference lists what is allowed"
    if re.search(r"opening file|open file|not found|resource", text, re.IGNORECASE):
        advice = "put the missing file where the description looks for it, or remove the mesh from the description"
    return EmbodimentError(f"{where}: MuJoCo cannot load it: {text}; {advice}")
