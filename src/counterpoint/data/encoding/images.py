"""Frames as patches: scaled to a grid of them, one token a patch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.seeding import stable_hash
from counterpoint.store.views.codec import scale_pictures

Float = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def frame_patches(frames: Pixels, patch: int, grid: tuple[int, int]) -> Pixels:
    """Scale and cut frames uint8 [n, height, width, 3] into uint8 [n, rows * columns, patch, patch, 3], row-major."""
    rows, columns = grid
    scaled = scale_pictures(frames, rows * patch, columns * patch)
    split = scaled.reshape(len(frames), rows, patch, columns, patch, 3).transpose(0, 1, 3, 2, 4, 5)
    return np.ascontiguousarray(split.reshape(len(frames), rows * columns, patch, patch, 3))


def patch_positions(grid: tuple[int, int]) -> Float:
    """Return row and column of each patch's centre in [0, 1], float32 [rows * columns, 2]."""
    rows, columns = np.meshgrid(*((np.arange(count) + 0.5) / count for count in grid), indexing="ij")
    return np.stack([rows.ravel(), columns.ravel()], axis=1).astype(np.float32)


def camera_bucket(name: str, buckets: int) -> int:
    """Return a stable small number for a camera's name, below `buckets`."""
    return stable_hash("camera", name, bits=32) % buckets
