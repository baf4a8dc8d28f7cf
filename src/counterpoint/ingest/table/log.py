"""Tables opened as a log: rows with one value of the episode column are an item, wherever they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.errors import IngestError
from counterpoint.core.stream import TimeSource
from counterpoint.ingest.files.columns import column_values, list_width, matrix, scalars
from counterpoint.ingest.mapping.robot_mapping import RobotMapping, TimeColumn
from counterpoint.ingest.recording.features import LogRobot, map_features, slug
from counterpoint.ingest.recording.pictures import camera_names, picture_bytes, picture_video
from counterpoint.ingest.recording.recorded_log import RecordedLog, choose_rate
from counterpoint.ingest.recording.recording import Recording, Series, merged_texts
from counterpoint.ingest.recording.source import ReadOptions
from counterpoint.ingest.table.columns import sort_columns, with_columns
from counterpoint.ingest.table.shard import Shard
from counterpoint.ingest.table.times import clock_ns, rate_of

USUAL_RATE_HZ = 10.0
RATE_ROWS = 1000
"""Rows of the first episode that determine the rate."""


@dataclass(frozen=True, kw_only=True)
class RowRange:
    """Consecutive rows of one file."""

    shard: Shard
    start: int
    stop: int


class TableLog(RecordedLog):
    """Files of one split or several; see `recording.source.LogSource`."""

    def __init__(self, path: Path, options: ReadOptions, splits: Mapping[str, Sequence[Shard]]) -> None:
        """Classify the columns and find the episodes; raises IngestError."""
        first = next(shard for shards in splits.values() for shard in shards)
        given = options.robot if isinstance(options.robot, RobotMapping) else None
        self._columns = columns = sort_columns(first.schema, _widths(first), given, str(path))
        self._unit = given.time.unit if given is not None and given.time is not None else columns.time_unit
        self._root = path if path.is_dir() else path.parent
        self._items: dict[str, list[RowRange]] = {}
        for split, shards in splits.items():
            self._list(path, split, shards)
        rate, notes = choose_rate(self._stated_rate(), options.robot, USUAL_RATE_HZ)
        log = LogRobot(
            name=slug(path.resolve().stem) or "robot",
            rate_hz=rate,
            description="Made from the column names of a table; part, side, axis and unit are guesses from the words.",
            source=f"table {path.name}",
        )
        mapping, mapped = map_features(columns.features, log, options, str(path))
        mapping = with_columns(mapping, columns.made_of)
        if columns.time and mapping.time is None:
            mapping = replace(mapping, time=TimeColumn(column=columns.time, unit=self._unit or self._guessed_unit()))
            assert mapping.time is not None
            self._unit = mapping.time.unit
        left_out = [f"left_out:{name}" for name in columns.left_out]
        super().__init__(path, options, mapping, [*notes, *mapped, *left_out], rate)

    def items(self) -> Sequence[str]:
        """Return `episode_000003` by the episode column, or the file's name, preceded by the split, if any."""
        return list(self._items)

    def load(self, item: str) -> Recording:
        """Read one episode; raises IngestError."""
        where = f"{self.path}, {item}"
        columns = self._columns
        wanted = {name for each in self.mapping.features for name in (each.columns or self._made_of(each.feature))}
        wanted |= {name for name in (columns.time, columns.success, columns.language, *columns.pictures) if name}
        table = self._rows(item, sorted(wanted))
        if not table.num_rows:
            raise IngestError(f"{where}: no rows", reason="no_rows")
        capture, source = self._clock(table, where)
        series = {
            each.feature: Series(
                values=self._numbers(table, each.feature, each.columns, len(each.channels), where),
                capture_ns=capture,
                time_source=source,
            )
            for each in self.mapping.features
        }
        videos = {}
        for feature, name in camera_names(columns.pictures).items():
            pictures = picture_bytes(column_values(table, feature, where), feature, self._root, where)
            videos[name] = picture_video(name, pictures, capture, self.rate_hz, f"{where}: {feature}", source)
        texts = [str(text or "") for text in column_values(table, columns.language, where)] if columns.language else []
        success = column_values(table, columns.success, where)[-1] if columns.success else None
        return Recording(
            series=series,
            videos=videos,
            texts=merged_texts(capture.tolist(), texts) if any(texts) else (),
            success=bool(success) if isinstance(success, bool | int | float) else None,
        )

    def _made_of(self, feature: str) -> tuple[str, ...]:
        return self._columns.made_of.get(feature, (feature,))

    def _list(self, path: Path, split: str, shards: Sequence[Shard]) -> None:
        """Record which rows belong to which episode."""
        prefix = f"{split}/" if split else ""
        for shard in shards:
            if not self._columns.episode:
                name = shard.path.name if path.is_dir() else path.name
                self._items[prefix + name] = [RowRange(shard=shard, start=0, stop=shard.num_rows)]
                continue
            if self._columns.episode not in shard.schema.names:
                raise IngestError(f"{shard.path}: no column {self._columns.episode!r}", reason="missing_column")
            table = shard.rows(0, shard.num_rows, [self._columns.episode])
            for name, start, stop in _runs(table, self._columns.episode, str(shard.path)):
                self._items.setdefault(prefix + name, []).append(RowRange(shard=shard, start=start, stop=stop))

    def _rows(self, item: str, columns: Sequence[str]) -> pa.Table:
        tables = []
        for rows_ in self._items[item]:
            missing = [name for name in columns if name not in rows_.shard.schema.names]
            if missing:
                raise IngestError(f"{rows_.shard.path}: no column {missing[0]!r}", reason="missing_column")
            tables.append(rows_.shard.rows(rows_.start, rows_.stop, columns))
        try:
            return pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException as error:
            raise IngestError(
                f"{self.path}, {item}: its files have different column types ({error})", reason="wrong_type"
            ) from error

    def _clock(self, table: pa.Table, where: str) -> tuple[NDArray[np.int64], TimeSource]:
        if self._columns.time:
            return clock_ns(table, self._columns.time, self._unit, where)
        return periodic_ns(0, self.rate_hz, table.num_rows), "nominal"

    def _stated_rate(self) -> float | None:
        """Return the rate of the first episode with a readable clock; None without a clock."""
        for item in list(self._items)[:100] if self._columns.time else ():
            try:
                capture, _ = clock_ns(self._start_of(item), self._columns.time, self._unit, str(self._root))
            except IngestError:
                continue
            rate = rate_of((capture - capture[0]) / 1e9) if len(capture) else None
            if rate is not None:
                return rate
        return None

    def _guessed_unit(self) -> str:
        """Return the clock's unit, guessed from the size of its first value."""
        for item in list(self._items)[:100]:
            try:
                table = self._start_of(item)
                kind = table.schema.field(self._columns.time).type
                if pa.types.is_timestamp(kind):
                    return str(kind.unit)
                ticks = float(scalars(table, self._columns.time, item)[0])
                start = float(clock_ns(table, self._columns.time, "", item)[0][0])
            except (IngestError, IndexError):
                continue
            return min(("s", "ms", "us", "ns"), key=lambda unit: abs(ticks * _FACTORS[unit] - start))
        return "s"

    def _start_of(self, item: str) -> pa.Table:
        rows_ = self._items[item][0]
        return rows_.shard.rows(rows_.start, min(rows_.stop, rows_.start + RATE_ROWS), [self._columns.time])

    def _numbers(
        self, table: pa.Table, feature: str, columns: tuple[str, ...], width: int, where: str
    ) -> NDArray[np.float64]:
        names = columns or self._columns.made_of.get(feature, ())
        if names:
            return np.stack([scalars(table, name, where) for name in names], axis=1)
        return matrix(table, feature, width, where).astype(np.float64)


_FACTORS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}


def _widths(shard: Shard) -> dict[str, int]:
    """Return the length of the lists in each list column, from its type or its first row."""
    names = [each.name for each in shard.schema if list_width(each.type) is not None]
    widths = {name: list_width(shard.schema.field(name).type) or 0 for name in names}
    open_ended = [name for name in names if not widths[name]]
    if open_ended and shard.num_rows:
        row = shard.rows(0, 1, open_ended).to_pylist()[0]
        widths |= {name: len(row[name]) for name in open_ended if row[name]}
    return {name: width for name, width in widths.items() if width}


def _runs(table: pa.Table, column: str, where: str) -> Iterator[tuple[str, int, int]]:
    """Yield (name, start, stop) of consecutive rows with equal values; raises IngestError."""
    kind = table.schema.field(column).type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values: NDArray[np.object_] | NDArray[np.float64] = np.asarray(column_values(table, column, where), np.object_)
    else:
        values = scalars(table, column, where)
    if not len(values):
        return
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = [0, *changes.tolist(), len(values)]
    for start, stop in pairwise(bounds):
        value = values[start]
        yield (f"episode_{int(value):06d}" if isinstance(value, float) else str(value)), start, stop
