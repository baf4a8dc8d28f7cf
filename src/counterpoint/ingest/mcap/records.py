"""The records of an MCAP file, by the MCAP specification (version 0); every length is checked first.

magic, Header, (Schema | Channel | Message | Chunk | Attachment | Metadata | ...)*, DataEnd,
summary: (Schema | Channel | Statistics | ...)*, Footer, magic
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.compression import unpack
from counterpoint.ingest.files.paths import file_size
from counterpoint.ingest.mcap import MAGIC

HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 1, 2, 3, 4, 5, 6
ATTACHMENT, STATISTICS, METADATA, METADATA_INDEX, DATA_END = 9, 11, 12, 13, 15
FOOTER_BYTES = 9 + 20 + len(MAGIC)
PIECE = 2**20
_HEAD = struct.Struct("<BQ")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record; `data` is empty where it is not needed (attachments)."""

    opcode: int
    data: bytes


class Fields:
    """Reads the fields of one record in order, never beyond its end."""

    def __init__(self, data: bytes, where: str) -> None:
        """Start at the first byte."""
        self._data = data
        self._where = where
        self._position = 0

    def number(self, size: int) -> int:
        """Read a little-endian integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def take(self, size: int) -> bytes:
        """Read `size` bytes; raises IngestError `damaged_record` where there are fewer."""
        if size > len(self._data) - self._position:
            raise IngestError(
                f"{self._where}: a field of {size} bytes, but the record has {len(self._data) - self._position} left",
                reason="damaged_record",
            )
        self._position += size
        return self._data[self._position - size : self._position]

    def text(self) -> str:
        """Read a string with its length; raises IngestError `damaged_record`, `not_text`."""
        raw = self.take(self.number(4))
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise IngestError(f"{self._where}: a name is not UTF-8 ({error})", reason="not_text") from error

    def texts(self) -> dict[str, str]:
        """Read a map of strings."""
        inner = Fields(self.take(self.number(4)), self._where)
        found = {}
        while inner._position < len(inner._data):
            key = inner.text()
            found[key] = inner.text()
        return found


def check_ends(path: Path) -> int:
    """Check the first and last bytes of an MCAP file and return its size.

    Raises:
        IngestError: `missing_file`, `empty_file`, `wrong_magic`, `wrong_version` or `truncated`.
    """
    size = file_size(path, "MCAP")
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
        file.seek(max(0, size - len(MAGIC)))
        tail = file.read(len(MAGIC))
    if head[:5] != MAGIC[:5]:
        raise IngestError(f"{path}: starts with {head!r}, expected {MAGIC!r} (MCAP)", reason="wrong_magic")
    if len(head) == len(MAGIC) and head != MAGIC:
        raise IngestError(f"{path}: MCAP version {head[5:6]!r}, expected b'0'", reason="wrong_version")
    if tail != MAGIC or size < len(MAGIC) + FOOTER_BYTES:
        raise IngestError(
            f"{path}: the end is missing: the recorder was killed, or the copy is incomplete. `mcap recover` "
            "saves the messages before that point",
            reason="truncated",
        )
    return size


def read_records(file: BinaryIO, start: int, end: int, where: str, *, check: bool) -> Iterator[Record]:
    """Read the records in [start, end) of a file; with `check`, verify the checksum of the data section.

    Raises:
        IngestError: `truncated` where a record reaches beyond `end`, `bad_checksum`.
    """
    crc = zlib.crc32(MAGIC)
    file.seek(start)
    position = start
    while position < end:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise IngestError(f"{where}: truncated in a record header at byte {position}", reason="truncated")
        opcode, length = _HEAD.unpack(head)
        position += _HEAD.size + length
        if position > end:
            raise IngestError(
                f"{where}: a record of {length} bytes extends {position - end} bytes beyond the end", reason="truncated"
            )
        if opcode == DATA_END and check:
            _check_data(crc, file.read(length), where)
            yield Record(opcode=opcode, data=b"")
            continue
        crc = zlib.crc32(head, crc) if check else crc
        if opcode == ATTACHMENT:
            crc = _skip(file, length, crc if check else None)
            yield Record(opcode=opcode, data=b"")
            continue
        data = file.read(length)
        crc = zlib.crc32(data, crc) if check else crc
        yield Record(opcode=opcode, data=data)


def unpack_chunk(data: bytes, where: str) -> bytes:
    """Unpack the records of a chunk and verify their checksum.

    Raises:
        IngestError: `damaged_record`, `absurd_size`, `unknown_compression` or `bad_checksum`.
    """
    fields = Fields(data, where)
    fields.take(16)  # first and last log time, which are not used here
    claimed, crc = fields.number(8), fields.number(4)
    compression, packed = fields.text(), fields.take(fields.number(8))
    content = unpack(packed, compression, claimed, where)
    if crc and zlib.crc32(content) != crc:
        raise IngestError(f"{where}: a chunk does not match its checksum; copy the file again", reason="bad_checksum")
    return content


def _check_data(crc: int, record: bytes, where: str) -> None:
    expected = Fields(record, where).number(4)
    if expected not in (0, crc):
        raise IngestError(f"{where}: the data does not match its checksum; copy the file again", reason="bad_checksum")


def _skip(file: BinaryIO, length: int, crc: int | None) -> int:
    if crc is None:
        file.seek(length, 1)
        return 0
    while length:
        piece = file.read(min(length, PIECE))
        if not piece:
            break
        crc = zlib.crc32(piece, crc)
        length -= len(piece)
    return crc
