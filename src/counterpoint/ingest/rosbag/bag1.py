r"""ROS 1 bags, version 2.0, as a container.

    "#ROSBAG V2.0\n", bag header, (chunk, index data*)*, connection*, chunk info*

A record is a header (length, then `name=value` fields, each with a length) and data with a length.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.compression import check_growth, unpack
from counterpoint.ingest.files.paths import file_size
from counterpoint.ingest.messages.topic import Block, Queue, Topic, blocks_of, one_clock, plain_type
from counterpoint.ingest.rosbag import BAG_MAGIC as MAGIC

BAG, CONNECTION, CHUNK, INDEX, MESSAGE, CHUNK_INFO = 3, 7, 5, 4, 2, 6
_LENGTH = struct.Struct("<I")
Header = dict[bytes, bytes]


class Bag1File:
    """Reads front to back; connections and counts come from the index at the end."""

    def __init__(self, path: Path) -> None:
        """Read the index; raises IngestError."""
        self.path = path
        self.notes: Sequence[str] = ()
        self.span_ns = 0
        self._size = _check_head(path)
        self._topics: dict[str, Topic] = {}
        self._connections: dict[int, str] = {}
        counts: Counter[int] = Counter()
        times: list[int] = []
        with path.open("rb") as file:
            header, _ = self._record(file, len(MAGIC))
            self._index = self._number(header, b"index_pos", 8)
            if self._opcode(header) != BAG:
                raise self._bad("expected a bag header after the first line")
            if not len(MAGIC) <= self._index <= self._size or self._index == 0:
                raise IngestError(
                    f"{path}: no index: the recorder was killed, or the copy is incomplete. Run `rosbag reindex`",
                    reason="truncated",
                )
            self._start = file.tell()
            file.seek(self._index)
            while file.tell() < self._size:
                header, data = self._record(file)
                self._describe(header, data, counts, times)
        for number, topic in self._connections.items():
            known = self._topics[topic]
            self._topics[topic] = replace(known, count=(known.count or 0) + counts[number])
        self.topics: Mapping[str, Topic] = self._topics
        self.span_ns = max(times, default=0) - min(times, default=0)

    def metadata(self) -> Mapping[str, str]:
        """Return nothing: bags have no metadata."""
        return {}

    def blocks(self) -> Iterator[Block]:
        """Read the messages of one chunk after the other; raises IngestError."""
        unpacked = 0
        with self.path.open("rb") as file:
            file.seek(self._start)
            while file.tell() < self._index:
                header, data = self._record(file)
                opcode = self._opcode(header)
                if opcode == CHUNK:
                    content = self._unpack(header, data)
                    unpacked += len(content)
                    check_growth(unpacked, self._size, str(self.path))
                    yield from self._chunk(content)
                elif opcode != INDEX:
                    raise self._bad(f"found a record of kind {opcode} among the chunks")

    def _chunk(self, content: bytes) -> Iterator[Block]:
        queues: dict[int, Queue] = defaultdict(one_clock)
        view = memoryview(content)
        position = 0
        while position < len(content):
            header_end = self._end(content, position)
            header = self._fields(content[position + 4 : header_end])
            data_end = self._end(content, header_end)
            if self._opcode(header) == MESSAGE:
                payloads, times, _ = queues[self._number(header, b"conn", 4)]
                payloads.append(view[header_end + 4 : data_end])
                times.append(self._time(header, b"time"))
            position = data_end
        yield from blocks_of(queues, self._connections, str(self.path))

    def _describe(self, header: Header, data: bytes, counts: Counter[int], times: list[int]) -> None:
        opcode = self._opcode(header)
        if opcode == CONNECTION:
            topic = header.get(b"topic", b"").decode(errors="replace")
            fields = self._fields(data)
            made = Topic(
                name=topic,
                type=plain_type(fields.get(b"type", b"").decode(errors="replace")),
                encoding="ros1",
                schema_encoding="ros1msg",
                schema=fields.get(b"message_definition", b""),
            )
            known = self._topics.setdefault(topic, made)
            is_same = (known.type, known.schema) == (made.type, made.schema)
            self._connections[self._number(header, b"conn", 4)] = topic if is_same else ""
            if not is_same:
                self.notes = (*self.notes, f"left_out:{topic}#{made.type}")
        elif opcode == CHUNK_INFO:
            for start in range(0, len(data) - 7, 8):
                counts[_LENGTH.unpack_from(data, start)[0]] += _LENGTH.unpack_from(data, start + 4)[0]
            times += [self._time(header, name) for name in (b"start_time", b"end_time")]

    def _unpack(self, header: Header, data: bytes) -> bytes:
        compression = header.get(b"compression", b"none").decode(errors="replace")
        return unpack(data, compression, self._number(header, b"size", 4), str(self.path))

    def _record(self, file: BinaryIO, start: int | None = None) -> tuple[Header, bytes]:
        """Read one record of the file; its lengths are checked against the bytes that are left."""
        if start is not None:
            file.seek(start)
        parts = []
        for _ in range(2):
            raw = file.read(4)
            length = _LENGTH.unpack(raw)[0] if len(raw) == 4 else self._size
            if length > self._size - file.tell():
                raise IngestError(
                    f"{self.path}: a record extends beyond the end of the file, which is truncated or damaged",
                    reason="truncated",
                )
            parts.append(file.read(length))
        return self._fields(parts[0]), parts[1]

    def _fields(self, data: bytes) -> Header:
        found = {}
        position = 0
        while position < len(data):
            end = self._end(data, position)
            name, equals, value = data[position + 4 : end].partition(b"=")
            if not equals:
                raise self._bad("a header field has no value")
            found[name] = value
            position = end
        return found

    def _end(self, data: bytes, position: int) -> int:
        """Return the end of the field whose length is at `position`."""
        left = len(data) - position - 4
        length = _LENGTH.unpack_from(data, position)[0] if left >= 0 else 0
        if left < 0 or length > left:
            raise self._bad(f"a field of {length} bytes, but only {max(left, 0)} are left")
        return int(position + 4 + length)

    def _opcode(self, header: Header) -> int:
        return self._number(header, b"op", 1)

    def _number(self, header: Header, name: bytes, size: int) -> int:
        value = header.get(name, b"")
        if len(value) != size:
            raise self._bad(f"expected a field {name.decode()!r} of {size} bytes")
        return int.from_bytes(value, "little")

    def _time(self, header: Header, name: bytes) -> int:
        """Return a time in ns; bags have seconds in the low half and nanoseconds in the high half."""
        stamp = self._number(header, name, 8)
        return (stamp & 0xFFFFFFFF) * 1_000_000_000 + (stamp >> 32)

    def _bad(self, what: str) -> IngestError:
        return IngestError(f"{self.path}: damaged bag: {what}", reason="damaged_record")


def _check_head(path: Path) -> int:
    size = file_size(path, "a ROS bag")
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
    if head[:7] != MAGIC[:7]:
        raise IngestError(f"{path}: starts with {head!r}, expected {MAGIC!r} (ROS bag)", reason="wrong_magic")
    if head != MAGIC:
        wrong = "truncated" if MAGIC.startswith(head) else "wrong_version"
        raise IngestError(
            f"{path}: starts with {head!r}, expected {MAGIC!r}; convert it with `rosbag migrate`", reason=wrong
        )
    return size
