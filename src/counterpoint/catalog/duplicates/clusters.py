"""Near-duplicates: episodes that show the same motion, in clusters.

Two episodes are alike if their trajectory hashes differ in at most 6 of 64 bits and, if both have pictures, some
camera of one matches some camera of the other (at most 6 of 63 bits on average). Clusters are the connected
components. Candidates share bytes: with 6 differing bits, at least 2 of the 8 bytes are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.catalog.duplicates.fingerprint import FRAME_SHARES
from counterpoint.catalog.groups import connected

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

TRAJECTORY_BITS = 6
VIDEO_BITS = 6
BLOCKS = 8


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Episodes that are alike; at least two."""

    episodes: tuple[str, ...]
    robots: tuple[str, ...]
    tasks: tuple[str, ...]
    redundant_hours: float
    """Hours of all episodes but the longest."""


def cluster_labels(prints: pa.Table) -> Ints:
    """Return for each row the first row of its cluster, int64 [rows]; a row without duplicates is its own cluster.

    `prints` has the columns of `fingerprint_table.SCHEMA`.
    """
    trajectory = prints["trajectory"].to_numpy().astype(np.uint64)
    moves = prints["has_motion"].to_numpy(zero_copy_only=False)
    videos = [tuple(row) for row in prints["video"].to_pylist()]
    pairs: list[tuple[int, int]] = []
    first: dict[object, int] = {}
    for row, content in enumerate(prints["content_sha256"].to_pylist()):
        pairs.append((first.setdefault(content, row), row))
    places: dict[object, list[int]] = {}
    for row, key in enumerate(zip(trajectory.tolist(), moves.tolist(), videos, strict=True)):
        places.setdefault(key, []).append(row)
    for rows in places.values():
        if moves[rows[0]] or videos[rows[0]]:
            pairs += [(rows[0], other) for other in rows[1:]]
    kept = np.array([rows[0] for rows in places.values()], np.int64)
    for left, right in alike_pairs(trajectory[kept], TRAJECTORY_BITS):
        for a, b in zip(kept[left].tolist(), kept[right].tolist(), strict=True):
            if moves[a] == moves[b] and _same_pictures(videos[a], videos[b], needed=not moves[a]):
                pairs.append((a, b))
    return connected(len(trajectory), np.array(pairs, np.int64).reshape(-1, 2))


def alike_pairs(hashes: Hashes, most_bits: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield pairs of places whose 64-bit hashes differ in at most `most_bits` (up to 6) bits; some more than once."""
    assert most_bits <= BLOCKS - 2
    blocks = hashes.view(np.uint8).reshape(-1, BLOCKS).astype(np.uint32)
    for left, right in combinations(range(BLOCKS), 2):
        key = (blocks[:, left] << 8) | blocks[:, right]
        order = np.argsort(key, kind="stable")
        sorted_key, sorted_hash = key[order], hashes[order]
        active = np.arange(len(order) - 1)
        step = 1
        while len(active):
            active = active[active + step < len(order)]
            active = active[sorted_key[active] == sorted_key[active + step]]
            near = np.bitwise_count(sorted_hash[active] ^ sorted_hash[active + step]) <= most_bits
            if near.any():
                yield order[active[near]], order[active[near] + step]
            step += 1


def describe_clusters(table: pa.Table, labels: Ints) -> list[Cluster]:
    """Return the clusters of two and more, most redundant hours first; `table` as `Store.flat`, a row a label."""
    order = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    clusters = []
    for start, count in zip(starts[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
        rows = table.take(pa.array(order[start : start + count]))
        seconds = np.nan_to_num(rows["duration_s"].to_numpy())
        clusters.append(
            Cluster(
                episodes=tuple(rows["episode_id"].to_pylist()),
                robots=tuple(sorted(set(rows["robot"].to_pylist()))),
                tasks=tuple(sorted({task or "" for task in rows["task"].to_pylist()})),
                redundant_hours=round(float(seconds.sum() - seconds.max()) / 3600, 6),
            )
        )
    return sorted(clusters, key=lambda cluster: (-cluster.redundant_hours, cluster.episodes))


def _same_pictures(one: Sequence[int], other: Sequence[int], *, needed: bool) -> bool:
    """Whether some camera of one episode matches some camera of the other; True without pictures unless `needed`."""
    if not one or not other:
        return not needed
    frames = len(FRAME_SHARES)
    cameras_one = np.array(one, np.uint64).reshape(-1, 1, frames)
    cameras_other = np.array(other, np.uint64).reshape(1, -1, frames)
    distance = np.bitwise_count(cameras_one ^ cameras_other).astype(np.float64).mean(axis=2)
    return bool(distance.min() <= VIDEO_BITS)
