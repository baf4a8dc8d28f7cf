"""Small HDF5 files in the layouts of ALOHA and robomimic, written with h5py."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from picture_files import grey_frames, jpeg_files


def numbers(seed: int, rows: int, width: int) -> NDArray[np.float32]:
    """Return float32 [rows, width], different for each seed."""
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def write_aloha(path: Path, rows: int = 6, *, seed: int = 0, compress: bool = False, sim: bool = False) -> None:
    """Write one episode of a pair of ViperX arms."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["sim"], file.attrs["compress"] = sim, compress
        file["action"] = numbers(seed + 1, rows, 14)
        for index, name in enumerate(("qpos", "qvel", "effort")):
            file[f"observations/{name}"] = numbers(seed + 2 + index, rows, 14).astype(np.float64)
        if compress:
            files = jpeg_files(rows)
            longest = max(map(len, files))
            padded = [list(data.ljust(longest, b"\0")) for data in files]
            file["observations/images/cam_high"] = np.asarray(padded, np.uint8)
            file["compress_len"] = np.asarray([[len(data) for data in files]], np.float32)
        else:
            chunks = (1, 16, 32, 3)
            file.create_dataset("observations/images/cam_high", data=grey_frames(rows), chunks=chunks)


def write_aloha_folder(root: Path, lengths: tuple[int, ...] = (6, 4, 5)) -> None:
    """Write a folder of episodes, `episode_N.hdf5`."""
    for index, rows in enumerate(lengths):
        write_aloha(root / f"episode_{index}.hdf5", rows, seed=10 * index)


def write_robomimic(path: Path, lengths: tuple[int, ...] = (5, 7, 4), *, shaped: bool | None = False) -> None:
    """Write demonstrations of a simulated Panda, names out of order, two splits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        settings = {"robots": ["Panda"], "control_freq": 20}
        if shaped is not None:
            settings["reward_shaping"] = shaped
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": settings})
        for index, rows in enumerate(lengths):
            demo = data.create_group(f"demo_{index * 5}")
            demo.attrs["num_samples"] = rows
            demo["actions"] = numbers(index, rows, 7).astype(np.float64)
            demo["states"] = numbers(100 + index, rows, 32)
            demo["rewards"] = np.eye(rows)[-1] * (index != 1)
            demo["dones"] = np.zeros(rows, np.int64)
            demo["obs/robot0_joint_pos"] = numbers(200 + index, rows, 7)
            demo["obs/robot0_eef_pos"] = numbers(300 + index, rows, 3)
            demo["obs/agentview_image"] = grey_frames(rows, 16, 16)
        file["mask/train"] = np.asarray([b"demo_0", b"demo_5"])
        file["mask/valid"] = np.asarray([b"demo_10"])
