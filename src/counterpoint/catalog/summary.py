"""What a store holds: episodes and hours by robot, task, site, environment and source."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.records import Json
from counterpoint.store import EpisodeInfo, Store

GroupKey = Literal["robot", "task", "site", "environment", "source"]
GROUP_KEYS: tuple[GroupKey, ...] = get_args(GroupKey)
UNKNOWN = "(unknown)"
"""Stands for an empty site, environment or task."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Part of a store."""

    episodes: int
    hours: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A store in numbers; hours are of robot time, from first to last sample of each episode."""

    episodes: int
    hours: float
    bytes: int
    """Of the masters on disk."""
    success_rate: float | None
    """Among the episodes whose success is known; None where it is known for none."""
    by_robot: dict[str, Share]
    by_task: dict[str, Share]
    by_site: dict[str, Share]
    by_environment: dict[str, Share]
    by_source: dict[str, Share]
    damaged: int
    """Episodes whose manifest cannot be read; not counted above."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        return asdict(self)


def summarize(store: Store) -> Summary:
    """Count episodes and hours of `store` from its index alone; no sample is read."""
    table = _flat(store.table)
    known = pc.drop_null(table["success"])
    return Summary(
        episodes=len(store),
        hours=_hours(pc.sum(table["duration_ns"]).as_py()),
        bytes=_num_bytes(store.table),
        success_rate=pc.sum(known).as_py() / len(known) if len(known) else None,
        by_robot=_shares(table, "robot"),
        by_task=_shares(table, "task"),
        by_site=_shares(table, "site"),
        by_environment=_shares(table, "environment"),
        by_source=_shares(table, "source"),
        damaged=len(store.damaged),
    )


def list_episodes(
    store: Store, *, robot: str | None = None, task: str | None = None, source: str | None = None
) -> list[EpisodeInfo]:
    """Return the episodes that match all the given names, in the store's order."""
    table = _flat(store.table)
    keep = np.ones(len(store), dtype=np.bool_)
    for key, wanted in (("robot", robot), ("task", task), ("source", source)):
        if wanted is not None:
            keep &= pc.equal(table[key], wanted).to_numpy()
    ids = store.table["episode_id"].filter(pa.array(keep)).to_pylist()
    return [store.info(episode_id) for episode_id in ids]


def episode_row(info: EpisodeInfo) -> dict[str, Json]:
    """Return one line of `catalog list` as plain JSON values."""
    origin = info.provenance
    return {
        "episode_id": info.episode_id,
        "robot": origin.robot,
        "task": origin.task,
        "instruction": origin.instruction,
        "site": origin.site,
        "environment": origin.environment,
        "source": origin.source,
        "success": origin.success,
        "duration_s": round(info.duration_s, 3),
        "streams": {stream.name: stream.samples for stream in info.streams},
        "notes": list(origin.notes),
    }


def _flat(index: pa.Table) -> pa.Table:
    """Return one column a grouping key, plus success and duration."""
    provenance = index["provenance"].combine_chunks()
    columns: dict[str, pa.ChunkedArray] = {key: pc.struct_field(provenance, key) for key in GROUP_KEYS}
    columns["success"] = pc.struct_field(provenance, "success")
    columns["duration_ns"] = pc.subtract(index["end_ns"], index["start_ns"])
    return pa.table(columns)


def _shares(table: pa.Table, key: GroupKey) -> dict[str, Share]:
    grouped = table.group_by(key).aggregate([("duration_ns", "sum"), ("duration_ns", "count")]).sort_by(key)
    return {
        row[key] or UNKNOWN: Share(episodes=row["duration_ns_count"], hours=_hours(row["duration_ns_sum"]))
        for row in grouped.to_pylist()
    }


def _num_bytes(index: pa.Table) -> int:
    files = pc.list_flatten(index["files"])
    return pc.sum(pc.struct_field(files, "bytes")).as_py() or 0


def _hours(duration_ns: int | None) -> float:
    return round((duration_ns or 0) / NS_PER_SECOND / 3600, 6)
