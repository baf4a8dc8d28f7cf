"""Small replay buffers as Diffusion Policy and UMI keep them, written with the zarr package."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Literal

import numcodecs
import numpy as np
import zarr
from hdf5_writers import numbers
from picture_files import grey_frames

Format = Literal[2, 3]
PACKERS = {
    "blosc": numcodecs.Blosc(cname="zstd", clevel=5, shuffle=numcodecs.Blosc.BITSHUFFLE),
    "lz4": numcodecs.LZ4(),
    "zlib": numcodecs.Zlib(),
    "gzip": numcodecs.GZip(),
    "bz2": numcodecs.BZ2(),
    "zstd": numcodecs.Zstd(),
    "none": None,
}


def put(group: zarr.Group, name: str, data: np.ndarray, packer: str = "blosc") -> None:
    """Write an array in chunks of 3 rows."""
    chunks = (3, *data.shape[1:])
    if group.metadata.zarr_format == 2:
        compressor = PACKERS[packer]
        array = group.create_array(name, shape=data.shape, chunks=chunks, dtype=data.dtype, compressors=compressor)
    else:
        array = group.create_array(name, shape=data.shape, chunks=chunks, dtype=data.dtype)
    array[...] = data


def write_zarr(
    path: Path, lengths: tuple[int, ...] = (5, 4, 6), *, version: Format = 2, packer: str = "blosc", umi: bool = False
) -> None:
    """Write a replay buffer; a path that ends in .zip becomes one, members stored."""
    folder = path.with_suffix(".folder") if path.suffix == ".zip" else path
    root = zarr.open_group(str(folder), mode="w", zarr_format=version)
    data, meta = root.create_group("data"), root.create_group("meta")
    rows = sum(lengths)
    if umi:
        for index, (name, width) in enumerate((("eef_pos", 3), ("eef_rot_axis_angle", 3), ("gripper_width", 1))):
            put(data, f"robot0_{name}", numbers(index, rows, width), packer)
        put(data, "robot0_demo_start_pose", numbers(9, rows, 6).astype(np.float64), packer)
        put(data, "camera0_rgb", grey_frames(rows, 16, 16), packer)
    else:
        put(data, "action", numbers(1, rows, 2), packer)
        put(data, "state", numbers(2, rows, 5), packer)
        put(data, "img", grey_frames(rows, 16, 16).astype(np.float32), packer)
    put(meta, "episode_ends", np.cumsum(lengths).astype(np.int64), packer)
    if path.suffix == ".zip":
        pack(folder, path)


def pack(folder: Path, path: Path, method: int = zipfile.ZIP_STORED) -> None:
    """Put a folder into a zip and remove it."""
    with zipfile.ZipFile(path, "w", method) as file:
        for member in sorted(folder.rglob("*")):
            if member.is_file():
                file.write(member, member.relative_to(folder).as_posix())
    shutil.rmtree(folder)
