"""Chunks of a log, unpacked without ever giving or allocating more than they may hold."""

from __future__ import annotations

import bz2

import lz4.frame  # type: ignore[import-untyped]  # ships no types
import zstandard

from counterpoint.core.errors import IngestError

MAX_CHUNK_BYTES = 2**30
"""Most that one chunk may unpack to."""
MAX_RATIO = 500
FREE_BYTES = 64 * 2**20
"""A chunk that unpacks to more than this and more than MAX_RATIO times its size is refused."""
MAX_GROWTH = 1000
"""A file that unpacks to more than this many times its size is refused."""


def unpack(packed: bytes, compression: str, claimed: int, where: str) -> bytes:
    """Unpack a chunk to exactly the size that it claims.

    Raises:
        IngestError: `absurd_size`, `unknown_compression` or `damaged_record`.
    """
    if claimed > most_unpacked(len(packed)):
        raise IngestError(
            f"{where}: a chunk of {len(packed)} bytes claims to unpack to {claimed}; refused", reason="absurd_size"
        )
    try:
        match compression:
            case "" | "none":
                content = packed
            case "bz2":
                content = bz2.BZ2Decompressor().decompress(packed, max_length=claimed + 1)
            case "lz4":
                content = lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=claimed + 1)
            case "zstd":
                content = unpack_zstd(packed, claimed, where)
            case _:
                raise IngestError(
                    f"{where}: chunks compressed with {compression!r}, expected lz4, zstd, bz2 or none",
                    reason="unknown_compression",
                )
    except (OSError, EOFError, RuntimeError, zstandard.ZstdError, MemoryError) as error:
        raise IngestError(f"{where}: a chunk cannot be unpacked ({error})", reason="damaged_record") from error
    if len(content) != claimed:
        raise IngestError(
            f"{where}: a chunk claims {claimed} bytes and unpacks to {len(content)} or more", reason="damaged_record"
        )
    return content


def unpack_zstd(packed: bytes, most: int, where: str) -> bytes:
    """Unpack a Zstandard frame of at most `most` bytes.

    Raises:
        IngestError: `damaged_record`.
    """
    try:
        size = zstandard.frame_content_size(packed)
        if size > most:
            raise IngestError(
                f"{where}: Zstandard data of {size} bytes, expected at most {most}", reason="damaged_record"
            )
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(packed) as reader:
            return bytes(reader.read((most if size < 0 else size) + 1))
    except (zstandard.ZstdError, MemoryError) as error:
        raise IngestError(f"{where}: Zstandard data cannot be unpacked ({error})", reason="damaged_record") from error


def most_unpacked(packed: int) -> int:
    """Return the most bytes that `packed` bytes may claim to unpack to."""
    return min(MAX_CHUNK_BYTES, FREE_BYTES + MAX_RATIO * packed)


def check_growth(unpacked: int, file_bytes: int, where: str) -> None:
    """Raise IngestError `absurd_size` where a file has unpacked to far more than its size."""
    if unpacked > MAX_GROWTH * file_bytes + 2**30:
        raise IngestError(f"{where}: {file_bytes} bytes unpack to more than {unpacked}; refused", reason="absurd_size")
