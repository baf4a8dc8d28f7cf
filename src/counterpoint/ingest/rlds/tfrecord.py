"""TFRecord files: a sequence of records, each with checksums.

length u64, masked crc of length u32, data, masked crc of data u32     little-endian
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import file_size

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
MAX_RECORDS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Record:
    """Where a record is, or why it cannot be found."""

    offset: int
    """Of its data."""
    length: int
    error: str = ""
    """Set for whatever follows the last complete record."""
    reason: str = ""


def list_records(path: Path) -> list[Record]:
    """List all records by their headers, without reading their data.

    In a damaged file the list ends with a record that has an error: records after it cannot be found.

    Raises:
        IngestError: `missing_file`, `empty_file` or `wrong_magic` (no valid header at the start).
    """
    size = file_size(path, "TFRecord")
    records: list[Record] = []
    with path.open("rb") as file:
        at = 0
        while at < size and len(records) < MAX_RECORDS:
            head = file.read(HEADER.size)
            record = _record(head, at, size)
            if record.reason == "bad_checksum" and not records:
                raise IngestError(f"{path}: not a TFRecord file (no valid header at its start)", reason="wrong_magic")
            records.append(record)
            if record.error:
                break
            at = record.offset + record.length + FOOTER.size
            file.seek(at)
    return records


def read_record(path: Path, record: Record) -> bytes:
    """Return the data of a record; raises IngestError `truncated` or `bad_checksum`."""
    where = f"{path}, byte {record.offset}"
    if record.error:
        raise IngestError(f"{where}: {record.error}", reason=record.reason)
    with path.open("rb") as file:
        file.seek(record.offset)
        data, footer = file.read(record.length), file.read(FOOTER.size)
    if len(data) < record.length or len(footer) < FOOTER.size:
        raise IngestError(f"{where}: truncated; copy it again", reason="truncated")
    if masked_crc(data) != FOOTER.unpack(footer)[0]:
        raise IngestError(f"{where}: the checksum does not match; copy it again", reason="bad_checksum")
    return data


def masked_crc(data: bytes) -> int:
    """Return TFRecord's checksum: CRC-32C, rotated and offset, as TFRecord defines."""
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _record(head: bytes, at: int, size: int) -> Record:
    if len(head) < HEADER.size:
        return Record(offset=at, length=0, error="a truncated header; copy the file again", reason="truncated")
    length, crc = HEADER.unpack(head)
    if masked_crc(head[:8]) != crc:
        return Record(offset=at, length=0, error="the checksum of a header does not match", reason="bad_checksum")
    offset = at + HEADER.size
    if offset + length + FOOTER.size > size:
        return Record(
            offset=offset, length=0, error=f"claims {length} bytes, but {size - offset} are left", reason="truncated"
        )
    return Record(offset=offset, length=length)
