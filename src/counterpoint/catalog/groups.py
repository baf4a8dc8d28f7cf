"""Connected components: groups of rows that are linked, directly or through other rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]


def connected(count: int, pairs: Ints) -> Ints:
    """Return for each of `count` rows the smallest row in its component; `pairs` int64 [n, 2] are the links."""
    if not count:
        return np.zeros(0, np.int64)
    graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return np.asarray(first[labels], dtype=np.int64)


def connected_by(columns: list[Ints]) -> Ints:
    """Return for each row the smallest row in its component; rows with equal numbers in any column are linked."""
    count = len(columns[0])
    rows = np.arange(count)
    pairs = []
    for column in columns:
        _, first, places = np.unique(column, return_index=True, return_inverse=True)
        pairs.append(np.stack([first[places], rows], axis=1))
    return connected(count, np.concatenate(pairs).astype(np.int64))
