"""robomimic: many demonstrations per file, below `data`.

data/demo_K/{actions [T, A], obs/<name> [T, ...], states, rewards, dones, next_obs}
data attribute env_args: JSON of the environment     mask/<split>: names of demonstrations
"""

from __future__ import annotations

import json
import math

import h5py

from counterpoint.core.embodiment import Channel
from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.columns import widened
from counterpoint.ingest.hdf5.layout import EpisodeLabels, Hdf5Layout, is_pictures, is_series, width_of
from counterpoint.ingest.hdf5.safe import check_storage, datasets, find, names, read_array, text_of
from counterpoint.ingest.mapping.guess import unknown_channels
from counterpoint.ingest.recording.features import LogFeature, Role, slug

USUAL_RATE_HZ = 20.0
STATES = ("joint_pos", "robot0_joint_pos", "joint_positions", "robot0_eef_pos", "ee_states", "joint_states")
"""Names of the robot's own state; the first one present is used."""
SIMULATED = (1, 2, 3)
"""Simulators among the environment types in `env_args`: robosuite, gym, momart."""
MAX_JSON = 2**24


def is_robomimic(file: h5py.File) -> bool:
    """Whether the file has demonstrations below `data`."""
    data = find(file, "data")
    return isinstance(data, h5py.Group) and any(_is_demo(data, name) for name in list(data)[:100])


def demonstrations(file: h5py.File) -> list[str]:
    """Return the paths of all demonstrations, in natural order; raises IngestError."""
    data = find(file, "data")
    return [f"data/{name}" for name in names(data)] if isinstance(data, h5py.Group) else []


def describe(file: h5py.File, demo: str) -> Hdf5Layout:
    """Return the features of a demonstration; raises IngestError."""
    group = find(file, demo)
    if not isinstance(group, h5py.Group):
        raise IngestError(f"{file.filename}: {demo}: expected a group", reason="missing_column")
    found = datasets(group, "obs")
    actions = find(group, "actions")
    if isinstance(actions, h5py.Dataset):
        found["actions"] = actions
    pictures = [path for path, each in found.items() if is_pictures(path, each)]
    series = [path for path, each in found.items() if path not in pictures and is_series(each)]
    state = next((f"obs/{name}" for name in STATES if f"obs/{name}" in series), None)
    roles: dict[str | None, Role] = {state: "state", "actions": "action"}
    environment = _environment(file)
    settings = environment.get("env_kwargs")
    settings = settings if isinstance(settings, dict) else {}
    rate = settings.get("control_freq")
    robots = settings.get("robots")
    return Hdf5Layout(
        name="robomimic",
        features=tuple(_feature(path, width_of(path, found[path]), roles.get(path, "other")) for path in series),
        pictures=tuple(pictures),
        robot=slug("_".join(map(str, robots))) if isinstance(robots, list) else slug(str(robots or "")),
        rate_hz=float(rate) if isinstance(rate, int | float) and 0 < rate < 1e6 and math.isfinite(rate) else None,
        usual_rate_hz=USUAL_RATE_HZ,
        source="simulation" if environment.get("type") in SIMULATED else None,
        notes=tuple(
            f"left_out:{name}"
            for name in [*(path for path in found if path not in (*pictures, *series)), "states"]
            if name in group
        ),
    )


def labels_of(file: h5py.File, demo: str) -> EpisodeLabels:
    """Return task, success and splits of a demonstration.

    Rewards tell success only where the file says that they are not shaped.
    """
    environment = _environment(file)
    settings = environment.get("env_kwargs")
    success = None
    if isinstance(settings, dict) and settings.get("reward_shaping") is False:
        rewards = find(file, f"{demo}/rewards")
        if isinstance(rewards, h5py.Dataset) and rewards.ndim == 1:
            values = widened(read_array(rewards, f"{demo}/rewards"))
            success = bool(values.max() >= 1) if len(values) else None
    group = find(file, demo)
    own = text_of(group, "language_instruction", "instruction", "lang") if isinstance(group, h5py.Group) else ""
    task = own or str(environment.get("lang") or environment.get("env_name") or "")
    return EpisodeLabels(instruction=task, success=success, notes=tuple(_splits(file, demo.rsplit("/", 1)[-1])))


def _is_demo(data: h5py.Group, name: str) -> bool:
    demo = find(data, name)
    return isinstance(demo, h5py.Group) and "actions" in demo


def _feature(path: str, width: int, role: Role) -> LogFeature:
    short = path.rsplit("/", 1)[-1]
    columns = [f"{short}_{index}" for index in range(width)]
    return LogFeature(name=path, width=width, names=tuple(columns), role=role, channels=_channels(short, columns, role))


def _channels(short: str, columns: list[str], role: Role) -> tuple[Channel, ...]:
    """Joint and tool observations are known by name; the meaning of an action depends on the controller."""
    if role != "action" and short.endswith("joint_pos"):
        return tuple(
            Channel(
                name=name, quantity="joint_position", unit="rad", part="arm", chain_index=i, chain_length=len(columns)
            )
            for i, name in enumerate(columns)
        )
    if role != "action" and short.endswith("joint_vel"):
        return tuple(
            Channel(
                name=name, quantity="joint_velocity", unit="rad/s", part="arm", chain_index=i, chain_length=len(columns)
            )
            for i, name in enumerate(columns)
        )
    if role != "action" and short.endswith("eef_pos") and len(columns) == 3:
        axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        return tuple(
            Channel(name=name, quantity="position", unit="m", part="tool", axis=axis)
            for name, axis in zip(columns, axes, strict=True)
        )
    return unknown_channels(columns)


def _environment(file: h5py.File) -> dict[str, object]:
    data = find(file, "data")
    text = text_of(data, "env_args") if isinstance(data, h5py.Group) else ""
    try:
        raw = json.loads(text) if 0 < len(text) < MAX_JSON else {}
    except (ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _splits(file: h5py.File, demo: str) -> list[str]:
    masks = find(file, "mask")
    if not isinstance(masks, h5py.Group):
        return []
    found = []
    for name in names(masks):
        members = find(masks, name)
        if isinstance(members, h5py.Dataset) and members.ndim == 1 and members.dtype.kind == "S":
            check_storage(members, f"mask/{name}")
            if demo.encode() in set(members[()].tolist()):
                found.append(f"split:{name}")
    return found
