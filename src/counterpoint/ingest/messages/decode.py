"""Decodes serialised ROS messages (CDR, ROS 1) in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterpoint.ingest.messages.layout import LayoutParser, MessageLayout, Place
from counterpoint.ingest.messages.schema import parse_schema
from counterpoint.ingest.messages.topic import MessageBatch, Payload, Topic

LARGE = 65_536
"""Larger messages, mostly pictures, are parsed one by one: copying them would cost more than parsing."""
MAX_KNOWN = 32
"""Layouts kept per message size. Beyond that, messages of a topic are parsed one by one."""


class LayoutDecoder:
    """Decodes the messages of one topic by the layouts seen so far."""

    def __init__(self, topic: Topic, where: str) -> None:
        """Parse the topic's definition; raises IngestError as `parse_schema`."""
        self._root, self._types = parse_schema(topic, where)
        self._ros1 = topic.encoding == "ros1"
        self._where = f"{where}: {topic.name}"
        self._known: dict[int, list[MessageLayout]] = {}

    def decode(self, payloads: Sequence[Payload]) -> list[MessageBatch]:
        """Decode all payloads; raises IngestError as `LayoutParser`."""
        sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
        batches: list[MessageBatch] = []
        for size in np.unique(sizes).tolist():
            rows = np.flatnonzero(sizes == size)
            if size > LARGE or size == 0:
                batches += [self._one(row, payloads[row]) for row in rows.tolist()]
            else:
                batches += self._alike(rows, payloads, size)
        return batches

    def _alike(self, rows: NDArray[np.int64], payloads: Sequence[Payload], size: int) -> list[MessageBatch]:
        matrix = np.frombuffer(b"".join([payloads[row] for row in rows.tolist()]), np.uint8).reshape(-1, size)
        known = self._known.setdefault(size, [])
        batches: list[MessageBatch] = []
        tried = 0
        while len(rows):
            if tried < len(known):
                layout = known[tried]
            elif len(known) < MAX_KNOWN:
                layout = self._walk(payloads[int(rows[0])])
                known.append(layout)
            else:
                return batches + [self._one(row, payloads[row]) for row in rows.tolist()]
            tried += 1
            same = layout.matches(matrix)
            if same.all():
                return [*batches, _batch(layout, rows, matrix)]
            if same.any():
                batches.append(_batch(layout, rows[same], matrix[same]))
                rows, matrix = rows[~same], matrix[~same]
        return batches

    def _walk(self, payload: Payload) -> MessageLayout:
        return LayoutParser(self._types, payload, ros1=self._ros1, where=self._where).layout(self._root)

    def _one(self, row: int, payload: Payload) -> MessageBatch:
        layout = self._walk(payload)
        return MessageBatch(
            rows=np.asarray([row]),
            numbers={each.path: _numbers(each, payload) for each in layout.numbers},
            texts=layout.texts,
            blobs={each.path: [memoryview(payload)[each.offset : each.end]] for each in layout.blobs},
        )


def _numbers(place: Place, payload: Payload) -> NDArray[np.generic]:
    if not place.count:
        return np.empty((1, 0))
    return np.frombuffer(payload, place.dtype, place.count, place.offset)[None]


def _batch(layout: MessageLayout, rows: NDArray[np.int64], matrix: NDArray[np.uint8]) -> MessageBatch:
    numbers: dict[str, NDArray[np.generic]] = {}
    for each in layout.numbers:
        if not each.count:
            numbers[each.path] = np.empty((len(rows), 0))
            continue
        numbers[each.path] = np.ascontiguousarray(matrix[:, each.offset : each.end]).view(each.dtype)
    blobs = {each.path: [row[each.offset : each.end].data for row in matrix] for each in layout.blobs}
    return MessageBatch(rows=rows, numbers=numbers, texts=layout.texts, blobs=blobs)
