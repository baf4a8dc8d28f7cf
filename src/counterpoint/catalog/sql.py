"""SQL over the index of stores, with DuckDB: read-only, without access to files, and a query cannot change that.

episodes   one row an episode: the columns of `flat.episode_table` and `hours`, `week` (Monday, a date)
streams    one row a stream of an episode: episode_id, name, kind, samples, time_source
marks      findings of `counterpoint check`, once it has run
clusters   near-duplicates (episode_id, cluster), once `catalog duplicates` has run
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterpoint.catalog.episode_table import DAY_NS, EARLIEST_NS, LATEST_NS, episode_table
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.store import Store

MARKS = "catalogue/marks.parquet"
CLUSTERS = "catalogue/clusters.parquet"
SETTINGS: Mapping[str, str] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "temp_directory": "",
    "lock_configuration": "true",
}
"""No files, network, Python variables or extensions, and no way to enable them."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Rows of a query."""

    columns: tuple[str, ...]
    rows: list[list[Json]]
    is_cut: bool
    """Whether there were more rows than asked for."""


class Catalog:
    """The index of some stores, ready for queries; one connection, for one thread."""

    def __init__(self, stores: Sequence[Store], *, table: pa.Table | None = None) -> None:
        """Register the index of `stores`; `table` replaces the flat table where it is at hand."""
        self.table = episode_table(stores) if table is None else table
        self._connection = duckdb.connect(":memory:", config=dict(SETTINGS))
        self._connection.register("_flat", self.table.append_column("row", _numbers(self.table.num_rows)))
        dated = f"start_ns BETWEEN {EARLIEST_NS} AND {LATEST_NS - 1}"
        monday = f"(start_ns + {3 * DAY_NS}) // {7 * DAY_NS} * 7 - 3"
        self._connection.execute(
            "CREATE VIEW episodes AS SELECT *, duration_s / 3600 AS hours, "
            f"CASE WHEN {dated} THEN DATE '1970-01-01' + CAST({monday} AS INTEGER) END AS week FROM _flat"
        )
        self._stores = tuple(stores)
        self._has_streams = False
        for name, path in (("marks", MARKS), ("clusters", CLUSTERS)):
            self._register_files(name, [store.root / path for store in stores])

    def query(self, sql: str, *, limit: int = 1000) -> Answer:
        """Run one SELECT and return at most `limit` rows.

        Raises:
            ConfigError: not one SELECT, or DuckDB refuses it; says why.
        """
        try:
            statements = self._connection.extract_statements(sql)
            kinds = [statement.type.name for statement in statements]
            if kinds != ["SELECT"]:
                found = ", ".join(kinds) or "nothing"
                raise ConfigError(f"query: expected one SELECT, got {found}; the catalog is read-only")
            self._register_streams(sql)
            reader: pa.RecordBatchReader = self._connection.sql(sql).to_arrow_reader(limit + 1)
            batches: list[pa.RecordBatch] = []
            for batch in reader:
                batches.append(batch)
                if sum(each.num_rows for each in batches) > limit:
                    break
            answer = pa.Table.from_batches(batches, schema=reader.schema)
        except duckdb.Error as error:
            raise ConfigError(f"query: {error}") from error
        rows = [
            [_plain(value) for value in row.values()]
            for row in answer.slice(0, limit)
            .rename_columns([str(place) for place in range(answer.num_columns)])
            .to_pylist()
        ]
        return Answer(columns=tuple(answer.column_names), rows=rows, is_cut=answer.num_rows > limit)

    def where(self, condition: str) -> NDArray[np.int64]:
        """Return the rows of `table` (increasing) for which an SQL condition on `episodes` holds.

        Raises:
            ConfigError: not a condition; says why.
        """
        try:
            self._register_streams(condition)
            chosen = self._connection.view("episodes").filter(condition).project("row").to_arrow_table()
        except (duckdb.Error, RuntimeError) as error:
            raise ConfigError(
                f"condition {condition!r}: {error}; expected SQL such as \"robot = 'ur5e' AND success\""
            ) from error
        return np.unique(chosen["row"].to_numpy())

    def _register_streams(self, sql: str) -> None:
        """Create the view `streams` only for queries that mention it, because it is expensive."""
        if "streams" in sql.lower() and not self._has_streams:
            index = [store.table.select(["episode_id", "streams"]) for store in self._stores]
            self._connection.register("_streams", pa.concat_tables(index))
            self._connection.execute(
                "CREATE VIEW streams AS SELECT episode_id, s.name AS name, s.kind AS kind, s.samples AS samples, "
                "s.time_source AS time_source FROM (SELECT episode_id, unnest(streams) AS s FROM _streams)"
            )
            self._has_streams = True

    def _register_files(self, name: str, paths: Sequence[object]) -> None:
        tables = []
        for path in paths:
            try:
                tables.append(pq.read_table(path))
            except (OSError, pa.ArrowException):
                continue  # derived; missing or damaged files leave the view out
        if tables:
            self._connection.register(name, pa.concat_tables(tables, promote_options="default"))


def _numbers(count: int) -> pa.Array:
    return pa.array(np.arange(count, dtype=np.int64))


def _plain(value: object) -> Json:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):  # sums of whole numbers come as such
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return str(value)
