"""The index of several stores as one table, with dates; queries, splits and mixtures work on it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.store import Store

UNKNOWN = "(unknown)"
"""Label of an empty site, environment or task, and of the week of an episode whose clock does not show dates."""
EARLIEST_NS = 946_684_800 * NS_PER_SECOND
"""Start of the year 2000: earlier times are counters, not dates."""
LATEST_NS = 4_102_444_800 * NS_PER_SECOND
"""Start of the year 2100."""
DAY_NS = 86_400 * NS_PER_SECOND


def episode_table(stores: Sequence[Store]) -> pa.Table:
    """Return the episodes of several stores with a first column `store`, the store's place."""
    tables = []
    for number, store in enumerate(stores):
        table = store.flat()
        tables.append(table.add_column(0, "store", pa.array([number], pa.int32()).take(_zeros(table.num_rows))))
    return pa.concat_tables(tables)


def week_start_ns(start_ns: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the Monday (UTC) of each start as int64 nanoseconds, null where the start is not a date."""
    dated = pc.and_(pc.greater_equal(start_ns, EARLIEST_NS), pc.less(start_ns, LATEST_NS))
    # 1970-01-01 was a Thursday: Mondays lie three days before multiples of a week.
    since = pc.add(start_ns, 3 * DAY_NS)
    monday = pc.subtract(pc.multiply(pc.divide(since, 7 * DAY_NS), 7 * DAY_NS), 3 * DAY_NS)
    return pc.if_else(dated, monday, pa.scalar(None, pa.int64()))


def _zeros(count: int) -> pa.Array:
    return pa.nulls(count, pa.int64()).fill_null(0)
