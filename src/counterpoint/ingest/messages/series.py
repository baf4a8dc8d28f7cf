"""Samples of one feature, collected over all blocks of a log and put in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.columns import check_finite
from counterpoint.ingest.messages.clock import capture_times
from counterpoint.ingest.messages.extract import Extracted
from counterpoint.ingest.messages.topic import Block
from counterpoint.ingest.recording.episode import check_order
from counterpoint.ingest.recording.recording import Series


@dataclass(kw_only=True, eq=False)
class SeriesBuilder:
    """Builds a series. Columns are matched by name, whatever order a message has them in."""

    feature: str
    where: str
    names: tuple[str, ...]
    width: int
    strict: bool
    """Whether a change of width or times out of order are errors; otherwise the series is dropped, or sorted."""
    broken: bool = False
    pieces: list[tuple[NDArray[np.int64], ...]] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    has_stamp: bool = True

    def add(self, extracted: Extracted, block: Block, first: int) -> None:
        """Add samples of `block`, whose first message is number `first` of the topic.

        Raises:
            IngestError: `dimension_mismatch` where a strict series changes its columns.
        """
        columns = self._columns(extracted)
        if columns is None:
            if self.strict:
                raise IngestError(
                    f"{self.where}: {self.feature}: {extracted.values.shape[1]} numbers "
                    f"({', '.join(extracted.names) or 'no names'}), but its first message had {self.width} "
                    f"({', '.join(self.names) or 'no names'}). Split the log where the robot changes",
                    reason="dimension_mismatch",
                )
            self.broken = True
        if self.broken or columns is None:
            self.pieces.clear()
            self.values.clear()
            return
        zeros = np.zeros(len(extracted.rows), np.int64)
        self.has_stamp &= extracted.stamp_ns is not None
        stamp = zeros if extracted.stamp_ns is None else extracted.stamp_ns
        ahead = zeros if extracted.ahead_ns is None else extracted.ahead_ns
        self.pieces.append(
            (first + extracted.rows, block.log_ns[extracted.rows], block.publish_ns[extracted.rows], stamp, ahead)
        )
        self.values.append(extracted.values if columns == slice(None) else extracted.values[:, columns])

    def _columns(self, extracted: Extracted) -> list[int] | slice | None:
        if extracted.values.shape[1] != self.width:
            return None
        if extracted.names == self.names:
            return slice(None)
        if len(set(self.names)) < len(self.names) or set(extracted.names) != set(self.names):
            return None
        return [extracted.names.index(name) for name in self.names]

    def series(self) -> tuple[Series, list[str]]:
        """Return the samples in capture order and reason codes.

        Raises:
            IngestError: `time_backwards` where the stamps of a strict series do, `not_finite`.
        """
        if not self.pieces:
            return empty_series(self.width), [f"left_out:{self.feature}"] if self.broken else []
        index, log, publish, stamp, ahead = (np.concatenate(each) for each in zip(*self.pieces, strict=True))
        values = np.concatenate(self.values)
        order = np.lexsort((ahead, index, log))
        index, log, publish, stamp, ahead = (each[order] for each in (index, log, publish, stamp, ahead))
        capture, notes = capture_times(stamp if self.has_stamp else None, publish, log, self.feature)
        if ahead.any():
            keep, capture = _superseded(index, capture, ahead)
            order, log, capture = order[keep], log[keep], capture[keep]
        elif not self.strict and (np.diff(capture) < 0).any():
            sorting = np.argsort(capture, kind="stable")
            order, log, capture = order[sorting], log[sorting], capture[sorting]
            notes.append(f"reordered:{self.feature}")
        check_order(capture, f"{self.where}: {self.feature}")
        values = values[order]
        if self.strict:
            check_finite(values, f"{self.where}: {self.feature}")
        elif not (finite := np.isfinite(values).all(axis=1)).all():
            values, capture, log = values[finite], capture[finite], log[finite]
            notes.append(f"not_finite:{self.feature}")
        return Series(values=values, capture_ns=capture, arrival_ns=np.maximum(log, capture)), notes


def empty_series(width: int) -> Series:
    """Return a series without samples."""
    none = np.empty(0, np.int64)
    return Series(values=np.empty((0, width)), capture_ns=none, arrival_ns=none)


def _superseded(
    index: NDArray[np.int64], capture: NDArray[np.int64], ahead: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which points of trajectories took effect, and when: a newer trajectory replaces the one before."""
    changes = np.flatnonzero(np.diff(index)) + 1
    starts = np.concatenate([capture[changes], [np.iinfo(np.int64).max]])
    ends = starts[np.searchsorted(changes, np.arange(len(index)), side="right")]
    due = capture + ahead
    return (due < ends) | (ahead == 0), due
