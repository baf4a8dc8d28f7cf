"""Fingerprints of all episodes of a store, cached in `catalogue/fingerprints.parquet`; only new episodes are read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from counterpoint.catalog.cache import load_table, save_table
from counterpoint.catalog.duplicates.clusters import cluster_labels
from counterpoint.catalog.duplicates.fingerprint import VERSION, Fingerprint, fingerprint
from counterpoint.catalog.portions import Portion, portions
from counterpoint.engine import Engine, open_engine
from counterpoint.store import Store

logger = logging.getLogger(__name__)

FILE = "catalogue/fingerprints.parquet"
CLUSTERS = "catalogue/clusters.parquet"
SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("content_sha256", pa.string()),
        ("has_motion", pa.bool_()),
        ("trajectory", pa.uint64()),
        ("video", pa.list_(pa.uint64())),
        ("shape", pa.list_(pa.float32())),
    ]
)
EPISODES_PER_TASK = 64
FEW_TASKS = 8
"""Fewer tasks run in this process, because starting others takes longer."""


def open_fingerprints(
    store: Store, *, among: pa.Array | None = None, engine: Engine | None = None, progress: bool = False
) -> tuple[pa.Table, list[str]]:
    """Return the fingerprints of a store's episodes in its order, and what could not be read (one line each).

    Episodes that cannot be read are missing from the table. Cached fingerprints are not computed again.
    `among` are the wanted ids; None for all.
    """
    key = f"fingerprints-{VERSION}"
    index = store.flat().select(["episode_id", "content_sha256"]).combine_chunks()
    known = load_table(store.root / FILE, key, SCHEMA)
    known = SCHEMA.empty_table() if known is None else known.combine_chunks()
    known = known.filter(pc.is_in(known["content_sha256"], value_set=_one(index["content_sha256"])))
    wanted = index if among is None else index.filter(pc.is_in(index["episode_id"], value_set=among))
    places = pc.index_in(_one(wanted["episode_id"]), value_set=_one(known["episode_id"]))
    same = pc.equal(_one(known["content_sha256"]).take(places), _one(wanted["content_sha256"]))
    new = wanted.filter(pc.invert(pc.fill_null(same, False)))["episode_id"].to_pylist()
    rows, problems = _read_all(store, new, engine, progress) if new else ([], [])
    table = pa.concat_tables([known, pa.Table.from_pylist(rows, schema=SCHEMA)]).combine_chunks()
    if rows:
        save_table(store.root / FILE, table, key)
    order = pc.index_in(_one(wanted["episode_id"]), value_set=_one(table["episode_id"]))
    return table.take(pc.drop_null(order)), problems


def _read_all(
    store: Store, episode_ids: Sequence[str], engine: Engine | None, progress: bool
) -> tuple[list[dict[str, object]], list[str]]:
    tasks = portions(store, episode_ids, EPISODES_PER_TASK)
    rows: list[dict[str, object]] = []
    problems: list[str] = []
    workers = open_engine("local", workers=1) if engine is None or len(tasks) < FEW_TASKS else engine
    for done in workers.run(_read, tasks, label="fingerprints", unit="task", progress=progress):
        found, failed = done.result if done.result is not None else ([], [done.message])
        rows += [{name: getattr(each, name) for name in SCHEMA.names} for each in found]
        problems += failed
    return rows, sorted(problems)


def find_clusters(
    stores: Sequence[Store], *, engine: Engine | None = None, progress: bool = False
) -> tuple[NDArray[np.int64], list[str]]:
    """Return a cluster number for each episode of `episode_table(stores)`, int64, and what could not be read.

    A cluster number is the row of its first episode. An episode without a fingerprint is its own cluster.
    The clusters of a single store are saved for SQL as `catalogue/clusters.parquet`.
    """
    tables, problems = [], []
    numbers: list[NDArray[np.int64]] = []
    offset = 0
    for store in stores:
        table, failed = open_fingerprints(store, engine=engine, progress=progress)
        problems += failed
        index = store.flat()["episode_id"].combine_chunks()
        numbers.append(offset + pc.index_in(table["episode_id"].combine_chunks(), value_set=index).to_numpy())
        offset += len(index)
        tables.append(table)
    rows = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
    labels = np.arange(offset, dtype=np.int64)
    if len(rows):
        labels[rows] = rows[cluster_labels(pa.concat_tables(tables))]
    if len(stores) == 1:
        ids = stores[0].flat()["episode_id"].combine_chunks()
        clusters = pa.table({"episode_id": ids, "cluster": ids.take(pa.array(labels))})
        save_table(stores[0].root / CLUSTERS, clusters, f"clusters-{VERSION}")
    return labels, problems


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _read(portion: Portion) -> tuple[list[Fingerprint], list[str]]:
    store = portion.store()
    found: list[Fingerprint] = []
    failed: list[str] = []
    for episode_id in portion.episode_ids:
        try:
            found.append(fingerprint(store, episode_id))
        except ValueError as error:
            failed.append(f"{episode_id}: {error}")
    return found, failed
