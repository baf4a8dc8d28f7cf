"""Freezing a mixture: queries choose episodes, splits divide them, caps and temperature weigh the parts.

    stores --query--> parts --splits--> train | validation | test --caps--> hours --temperature--> weights

An episode belongs to the first part whose query matches; a recording that lies in two stores is used once. Caps limit
only the training episodes of a part, in the order of a hash, so that a smaller cap is a subset of a larger one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from counterpoint.catalog.duplicates.fingerprint_table import find_clusters
from counterpoint.catalog.mixtures.mixture import SCHEMA, SPLITS, Mixture, Part, SplitSettings
from counterpoint.catalog.mixtures.splits import Division, describe_division, divide
from counterpoint.catalog.mixtures.statistics import StreamAccumulator, StreamStatistics, measure_episodes
from counterpoint.catalog.portions import Portion, portions
from counterpoint.catalog.sql import Catalog
from counterpoint.core.errors import ConfigError, StoreError
from counterpoint.core.records import Json
from counterpoint.core.seeding import stable_hash
from counterpoint.engine import Engine, open_engine
from counterpoint.store import Store

Ints = NDArray[np.int64]
EPISODES_PER_TASK = 256
FEW_TASKS = 4
"""Fewer tasks run in this process, because starting others takes longer."""


@dataclass(frozen=True, kw_only=True)
class PartRequest:
    """A part of a mixture to freeze."""

    name: str
    query: str = "true"
    """SQL condition on the `episodes` view."""
    weight: float | None = None
    """Probability of the part. Parts without one share the rest by temperature; if all have one, only ratios count."""
    cap_hours: float | None = None
    """At most so many hours of training episodes (the episode that crosses the cap is left out, the first never)."""


@dataclass(frozen=True, kw_only=True)
class MixtureRequest:
    """A mixture to freeze.

    Raises:
        ConfigError: duplicate names, or numbers out of range.
    """

    name: str
    parts: tuple[PartRequest, ...] = (PartRequest(name="all"),)
    temperature: float = 1.0
    """Parts are weighed by hours ** (1 / temperature): 1 in proportion to hours, infinity all alike."""
    splits: SplitSettings = field(default_factory=SplitSettings)

    def __post_init__(self) -> None:
        """Check names and ranges."""
        names = [part.name for part in self.parts]
        if not names or not all(names) or len(set(names)) < len(names):
            raise ConfigError(f"mixture.parts: expected at least one part, names unique, got {names}")
        if not self.temperature > 0:
            raise ConfigError(f"mixture.temperature: expected more than 0, got {self.temperature}")
        for part in self.parts:
            if part.weight is not None and not 0 <= part.weight < math.inf:
                raise ConfigError(f"mixture.parts.{part.name}.weight: expected 0 or more, got {part.weight}")
            if part.cap_hours is not None and not part.cap_hours > 0:
                raise ConfigError(f"mixture.parts.{part.name}.cap_hours: expected more than 0, got {part.cap_hours}")


@dataclass(frozen=True, kw_only=True)
class FrozenMixture:
    """A frozen mixture, and a report of the freezing."""

    mixture: Mixture
    splits: dict[str, Json]
    """See `describe_division`."""
    copies: int
    """Recordings left out because another episode holds the same recording."""
    moved: int
    """Episodes that changed their split against the earlier mixture, because groups were joined."""
    unread: tuple[str, ...]
    """Damaged episodes, without a fingerprint, one line each; each forms a group of its own in the splits."""


def freeze(
    stores: Sequence[Store],
    request: MixtureRequest,
    *,
    earlier: Mixture | None = None,
    statistics: bool = True,
    engine: Engine | None = None,
    progress: bool = False,
) -> FrozenMixture:
    """Choose, split, weigh and measure episodes; nothing is written.

    Args:
        stores: where the episodes lie.
        request: what to choose.
        earlier: mixture whose splits are kept for the episodes it knows.
        statistics: whether to measure the spread of every robot's values (reads all training episodes).
        engine: runs what is parallel.
        progress: show progress bars.

    Raises:
        ConfigError: an invalid query, a part without episodes, or impossible weights.
    """
    catalog = Catalog(stores)
    part_of = _part_of(catalog, request.parts)
    copies = _copies(catalog.table, part_of)
    part_of[copies] = -1
    chosen = np.flatnonzero(part_of >= 0)
    clusters, unread = None, list[str]()
    if "duplicate" in request.splits.by:
        labels, unread = find_clusters(stores, engine=engine, progress=progress)
        clusters = labels[chosen]
    table, parts = catalog.table.take(pa.array(chosen)), part_of[chosen]
    known = None
    if earlier is not None:
        known = dict(zip(earlier.table["content_sha256"].to_pylist(), earlier.table["split"].to_pylist(), strict=True))
    division = divide(table, request.splits, clusters=clusters, earlier=known)
    kept = _capped(table, parts, division, request.parts)
    rows = _rows(table, parts, division, request.parts).filter(pa.array(kept))
    weighed = _weighed(rows, request)
    mixture = Mixture(
        name=request.name,
        parts=weighed,
        table=rows,
        stores=tuple(str(store.root) for store in stores),
        temperature=request.temperature,
        splits=request.splits,
    )
    if statistics:
        mixture = replace(mixture, statistics=measure(stores, mixture.rows("train"), engine=engine, progress=progress))
    return FrozenMixture(
        mixture=mixture.sealed(),
        splits=describe_division(table, division, request.splits),
        copies=len(copies),
        moved=division.moved,
        unread=tuple(unread),
    )


def measure(
    stores: Sequence[Store], rows: pa.Table, *, engine: Engine | None = None, progress: bool = False
) -> dict[str, dict[str, StreamStatistics]]:
    """Return the statistics of every robot over `rows` (as `Mixture.rows`); the same however many workers there are.

    Raises:
        StoreError: an episode cannot be read, or two give a stream other channels.
    """
    tasks = _tasks(stores, rows)
    workers = open_engine("local", workers=1) if engine is None or len(tasks) < FEW_TASKS else engine
    waiting: dict[int, dict[str, StreamAccumulator]] = {}
    gathered: dict[str, dict[str, StreamAccumulator]] = {}
    merged = 0
    for done in workers.run(_measure, tasks, label="statistics", unit="task", progress=progress):
        if done.result is None:
            raise StoreError(f"statistics of robot {done.task.robot!r}: {done.message}")
        waiting[done.task.number] = done.result
        while merged in waiting:  # in order: the sketches then drop the same halves on every machine
            robot = gathered.setdefault(tasks[merged].robot, {})
            for name, part in waiting.pop(merged).items():
                if name in robot:
                    robot[name].merge(part)
                else:
                    robot[name] = part
            merged += 1
    return {
        robot: {name: streams[name].result() for name in sorted(streams)} for robot, streams in sorted(gathered.items())
    }


@dataclass(frozen=True, kw_only=True)
class _Task:
    """Episodes of one robot in one store."""

    number: int
    robot: str
    portion: Portion


def _tasks(stores: Sequence[Store], rows: pa.Table) -> list[_Task]:
    tasks: list[_Task] = []
    groups = rows.group_by(["robot", "store"]).aggregate([("episode_id", "list")])
    for group in groups.sort_by([("robot", "ascending"), ("store", "ascending")]).to_pylist():
        for portion in portions(stores[group["store"]], group["episode_id_list"], EPISODES_PER_TASK):
            tasks.append(_Task(number=len(tasks), robot=group["robot"], portion=portion))
    return tasks


def _measure(task: _Task) -> dict[str, StreamAccumulator]:
    return measure_episodes(task.portion.store(), task.portion.episode_ids)


def _part_of(catalog: Catalog, parts: Sequence[PartRequest]) -> Ints:
    """Return the place in `parts` that takes each row, -1 for none."""
    part_of = np.full(catalog.table.num_rows, -1, np.int64)
    for number, part in enumerate(parts):
        rows = catalog.where(part.query)
        free = rows[part_of[rows] < 0]
        if not len(free):
            taken = f" (all {len(rows)} matching episodes belong to earlier parts)" if len(rows) else ""
            raise ConfigError(
                f"part {part.name!r}: none of {len(part_of)} episodes left for {part.query!r}{taken}; try "
                f"'counterpoint catalog STORE query \"SELECT * FROM episodes WHERE {part.query}\"'"
            )
        part_of[free] = number
    return part_of


def _copies(table: pa.Table, part_of: Ints) -> Ints:
    """Return the chosen rows whose recording an earlier chosen row has."""
    rows = np.flatnonzero(part_of >= 0)
    original = pc.if_else(pc.equal(table["content_hash"], ""), table["content_sha256"], table["content_hash"])
    keys = pc.coalesce(original, table["content_sha256"]).combine_chunks().take(pa.array(rows))
    codes = keys.dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    return np.asarray(np.delete(rows, first), dtype=np.int64)


def _capped(table: pa.Table, parts: Ints, division: Division, requests: Sequence[PartRequest]) -> NDArray[np.bool_]:
    """Return which rows stay: those held out, and training rows within their part's cap."""
    kept = np.ones(len(parts), np.bool_)
    seconds = np.nan_to_num(table["duration_s"].to_numpy())
    ids = table["episode_id"]
    for number, request in enumerate(requests):
        if request.cap_hours is not None:
            rows = np.flatnonzero((parts == number) & (division.split == 0))
            order = np.argsort(
                [stable_hash("order", name) for name in ids.take(pa.array(rows)).to_pylist()], kind="stable"
            )
            total = np.cumsum(seconds[rows[order]])
            over = total > request.cap_hours * 3600
            over[:1] = False
            kept[rows[order[np.maximum.accumulate(over)]]] = False
    return kept


def _rows(table: pa.Table, parts: Ints, division: Division, requests: Sequence[PartRequest]) -> pa.Table:
    names = pa.array([request.name for request in requests], pa.string()).take(pa.array(parts))
    splits = pa.array(list(SPLITS), pa.string()).take(pa.array(division.split))
    columns = {name: table[name] for name in SCHEMA.names if name not in ("part", "split", "duration_s")}
    columns |= {"part": names, "split": splits, "duration_s": pa.array(np.nan_to_num(table["duration_s"].to_numpy()))}
    return pa.table({name: columns[name] for name in SCHEMA.names}).cast(SCHEMA).combine_chunks()


def _weighed(rows: pa.Table, request: MixtureRequest) -> tuple[Part, ...]:
    """Count the training rows of each part and give it its weight."""
    train = rows.filter(pc.equal(rows["split"], "train"))
    counted = train.group_by(["part", "source"]).aggregate([("duration_s", "sum"), ("duration_s", "count")]).to_pylist()
    hours = {p.name: sum(r["duration_s_sum"] for r in counted if r["part"] == p.name) / 3600 for p in request.parts}
    episodes = {p.name: sum(r["duration_s_count"] for r in counted if r["part"] == p.name) for p in request.parts}
    for part in request.parts:
        if not episodes[part.name] and part.weight != 0:
            raise ConfigError(
                f"part {part.name!r}: the splits leave it no training episode; split by smaller groups than "
                f"{', '.join(request.splits.by)}, hold out less, choose another seed, or give it weight 0"
            )
    weights = _weights(request, hours)
    return tuple(
        Part(
            name=part.name,
            query=part.query,
            weight=weights[part.name],
            episodes=episodes[part.name],
            hours=hours[part.name],
            sources={
                row["source"]: row["duration_s_sum"] / 3600
                for row in sorted(counted, key=lambda row: str(row["source"]))
                if row["part"] == part.name
            },
        )
        for part in request.parts
    )


def _weights(request: MixtureRequest, hours: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities: given ones as they are, the rest by hours ** (1 / temperature)."""
    given = {part.name: part.weight for part in request.parts if part.weight is not None}
    free = [part.name for part in request.parts if part.weight is None]
    total = sum(given.values())
    if (free and total >= 1) or (not free and total <= 0):
        raise ConfigError(
            f"mixture weights: given ones sum to {total:g}; expected "
            + (f"less than 1, to leave something for {', '.join(free)}" if free else "more than 0")
        )
    if not free:
        return {name: weight / total for name, weight in given.items()}
    # Scaled by the longest part, so that a small temperature neither overflows nor loses every part.
    longest = max(max(hours[name] for name in free), 1e-12)
    raw = {name: (max(hours[name], 1e-12) / longest) ** (1 / request.temperature) for name in free}
    scale = (1 - total) / sum(raw.values())
    return {p.name: given[p.name] if p.name in given else raw[p.name] * scale for p in request.parts}
