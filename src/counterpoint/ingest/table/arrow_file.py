"""Arrow IPC from strangers, stream or file: memory-mapped, with every length checked before use."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import file_size
from counterpoint.ingest.table.shard import checked_schema

FILE_MAGIC = b"ARROW1"
CONTINUATION = b"\xff\xff\xff\xff"
MAX_COMPRESSION = 1100
SLACK_BYTES = 2**16
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
"""Kinds of message."""
_DAMAGED = (pa.ArrowException, OSError, ValueError, MemoryError, struct.error, IndexError)


def is_arrow(head: bytes) -> bool:
    """Whether a file starts as an Arrow IPC file, or as a stream whose first message is a schema."""
    if head.startswith(FILE_MAGIC + b"\0\0"):
        return True
    if len(head) < 64 or not head.startswith(CONTINUATION):
        return False
    try:
        return _message(head[8:])[0] == _SCHEMA
    except (struct.error, IndexError):
        return False


class ArrowShard:
    """An Arrow IPC file or stream, memory-mapped; see `ingest.table.shard.Shard`."""

    def __init__(self, path: Path) -> None:
        """Map the file and read its structure.

        Raises:
            IngestError: `missing_file`, `empty_file`, `wrong_magic`, `truncated`, `absurd_size` or `damaged_table`.
        """
        self.path = path
        size = file_size(path, "Arrow IPC")
        with path.open("rb") as file:
            head = file.read(4096)
            file.seek(max(size - 6, 0))
            tail = file.read(6)
        if not is_arrow(head):
            raise IngestError(f"{path}: starts with {head[:8]!r}, expected Arrow IPC", reason="wrong_magic")
        is_file = head.startswith(FILE_MAGIC)
        if is_file and tail != FILE_MAGIC:
            raise IngestError(f"{path}: truncated: the end mark is missing; copy it again", reason="truncated")
        try:
            with pa.memory_map(str(path)) as mapped:
                whole = mapped.read_buffer()
            # A file is a stream between its magic and its footer, so both are read the same way.
            stream = whole.slice(8) if is_file else whole
            _check_messages(stream, path)
            self._table: pa.Table = pa.ipc.open_stream(stream).read_all()
        except IngestError:
            raise
        except _DAMAGED as error:
            is_cut = "Expected to" in str(error) or "end of file" in str(error).lower()
            reason = "truncated" if is_cut else "damaged_table"
            raise IngestError(f"{path}: damaged Arrow IPC ({error})", reason=reason) from error
        if self._table.num_rows > 8 * size:
            raise IngestError(f"{path}: claims {self._table.num_rows} rows in {size} bytes", reason="absurd_size")
        self.schema: pa.Schema = checked_schema(self._table.schema, path)
        self.num_rows: int = self._table.num_rows

    def rows(self, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Return rows [start, stop) of some columns; raises IngestError `damaged_table`."""
        piece = self._table.select(list(columns)).slice(start, stop - start)
        try:
            piece.validate(full=True)
        except _DAMAGED as error:
            raise IngestError(f"{self.path}: damaged Arrow IPC ({error})", reason="damaged_table") from error
        return piece


def _check_messages(stream: pa.Buffer, path: Path) -> None:
    """Check the claimed sizes of compressed buffers before Arrow allocates them; raises IngestError."""
    reader = pa.ipc.MessageReader.open_stream(stream)
    for message in reader:
        kind, header = _message(message.metadata.to_pybytes())
        if kind not in (_DICTIONARY, _BATCH) or message.body is None:
            continue
        body = message.body
        for offset, length in _compressed(header, kind):
            if length < 8 or offset < 0 or offset + length > body.size:
                if length:
                    raise IngestError(f"{path}: a buffer lies outside its message", reason="damaged_table")
                continue
            (claim,) = struct.unpack("<q", body.slice(offset, 8).to_pybytes())
            if claim > MAX_COMPRESSION * length + SLACK_BYTES:
                raise IngestError(
                    f"{path}: {length} bytes claim to unpack to {claim}; write the table uncompressed",
                    reason="absurd_size",
                )


def _message(metadata: bytes) -> tuple[int, tuple[bytes, int]]:
    """Return the kind of a message and where its header is, from its flatbuffer (`format/Message.fbs`)."""
    root = struct.unpack_from("<I", metadata)[0]
    kind_at, header_at = _field(metadata, root, 1), _field(metadata, root, 2)
    kind = metadata[kind_at] if kind_at else 0
    return kind, (metadata, _follow(metadata, header_at) if header_at else 0)


def _compressed(header: tuple[bytes, int], kind: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of the buffers of a compressed batch; nothing for an uncompressed one."""
    data, at = header
    if kind == _DICTIONARY:
        inner = _field(data, at, 1)
        at = _follow(data, inner) if inner else 0
    if not at or not _field(data, at, 3):
        return
    buffers = _follow(data, _field(data, at, 2))
    (count,) = struct.unpack_from("<I", data, buffers)
    for index in range(min(count, len(data) // 16)):
        yield struct.unpack_from("<qq", data, buffers + 4 + 16 * index)


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a field of a flatbuffer table is; 0 where it is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0 or 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + int(offset) if offset else 0


def _follow(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])
