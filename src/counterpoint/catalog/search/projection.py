"""A map of a store: each episode gets a point in the plane, near episodes with similar text and motion.

text (SVD of n-grams) + shape of the motion --PCA--> 24 numbers --t-SNE of landmarks--> x, y
                                                                 others: between their nearest landmarks
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from counterpoint.catalog.duplicates.fingerprint_table import open_fingerprints
from counterpoint.catalog.search.text_search import coded_texts, open_index
from counterpoint.core.seeding import generator
from counterpoint.engine import Engine
from counterpoint.store import Store

Floats = NDArray[np.float64]

LANDMARKS = 2000
NEIGHBOURS = 4
DIMENSIONS = 24
WEIGHTS = {"task": 1.0, "instruction": 0.5, "shape": 0.7}
"""Weights of the task's name, of the instruction and of the motion's shape, each of unit spread."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MapPoints:
    """Episodes and their places."""

    table: pa.Table
    """Columns of `Store.flat`, the episodes shown."""
    places: NDArray[np.float32]
    """[rows, 2], between about -1 and 1."""
    total: int
    """Episodes of the store."""
    unread: tuple[str, ...]
    """Episodes whose motion could not be read, one line each; they are placed by text alone."""

    @property
    def is_sample(self) -> bool:
        """Whether episodes were left out."""
        return bool(self.table.num_rows < self.total)


def project_store(
    store: Store, *, most: int = 20_000, engine: Engine | None = None, progress: bool = False, seed: int = 0
) -> MapPoints:
    """Place the episodes of a store, at most `most` of them, chosen by `seed`; the same call gives the same map."""
    table = store.flat()
    total = table.num_rows
    if total > most:
        chosen = np.sort(generator(seed, "map").choice(total, most, replace=False))
        table = table.take(pa.array(chosen))
    ids = table["episode_id"].combine_chunks()
    prints, unread = open_fingerprints(store, among=ids if total > most else None, engine=engine, progress=progress)
    parts = {
        "task": _text_features(
            table.set_column(table.schema.get_field_index("instruction"), "instruction", table["task"])
        ),
        "instruction": _text_features(table),
        "shape": _shape_features(ids, prints),
    }
    features = np.concatenate([WEIGHTS[name] * part for name, part in parts.items()], axis=1)
    return MapPoints(table=table, places=project(features, seed=seed), total=total, unread=tuple(unread))


def project(features: Floats, *, seed: int = 0) -> NDArray[np.float32]:
    """Return a place for each row of features [rows, any], float32 [rows, 2] between about -1 and 1."""
    count = len(features)
    if count < 3:
        return np.stack([np.linspace(-0.5, 0.5, count), np.zeros(count)], axis=1).astype(np.float32)
    kept = min(DIMENSIONS, count - 1, features.shape[1])
    reduced = PCA(kept, svd_solver="full" if count <= LANDMARKS else "randomized", random_state=0).fit_transform(
        features
    )
    if count <= 5 or not np.ptp(reduced, axis=0).max() > 1e-9:
        places = np.pad(reduced, ((0, 0), (0, 2)))[:, :2]
    else:
        landmarks = np.sort(generator(seed, "landmarks").choice(count, min(count, LANDMARKS), replace=False))
        places = _spread(reduced, landmarks, seed)
    middle = np.median(places, axis=0)
    reach = np.quantile(np.abs(places - middle), 0.99)
    return np.asarray((places - middle) / max(float(reach), 1e-9), dtype=np.float32)


def _spread(reduced: Floats, landmarks: NDArray[np.int64], seed: int) -> Floats:
    """Lay out landmarks by t-SNE and put every other row between its nearest landmarks."""
    perplexity = float(np.clip(len(landmarks) / 8, 1.5, 30.0))
    start = reduced[landmarks][:, :2] / max(float(reduced[landmarks][:, 0].std()), 1e-9) * 1e-4
    start = np.pad(start, ((0, 0), (0, 2)))[:, :2] + generator(seed, "start").normal(0, 1e-6, (len(landmarks), 2))
    laid = TSNE(2, perplexity=perplexity, init=start.astype(np.float32), random_state=0).fit_transform(
        reduced[landmarks]
    )
    if len(landmarks) == len(reduced):
        return np.asarray(laid, dtype=np.float64)
    distance, nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(reduced[landmarks]).kneighbors(reduced)
    weight = 1.0 / (distance + 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    places = (laid[nearest] * weight[:, :, None]).sum(axis=1)
    # Landmarks stay where they are; a little noise keeps equal episodes from hiding each other.
    places += generator(seed, "jitter").normal(0, 0.004 * laid.std(), places.shape)
    places[landmarks] = laid
    return np.asarray(places, dtype=np.float64)


def _text_features(table: pa.Table) -> Floats:
    coded = coded_texts(table)
    return _unit_spread(open_index(None, coded.texts).vectors.astype(np.float64)[coded.codes])


def _shape_features(ids: pa.Array, prints: pa.Table) -> Floats:
    if not prints.num_rows:
        return np.zeros((len(ids), 1))
    shapes = np.array(prints["shape"].to_pylist(), np.float64).reshape(prints.num_rows, -1)
    places = pc.index_in(ids, value_set=prints["episode_id"].combine_chunks())
    known = places.is_valid().to_numpy(zero_copy_only=False)
    rows = np.zeros((len(ids), shapes.shape[1]))
    if known.any():
        shapes = (shapes - shapes.mean(axis=0)) / np.maximum(shapes.std(axis=0), 1e-6)
        rows[known] = np.clip(shapes, -4, 4)[pc.drop_null(places).to_numpy()]
    return _unit_spread(rows)


def _unit_spread(rows: Floats) -> Floats:
    """Centre, and scale all columns alike so that rows lie at a root mean square distance of 1 from the middle."""
    if not rows.size:
        return np.zeros((len(rows), 1))
    centred = rows - rows.mean(axis=0)
    return np.asarray(centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-9))
