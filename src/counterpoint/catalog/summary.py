"""What a store holds: episodes, hours and success by robot, task, site, environment, source and week."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterpoint.catalog.episode_table import UNKNOWN, week_start_ns
from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.records import Json
from counterpoint.store import EpisodeInfo, Store

GroupKey = Literal["robot", "task", "site", "environment", "source", "week"]
GROUP_KEYS: tuple[GroupKey, ...] = get_args(GroupKey)


@dataclass(frozen=True, kw_only=True)
class Share:
    """Part of a store."""

    episodes: int
    hours: float
    success_rate: float | None = None
    """Among the episodes whose success is known; None where it is known for none."""


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
    by_week: dict[str, Share]
    """By the Monday (UTC) of the week in which episodes began, for example `2026-11-16`."""
    damaged: int
    """Episodes whose manifest cannot be read; not counted above."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        return asdict(self)

    def by(self, key: GroupKey) -> dict[str, Share]:
        """Return the shares of one grouping."""
        shares: dict[str, Share] = getattr(self, f"by_{key}")
        return shares


def summarize(store: Store) -> Summary:
    """Count episodes and hours of `store` from its index alone; no sample is read."""
    return summarize_table(store.flat(), damaged=len(store.damaged))


def summarize_table(table: pa.Table, *, damaged: int = 0) -> Summary:
    """Count episodes and hours of a table as `Store.flat` returns it; durations that are not finite count as 0."""
    seconds = pc.if_else(pc.is_finite(table["duration_s"]), table["duration_s"], 0.0)
    facts = pa.table({"seconds": pc.fill_null(seconds, 0.0), "success": pc.cast(table["success"], pa.int64())})
    shares = {f"by_{key}": _shares(facts, _group_column(table, key)) for key in GROUP_KEYS}
    known = facts["success"].length() - facts["success"].null_count
    return Summary(
        episodes=table.num_rows,
        hours=_hours(pc.sum(facts["seconds"]).as_py()),
        bytes=pc.sum(table["num_bytes"]).as_py() or 0,
        success_rate=pc.sum(facts["success"]).as_py() / known if known else None,
        damaged=damaged,
        **shares,
    )


def list_episodes(
    store: Store,
    *,
    robot: str | None = None,
    task: str | None = None,
    source: str | None = None,
    limit: int | None = None,
) -> list[EpisodeInfo]:
    """Return the (first `limit`) episodes that match all the given names, in the store's order."""
    table = store.flat()
    keep = np.ones(table.num_rows, dtype=np.bool_)
    for key, wanted in (("robot", robot), ("task", task), ("source", source)):
        if wanted is not None:
            keep &= pc.equal(table[key], wanted).to_numpy()
    ids = table["episode_id"].filter(pa.array(keep)).slice(0, limit).to_pylist()
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


def _group_column(table: pa.Table, key: GroupKey) -> pa.ChunkedArray:
    """Return the column to group by; weeks stay numbers until they have been counted."""
    return week_start_ns(table["start_ns"]) if key == "week" else table[key]


def _shares(facts: pa.Table, column: pa.ChunkedArray) -> dict[str, Share]:
    counts = [("seconds", "sum"), ("seconds", "count"), ("success", "sum"), ("success", "count")]
    grouped = facts.append_column("key", column).group_by("key").aggregate(counts).sort_by("key")
    return {
        _label(row["key"]): Share(
            episodes=row["seconds_count"],
            hours=_hours(row["seconds_sum"]),
            success_rate=row["success_sum"] / row["success_count"] if row["success_count"] else None,
        )
        for row in grouped.to_pylist()
    }


def _label(key: str | int | None) -> str:
    if isinstance(key, int):
        return datetime.fromtimestamp(key // NS_PER_SECOND, UTC).date().isoformat()
    return key or UNKNOWN


def _hours(seconds: float | None) -> float:
    return round((seconds or 0.0) / 3600, 6)
