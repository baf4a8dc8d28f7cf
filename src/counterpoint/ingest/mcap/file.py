"""An MCAP file as a container of topics and blocks of messages."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.compression import check_growth
from counterpoint.ingest.mcap import MAGIC
from counterpoint.ingest.mcap.records import (
    CHANNEL,
    CHUNK,
    DATA_END,
    FOOTER,
    FOOTER_BYTES,
    HEADER,
    MESSAGE,
    METADATA,
    METADATA_INDEX,
    PIECE,
    SCHEMA,
    STATISTICS,
    Fields,
    check_ends,
    read_records,
    unpack_chunk,
)
from counterpoint.ingest.messages.topic import MAX_TIME_NS, Block, Payload, Queue, Topic, blocks_of, plain_type

MAX_LOOSE_BYTES = 4 * 2**20
"""Messages outside chunks are collected into blocks of this many bytes."""
MAX_METADATA = 1000
MAX_METADATA_RECORD_BYTES = 16 * 2**20
_HEAD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")


class McapFile:
    """Reads front to back; the index at the end, which may be missing, only gives the list of topics."""

    def __init__(self, path: Path) -> None:
        """Check both ends, and read the summary where there is one; raises IngestError."""
        self.path = path
        self._size = check_ends(path)
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._channels: dict[int, str] = {}
        """Topic of each channel that is read."""
        self.topics: Mapping[str, Topic] = {}
        self._topics: dict[str, Topic] = {}
        self._metadata: dict[str, str] = {}
        self._notes: list[str] = []
        self.span_ns = 0
        if not self._read_summary():
            self._count()
        self.topics = self._topics

    @property
    def notes(self) -> Sequence[str]:
        """Channels that were skipped because their topic already has another type."""
        return self._notes

    def metadata(self) -> Mapping[str, str]:
        """Return all metadata records as one mapping."""
        return self._metadata

    def blocks(self) -> Iterator[Block]:
        """Read the messages of one chunk after the other; raises IngestError."""
        where = str(self.path)
        loose: dict[int, Queue] = {}
        loose_bytes = unpacked = 0
        with self.path.open("rb") as file:
            for record in read_records(file, len(MAGIC), self._size - len(MAGIC), where, check=True):
                if record.opcode == DATA_END:  # the summary after it repeats what was read
                    break
                if record.opcode == CHUNK:
                    content = unpack_chunk(record.data, where)
                    unpacked += len(content)
                    check_growth(unpacked, self._size, where)
                    yield from self._chunk(content)
                elif record.opcode == MESSAGE:
                    self._message(record.data, 0, len(record.data), loose)
                    loose_bytes += len(record.data)
                    if loose_bytes > MAX_LOOSE_BYTES:
                        yield from blocks_of(loose, self._channels, where)
                        loose, loose_bytes = {}, 0
                else:
                    self._describe(record.opcode, record.data)
        yield from blocks_of(loose, self._channels, where)

    def _chunk(self, content: bytes) -> Iterator[Block]:
        queues: dict[int, Queue] = {}
        view = memoryview(content)
        position, end = 0, len(content)
        while position < end:
            if end - position < _HEAD.size:
                raise self._cut("a record's head")
            opcode, length = _HEAD.unpack_from(content, position)
            position += _HEAD.size
            if length > end - position:
                raise self._cut(f"a record of {length} bytes")
            if opcode == MESSAGE:
                self._message(view, position, position + length, queues)
            elif opcode in (SCHEMA, CHANNEL):
                self._describe(opcode, content[position : position + length])
            position += length
        yield from blocks_of(queues, self._channels, str(self.path))

    def _message(self, data: Payload, start: int, end: int, queues: dict[int, Queue]) -> None:
        if end - start < _MESSAGE.size:
            raise self._cut("a message's head")
        channel, _, log, publish = _MESSAGE.unpack_from(data, start)
        queue = queues.get(channel)
        if queue is None:
            queue = queues[channel] = ([], [], [])
        queue[0].append(data[start + _MESSAGE.size : end])
        queue[1].append(log)
        queue[2].append(publish)

    def _describe(self, opcode: int, data: bytes) -> None:
        """Keep what a record says about the messages."""
        fields = Fields(data, str(self.path))
        if opcode == SCHEMA:
            number, name, encoding = fields.number(2), fields.text(), fields.text()
            if number == 0:
                raise IngestError(f"{self.path}: a schema numbered 0", reason="damaged_record")
            self._schemas.setdefault(number, (name, encoding, fields.take(fields.number(4))))
        elif opcode == CHANNEL:
            number, schema, topic, encoding = fields.number(2), fields.number(2), fields.text(), fields.text()
            self._add_channel(number, schema, topic, encoding)
        elif opcode == METADATA:
            name = fields.text()
            self._metadata.update({key.lower(): text for key, text in fields.texts().items()} | {"": name})
        elif opcode == HEADER:
            fields.text()

    def _add_channel(self, number: int, schema: int, topic: str, encoding: str) -> None:
        if number in self._channels:
            return
        if schema and schema not in self._schemas:
            raise IngestError(f"{self.path}: {topic}: schema {schema} is missing", reason="bad_schema")
        name, schema_encoding, content = self._schemas.get(schema, ("", "", b""))
        made = Topic(
            name=topic, type=plain_type(name), encoding=encoding, schema_encoding=schema_encoding, schema=content
        )
        known = self._topics.setdefault(topic, made)
        same = (known.type, known.encoding, known.schema) == (made.type, made.encoding, made.schema)
        self._channels[number] = topic if same else ""
        if not same:
            self._notes.append(f"left_out:{topic}#{number}")

    def _count(self) -> None:
        """Read everything once: without a summary, topics, counts and times are only known at the end."""
        counts: Counter[str] = Counter()
        first, last = MAX_TIME_NS, 0
        for block in self.blocks():
            counts[block.topic] += len(block.payloads)
            first, last = min(first, int(block.log_ns.min())), max(last, int(block.log_ns.max()))
        self._topics = {name: replace(topic, count=counts[name]) for name, topic in self._topics.items()}
        self.span_ns = max(0, last - first)

    def _read_summary(self) -> bool:
        """Read topics and message counts from the summary; False where it has none."""
        with self.path.open("rb") as file:
            file.seek(self._size - FOOTER_BYTES)
            fields = Fields(file.read(FOOTER_BYTES), str(self.path))
            opcode, length, start = fields.number(1), fields.number(8), fields.number(8)
            if (opcode, length) != (FOOTER, 20) or start > self._size - FOOTER_BYTES:
                raise IngestError(
                    f"{self.path}: no footer at the end, or one that points nowhere", reason="damaged_record"
                )
            if start == 0:
                return False
            self._check_summary(file, start)
            counts: dict[int, int] = {}
            pointers: list[tuple[int, int]] = []
            for record in read_records(file, start, self._size - FOOTER_BYTES, str(self.path), check=False):
                if record.opcode in (SCHEMA, CHANNEL):
                    self._describe(record.opcode, record.data)
                elif record.opcode == STATISTICS:
                    counts = self._statistics(record.data)
                elif record.opcode == METADATA_INDEX:
                    index = Fields(record.data, str(self.path))
                    pointers.append((index.number(8), index.number(8)))
            for offset, length in pointers[:MAX_METADATA]:
                self._read_metadata(file, offset, length, start)
        for number, topic in self._channels.items():
            if topic and number in counts:
                known = self._topics[topic]
                self._topics[topic] = replace(known, count=(known.count or 0) + counts[number])
        return bool(self._channels) and bool(counts)

    def _read_metadata(self, file: BinaryIO, offset: int, length: int, end: int) -> None:
        """Read a metadata record that the summary points to: the robot must be known before the messages."""
        if offset < len(MAGIC) or length > MAX_METADATA_RECORD_BYTES or offset + length > end:
            raise IngestError(f"{self.path}: metadata at byte {offset}, {length} bytes", reason="damaged_record")
        for record in read_records(file, offset, offset + length, str(self.path), check=False):
            if record.opcode == METADATA:
                self._describe(record.opcode, record.data)

    def _check_summary(self, file: BinaryIO, start: int) -> None:
        """Compare the summary with its checksum, the last field of the footer; 0 means none."""
        file.seek(start)
        crc, left = 0, self._size - len(MAGIC) - 4 - start
        while left > 0 and (piece := file.read(min(left, PIECE))):
            crc, left = zlib.crc32(piece, crc), left - len(piece)
        expected = int.from_bytes(file.read(4), "little")
        if expected not in (0, crc):
            raise IngestError(f"{self.path}: the summary does not match its checksum", reason="bad_checksum")

    def _statistics(self, data: bytes) -> dict[int, int]:
        fields = Fields(data, str(self.path))
        fields.take(8 + 2 + 4 * 4)
        first, last = fields.number(8), fields.number(8)
        self.span_ns = max(0, last - first) if last < MAX_TIME_NS else 0
        counts = Fields(fields.take(size := fields.number(4)), str(self.path))
        return {counts.number(2): counts.number(8) for _ in range(size // 10)}

    def _cut(self, what: str) -> IngestError:
        return IngestError(f"{self.path}: {what} extends beyond its chunk", reason="damaged_record")
