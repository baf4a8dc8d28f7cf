"""Pictures that are decoded when somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType

import numpy as np
from numpy.typing import DTypeLike, NDArray

Rows = int | slice | list[int] | NDArray[np.integer] | NDArray[np.bool_]


class LazyFrames:
    """Indexes like an array uint8 [samples, height, width, 3]; each look decodes the chosen samples."""

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(
        self, shape: tuple[int, int, int, int], decode: Callable[[NDArray[np.int64]], NDArray[np.uint8]]
    ) -> None:
        """`decode` gives the samples of these numbers (increasing, none twice)."""
        self.shape = shape
        self._decode = decode

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.shape[0]

    def __getitem__(self, at: Rows | tuple[Rows | EllipsisType, ...]) -> NDArray[np.uint8]:
        """Return one picture [height, width, 3] or several [n, height, width, 3]; further indices cut the pictures."""
        first, rest = (at[0], at[1:]) if isinstance(at, tuple) else (at, ())
        rows = np.arange(len(self), dtype=np.int64)[first]
        if not rows.size:
            return np.empty((*rows.shape, *self.shape[1:]), np.uint8)
        wanted, places = np.unique(rows, return_inverse=True)
        found = self._decode(wanted)[places.reshape(rows.shape)]
        inner = rest if isinstance(first, int | np.integer) else (slice(None), *rest)
        return np.asarray(found[inner])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Decode everything."""
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        """Return a line that says how many pictures there are, and their size."""
        count, height, width, _ = self.shape
        return f"<{count} pictures of {width} x {height}, decoded on demand>"
