"""From batches of decoded messages to rows of numbers: one function a kind of topic."""

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
"""Most numbers a sample; longer rows (scans, grids) are left out."""
MAX_FRAMES = 128
"""Most transforms of one message."""
MAX_POINTS = 10_000
_STAMPS = (("sec", "nanosec"), ("sec", "nsec"), ("seconds", "nanos"), ("secs", "nsecs"))
_STAMP_FIELDS = ("header.stamp", "timestamp", "stamp")
_NOT_VALUES = re.compile(r"(^|\.)(header\.(stamp|seq)|timestamp|stamp)(\.|$)|covariance|^layout\.")
_POINT = re.compile(r"points\[(\d+)\]\.positions")
_POSE = ("translation.x", "translation.y", "translation.z", "rotation.x", "rotation.y", "rotation.z", "rotation.w")


@dataclass(frozen=True, kw_only=True, eq=False)
class Picked:
    """Samples of one feature out of one batch."""

    feature: str
    names: tuple[str, ...]
    """Of the columns; empty where the messages do not say."""
    values: NDArray[np.float64]
    """[samples, width]."""
    rows: NDArray[np.int64]
    """[samples], which messages of the block."""
    stamp_ns: NDArray[np.int64] | None = None
    """[samples], by the sender's clock; None where messages carry no stamp."""
    ahead_ns: NDArray[np.int64] | None = None
    """[samples], how long after its stamp a point of a trajectory is due."""


def pick(topic: Topic, kind: Kind, batch: MessageBatch, where: str) -> Iterator[Picked]:
    """Give the samples of each feature of `batch`.

    Raises:
        IngestError: `dimension_mismatch` where joint names and numbers are not equally many, `absurd_size`.
    """
    match kind:
        case "joints":
            yield from _joints(topic, batch, where)
        case "array":
            yield _picked(topic.name, batch, "data", ())
        case "point":
            yield _picked(topic.name, batch, "positions", ())
        case "trajectory":
            yield from _trajectory(topic, batch, where)
        case "frames":
            yield from _frames(topic, batch, where)
        case _:
            yield from _plain(topic, batch)


def by_sender(picked: Picked, first: tuple[str, ...]) -> Picked:
    """Give the joints of a second sender on one topic (arm and gripper drivers) a feature of their own.

    `first` are the joints of the topic's first message; a message that has none of them is another sender's.
    """
    if not first or not picked.names or set(first) & set(picked.names):
        return picked
    topic, _, part = picked.feature.rpartition(".")
    return replace(picked, feature=f"{topic}/{min(picked.names)}.{part}")


def stamp_of(batch: MessageBatch, prefix: str = "") -> NDArray[np.int64] | None:
    """Return the sender's stamps, int64 [messages] in ns, or None where the messages have none."""
    for field in (f"{prefix}.header.stamp",) if prefix else _STAMP_FIELDS:
        for seconds, nanoseconds in _STAMPS:
            if f"{field}.{seconds}" in batch.numbers and f"{field}.{nanoseconds}" in batch.numbers:
                whole = widened(batch.numbers[f"{field}.{seconds}"][:, 0])
                if not (np.abs(whole) < 2**33).all():
                    return np.zeros(len(whole), np.int64)  # no clock; read as a stamp that was not set
                rest = batch.numbers[f"{field}.{nanoseconds}"][:, 0].astype(np.int64)
                return whole.astype(np.int64) * 1_000_000_000 + rest
    return None


def _picked(feature: str, batch: MessageBatch, path: str, names: tuple[str, ...]) -> Picked:
    values = batch.numbers.get(path)
    wide = np.empty((len(batch.rows), 0)) if values is None else widened(values)
    return Picked(feature=feature, names=names, values=wide, rows=batch.rows, stamp_ns=stamp_of(batch))


def _joints(topic: Topic, batch: MessageBatch, where: str) -> Iterator[Picked]:
    names = batch.texts.get("name", ())
    for part in ("position", "velocity", "effort"):
        picked = _picked(f"{topic.name}.{part}", batch, part, names if isinstance(names, tuple) else (names,))
        width = picked.values.shape[1]
        if width and picked.names and width != len(picked.names):
            raise IngestError(
                f"{where}: {topic.name}: {len(picked.names)} joint names, but {width} numbers of {part}",
                reason="dimension_mismatch",
            )
        yield picked


def _trajectory(topic: Topic, batch: MessageBatch, where: str) -> Iterator[Picked]:
    names = batch.texts.get("joint_names", ())
    points = sorted(int(found[1]) for path in batch.numbers if (found := _POINT.fullmatch(path)))
    if len(points) > MAX_POINTS:
        raise IngestError(f"{where}: {topic.name}: a trajectory of {len(points)} points", reason="absurd_size")
    for point in points:
        picked = _picked(topic.name, batch, f"points[{point}].positions", names if isinstance(names, tuple) else ())
        if picked.names and picked.values.shape[1] != len(picked.names):
            raise IngestError(
                f"{where}: {topic.name}: {len(picked.names)} joint names, {picked.values.shape[1]} positions",
                reason="dimension_mismatch",
            )
        ahead = np.zeros(len(batch.rows), np.int64)
        if len(points) > 1:  # a single point is a set point: its time says how fast to get there
            parts = [batch.numbers[f"points[{point}].time_from_start.{unit}"][:, 0] for unit in ("sec", "nanosec")]
            ahead = parts[0].astype(np.int64) * 1_000_000_000 + parts[1].astype(np.int64)
        yield Picked(
            feature=picked.feature,
            names=picked.names,
            values=picked.values,
            rows=picked.rows,
            stamp_ns=picked.stamp_ns,
            ahead_ns=ahead,
        )


def _frames(topic: Topic, batch: MessageBatch, where: str) -> Iterator[Picked]:
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
            yield Picked(feature=f"{topic.name}.{child}", names=_POSE, values=values, rows=batch.rows, stamp_ns=stamp)


def _plain(topic: Topic, batch: MessageBatch) -> Iterator[Picked]:
    columns = {path: values for path, values in batch.numbers.items() if not _NOT_VALUES.search(path)}
    names: list[str] = []
    for path, values in columns.items():
        width = values.shape[1]
        names += [path] if width == 1 else [f"{path}[{index}]" for index in range(width)]
        if len(names) > MAX_WIDTH:
            return
    if names:
        wide = np.concatenate([widened(each) for each in columns.values()], axis=1)
        yield Picked(feature=topic.name, names=tuple(names), values=wide, rows=batch.rows, stamp_ns=stamp_of(batch))
