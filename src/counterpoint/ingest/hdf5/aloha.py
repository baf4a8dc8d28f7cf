"""ALOHA: one episode a file, commands in `action`, sensing below `observations`.

    action [T, 14]   observations/{qpos, qvel, effort} [T, 14]   observations/images/<camera> [T, H, W, 3] uint8
    attributes: sim, compress; compressed pictures are JPEG files padded with zeros, [T, longest] uint8

Rows have no clock. The recording loop runs at 50 Hz, so times are nominal.
"""

from __future__ import annotations

from dataclasses import replace

import h5py

from counterpoint.core.embodiment import Channel
from counterpoint.core.errors import IngestError
from counterpoint.ingest.hdf5.layout import EpisodeLabels, Hdf5Layout, is_pictures, is_series, width_of
from counterpoint.ingest.hdf5.safe import datasets, find, text_of
from counterpoint.ingest.mapping.guess import guess_channels
from counterpoint.ingest.recording.features import LogFeature, Role

RATE_HZ = 50.0
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
NAMES = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in JOINTS)
"""The 14 joints of a pair of ViperX arms, in the recorder's order."""
ROLES: dict[str, Role] = {"action": "action", "observations/qpos": "state"}


def is_aloha(file: h5py.File) -> bool:
    """Whether the file has the groups of this layout."""
    return "observations" in file and "action" in file


def describe(file: h5py.File) -> Hdf5Layout:
    """Return the features of an episode; raises IngestError."""
    action = find(file, "action")
    found = datasets(file, "observations")
    if isinstance(action, h5py.Dataset):
        found["action"] = action
    found.update({path: each for path in names_beside(file) if isinstance(each := find(file, path), h5py.Dataset)})
    pictures = [path for path, each in found.items() if is_pictures(path, each)]
    series = [path for path, each in found.items() if path not in pictures and is_series(each)]
    if not series:
        raise IngestError(f"{file.filename}: found no numeric datasets", reason="missing_column")
    is_sim = bool(file.attrs.get("sim", False))
    return Hdf5Layout(
        name="aloha",
        features=tuple(_feature(path, found[path]) for path in series),
        pictures=tuple(pictures),
        robot="aloha" if isinstance(action, h5py.Dataset) and width_of("action", action) == len(NAMES) else "",
        rate_hz=None,
        usual_rate_hz=RATE_HZ,
        source="simulation" if is_sim else None,
        notes=tuple(f"left_out:{path}" for path in found if path not in (*pictures, *series)),
    )


def names_beside(file: h5py.File) -> list[str]:
    """Return datasets that some recorders add beside `action`."""
    return [name for name in ("base_action",) if name in file]


def labels_of(file: h5py.File, path: str) -> EpisodeLabels:
    """Return the labels in the episode's attributes."""
    del path
    return EpisodeLabels(instruction=text_of(file, "language_instruction", "instruction", "task", "language_raw"))


def _feature(path: str, dataset: h5py.Dataset) -> LogFeature:
    width = width_of(path, dataset)
    names = NAMES if width == len(NAMES) else tuple(f"{path.rsplit('/', 1)[-1]}_{i}" for i in range(width))
    channels: tuple[Channel, ...] = ()
    if path == "observations/qvel" and width == len(NAMES):
        channels = tuple(map(_velocity, guess_channels(NAMES)))
    return LogFeature(name=path, width=width, names=names, role=ROLES.get(path, "other"), channels=channels)


def _velocity(channel: Channel) -> Channel:
    if channel.part == "gripper":
        return replace(channel, quantity="unknown", unit="1")
    return replace(channel, quantity="joint_velocity", unit="rad/s")
