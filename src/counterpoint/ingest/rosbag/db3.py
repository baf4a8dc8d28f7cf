"""ROS 2 bags in SQLite (`.db3`) as a container; opened read-only, with plain SELECTs only."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.compression import most_unpacked, unpack_zstd
from counterpoint.ingest.files.paths import file_size
from counterpoint.ingest.messages.topic import MAX_MESSAGE_BYTES, Block, Queue, Topic, blocks_of, one_clock, plain_type
from counterpoint.ingest.rosbag import SQLITE_MAGIC as MAGIC

ROWS = 2000
MAX_ROWS_BYTES = 16 * 2**20
MAX_TOPICS = 65_536


class Db3File:
    """One database file. Messages that are compressed one by one are unpacked; compressed files are refused."""

    def __init__(self, path: Path, *, packed_messages: bool = False) -> None:
        """Read the list of topics and count their messages; raises IngestError."""
        self.path = path
        self.notes: Sequence[str] = ()
        self._packed = packed_messages
        self._names: dict[int, str] = {}
        _check_head(path)
        with self._opened() as database:
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"topics", "messages"} <= tables:
                raise IngestError(
                    f"{path}: found an SQLite database with tables {', '.join(sorted(map(str, tables))) or '(none)'}, "
                    "expected 'topics' and 'messages' of a ROS 2 bag",
                    reason="unknown_format",
                )
            self.topics: Mapping[str, Topic] = self._read_topics(database, "message_definitions" in tables)
            first, last = database.execute("SELECT min(timestamp), max(timestamp) FROM messages").fetchone()
        self.span_ns = last - first if isinstance(first, int) and isinstance(last, int) else 0

    def metadata(self) -> Mapping[str, str]:
        """Return nothing: the metadata is in `metadata.yaml` beside the database."""
        return {}

    def blocks(self) -> Iterator[Block]:
        """Read a few thousand messages at a time, in the order they were written; raises IngestError."""
        with self._opened() as database:
            cursor = database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
            queues: dict[int, Queue] = defaultdict(one_clock)
            count = size = 0
            for topic, time, data in cursor:
                if topic not in self._names or not isinstance(time, int) or not isinstance(data, bytes):
                    raise IngestError(
                        f"{self.path}: a message without a valid topic, time or data", reason="damaged_record"
                    )
                if time < 0:
                    raise IngestError(f"{self.path}: a time of {time} ns", reason="absurd_time")
                payloads, times, _ = queues[topic]
                payloads.append(unpack_zstd(data, most_unpacked(len(data)), str(self.path)) if self._packed else data)
                times.append(time)
                count, size = count + 1, size + len(payloads[-1])
                if count >= ROWS or size >= MAX_ROWS_BYTES:
                    yield from blocks_of(queues, self._names, str(self.path))
                    queues, count, size = defaultdict(one_clock), 0, 0
            yield from blocks_of(queues, self._names, str(self.path))

    def _read_topics(self, database: sqlite3.Connection, has_definitions: bool) -> dict[str, Topic]:
        definitions: dict[str, tuple[str, bytes]] = {}
        if has_definitions:
            rows = database.execute("SELECT topic_type, encoding, encoded_message_definition FROM message_definitions")
            for kind, encoding, text in rows:
                definitions[str(kind)] = str(encoding), text if isinstance(text, bytes) else str(text).encode()
        counts = dict(database.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        found: dict[str, Topic] = {}
        rows = database.execute("SELECT id, name, type, serialization_format FROM topics ORDER BY id")
        for number, name, kind, form in rows.fetchmany(MAX_TOPICS):
            encoding, schema = definitions.get(str(kind), ("", b""))
            made = Topic(
                name=str(name),
                type=plain_type(str(kind)),
                encoding=str(form),
                schema_encoding=encoding,
                schema=schema,
                count=int(counts.get(number, 0)),
            )
            is_new = made.name not in found
            self._names[number] = made.name if is_new else ""
            found.setdefault(made.name, made)
            if not is_new:
                self.notes = (*self.notes, f"left_out:{made.name}#{number}")
        return found

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Open read-only, without following a journal or loading code."""
        target = f"file:{quote(str(self.path.resolve()))}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(target, uri=True)) as database:
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_MESSAGE_BYTES)
                database.execute("PRAGMA trusted_schema = OFF")
                database.execute("PRAGMA cell_size_check = ON")
                yield database
        except (sqlite3.Error, UnicodeDecodeError, OverflowError, MemoryError) as error:
            raise IngestError(
                f"{self.path}: the SQLite database is damaged ({error})", reason="damaged_sqlite"
            ) from error


def _check_head(path: Path) -> None:
    size = file_size(path, "SQLite")
    with path.open("rb") as file:
        head = file.read(100)
    if not head.startswith(MAGIC):
        raise IngestError(f"{path}: starts with {head[:16]!r}, expected {MAGIC!r} (SQLite)", reason="wrong_magic")
    for ending in ("-wal", "-journal"):
        beside = path.with_name(path.name + ending)
        if beside.is_file() and beside.stat().st_size:
            raise IngestError(
                f"{path}: the recorder was killed, and {beside.name} holds messages that are not in the database yet. "
                "Open the database once with sqlite3 and close it",
                reason="truncated",
            )
    page = int.from_bytes(head[16:18], "big")
    pages = int.from_bytes(head[28:32], "big")
    if len(head) < 100 or pages * (65_536 if page == 1 else page) > size:
        raise IngestError(
            f"{path}: truncated: {pages} pages of {page} bytes do not fit in {size} bytes", reason="truncated"
        )
