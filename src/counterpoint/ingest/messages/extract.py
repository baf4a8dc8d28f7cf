"""From batches of decoded messages to rows of numbers; one function per kind of topic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.columns import widened
from counterpoint.ingest.messages.kinds import Kind
from counterpoint.ingest.messages.topic import MessageBatch, Topic

MAX_WIDTH = 1024
"""Most numbers per sample; longer rows (scans, grids) are skipped."""
MAX_FRAMES = 128
"""Most transforms in one message."""
MAX_POINTS = 10_000
_STAMPS = (("sec", "nanosec"), ("sec", "nsec"), ("seconds", "nanos"), ("secs", "nsecs"))
_STAMP_FIELDS = ("header.stamp", "timestamp", "stamp")
_NOT_VALUES = re.compile(r"(^|\.)(header\.(stamp|seq)|timestamp|stamp)(\.|$)|covariance|^layout\.")
_POINT = re.compile(r"points\[(\d+)\]\.positions")
_POSE = ("translation.x", "translation.y", "translation.z", "rotation.x", "rotation.y", "rotation.z", "rotation.w")


@dataclass(frozen=True, kw_only=True, eq=False)
class Extracted:
    """Samples of one feature from one batch."""

    feature: str
    names: tuple[str, ...]
    """Of the columns; empty where the messages do not name them."""
    values: NDArray[np.float64]
    """[samples, width]."""
    rows: NDArray[np.int64]
    """[samples], which messages of the block."""
    stamp_ns: NDArray[np.int64] | None = None
    """[samples], by the sender's clock; None where messages carry no stamp."""
    ahead_ns: NDArray[np.int64] | None = None
    """[samples], delay of a trajectory's point after the message's stamp."""


def extract(topic: Topic, kind: Kind, batch: MessageBatch, where: str) -> Iterator[Extracted]:
    """Yield the samples of each feature of `batch`.

    Raises:
        IngestError: `dimension_mismatch` where the numbers of joint names and of values differ, `absurd_size`.
    """
    match kind:
        case "joints":
            yield from _joints(topic, batch, where)
        case "array":
            yield _extracted(topic.name, batch, "data", ())
        case "point":
            yield _extracted(topic.name, batch, "positions", ())
        case "trajectory":
            yield from _trajectory(topic, batch, where)
        case "frames":
            yield from _frames(topic, batch, where)
        case _:
            yield from _plain(topic, batch)


def by_sender(extracted: Extracted, first: tuple[str, ...]) -> Extracted:
    """Give a second sender on one topic (arm and gripper drivers) a feature of its own.

    `first` are the joints of the topic's first message; a message with none of them is from another sender.
    """
    if not first or not extracted.names or set(first) & set(extracted.names):
        return extracted
    topic, _, part = extracted.feature.rpartition(".")
    return replace(extracted, feature=f"{topic}/{min(extracted.names)}.{part}")


def stamp_of(batch: MessageBatch, prefix: str = "") -> NDArray[np.int64] | None:
    """Return the sender's stamps, int64 [messages] in ns, or None where the messages have none."""
    for field in (f"{prefix}.header.stamp",) if prefix else _STAMP_FIELDS:
        for seconds, nanoseconds in _STAMPS:
            if f"{field}.{seconds}" in batch.numbers and f"{field}.{nanoseconds}" in batch.numbers:
                whole = widened(batch.numbers[f"{field}.{seconds}"][:, 0])
                if not (np.abs(whole) < 2**33).all():
                    return np.zeros(len(whole), np.int64)  # not a clock; treated as an unset stamp
                rest = batch.numbers[f"{field}.{nanoseconds}"][:, 0].astype(np.int64)
                return whole.astype(np.int64) * 1_000_000_000 + rest
    return None


def _extracted(feature: str, batch: MessageBatch, path: str, names: tuple[str, ...]) -> Extracted:
    values = batch.numbers.get(path)
    wide = np.empty((len(batch.rows), 0)) if values is None else widened(values)
    return Extracted(feature=feature, names=names, values=wide, rows=batch.rows, stamp_ns=stamp_of(batch))


def _joints(topic: Topic, batch: MessageBatch, where: str) -> Iterator[Extracted]:
    names = batch.texts.get("name", ())
    for part in ("position", "velocity", "effort"):
        extracted = _extracted(f"{topic.name}.{part}", batch, part, names if isinstance(names, tuple) else (names,))
        width = extracted.values.shape[1]
        if width and extracted.names and width != len(extracted.names):
            raise IngestError(
                f"{where}: {topic.name}: {len(extracted.names)} joint names, but {width} values of {part}",
                reason="dimension_mismatch",
            )
        yield extracted


def _trajectory(topic: Topic, batch: MessageBatch, where: str) -> Iterator[Extracted]:
    names = batch.texts.get("joint_names", ())
    points = sorted(int(found[1]) for path in batch.numbers if (found := _POINT.fullmatch(path)))
    if len(points) > MAX_POINTS:
        raise IngestError(f"{where}: {topic.name}: a trajectory of {len(points)} points", reason="absurd_size")
    for point in points:
        extracted = _extracted(
            topic.name, batch, f"points[{point}].positions", names if isinstance(names, tuple) else ()
        )
        if extracted.names and extracted.values.shape[1] != len(extracted.names):
            raise IngestError(
                f"{where}: {topic.name}: {len(extracted.names)} joint names, but {extracted.values.shape[1]} positions",
                reason="dimension_mismatch",
            )
        ahead = np.zeros(len(batch.rows), np.int64)
        if len(points) > 1:  # a single point is a set point; its time says how fast to reach it
            parts = [batch.numbers[f"points[{point}].time_from_start.{unit}"][:, 0] for unit in ("sec", "nanosec")]
            ahead = parts[0].astype(np.int64) * 1_000_000_000 + parts[1].astype(np.int64)
        yield Extracted(
            feature=extracted.feature,
            names=extracted.names,
            values=extracted.values,
            rows=extracted.rows,
            stamp_ns=extracted.stamp_ns,
            ahead_ns=ahead,
        )


def _frames(topic: Topic, batch: MessageBatch, where: str) -> Iterator[Extracted]:
    count = sum(path.endswith(".child_frame_id") for path in batch.texts)
    if count > MAX_FRAMES:
        raise IngestError(f"{where}: {topic.name}: {count} transforms in one message", reason="absurd_size")
    for index in range(count):
        prefix = f"transforms[{index}]"
        child = str(batch.texts[f"{prefix}.child_frame_id"]).strip("/")
        paths = [f"{prefix}.transform.{part}" for part in _POSE]
        if all(path in batch.numbers for path in paths):
            values = np.concatenate([widened(batch.numbers[path]) for path in paths], axis=1)
            stamp = stamp_of(batch, prefix)
            yield Extracted(
                feature=f"{topic.name}.{child}", names=_POSE, values=values, rows=batch.rows, stamp_ns=stamp
            )


def _plain(topic: Topic, batch: MessageBatch) -> Iterator[Extracted]:
    columns = {path: values for path, values in batch.numbers.items() if not _NOT_VALUES.search(path)}
    names: list[str] = []
    for path, values in columns.items():
        width = values.shape[1]
        names += [path] if width == 1 else [f"{path}[{index}]" for index in range(width)]
        if len(names) > MAX_WIDTH:
            return
    if names:
        wide = np.concatenate([widened(each) for each in columns.values()], axis=1)
        yield Extracted(feature=topic.name, names=tuple(names), values=wide, rows=batch.rows, stamp_ns=stamp_of(batch))
