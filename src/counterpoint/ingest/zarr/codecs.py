"""Codecs of chunks, bounded: none returns or allocates more than a chunk may hold."""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Callable

import google_crc32c
import numcodecs.blosc
import numcodecs.lz4
import numpy as np

from counterpoint.ingest.files.compression import unpack_zstd

_DAMAGED = (RuntimeError, ValueError, TypeError, zlib.error, OSError, struct.error, EOFError)


def decode_chunk(codecs: tuple[str, ...], data: bytes, size: int) -> bytes:
    """Return the `size` bytes of a chunk; `codecs` are in decoding order.

    Raises:
        ValueError: the bytes are damaged, or unpack to another size.
    """
    try:
        for number, name in enumerate(codecs):
            # Only the last of several compressors must give the chunk's size; the ones before may add a little.
            is_last = number == len(codecs) - 1
            data = CODECS[name](data, size) if is_last or name == "crc32c" else CODECS[name](data, 2 * size + 4096)
    except _DAMAGED as error:
        raise ValueError(f"{name}: {error}") from error
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes, expected {size}")
    return data


def _inflate(data: bytes, size: int) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib's header or gzip's
    return _whole(stream.decompress(data, size + 1), size)


def _bunzip(data: bytes, size: int) -> bytes:
    return _whole(bz2.BZ2Decompressor().decompress(data, size + 1), size)


def _unblosc(data: bytes, size: int) -> bytes:
    claimed, _, stored = struct.unpack_from("<III", data, 4)
    if claimed > size or stored != len(data):
        raise ValueError(f"claims {claimed} bytes from {stored}, expected {size} from {len(data)}")
    return _into(numcodecs.blosc.decompress, data, claimed)


def _unlz4(data: bytes, size: int) -> bytes:
    (claimed,) = struct.unpack_from("<I", data)
    if claimed > size:
        raise ValueError(f"claims {claimed} bytes, expected {size}")
    return _into(numcodecs.lz4.decompress, data, claimed)


def _unzstd(data: bytes, size: int) -> bytes:
    return unpack_zstd(data, size, "")


def _checked(data: bytes, size: int) -> bytes:
    del size
    if len(data) < 4 or google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ValueError("the checksum does not match")
    return data[:-4]


def _into(decompress: Callable[..., object], data: bytes, size: int) -> bytes:
    target = np.empty(size, np.uint8)
    decompress(data, target)
    return target.tobytes()


def _whole(data: bytes, size: int) -> bytes:
    if len(data) > size:
        raise ValueError(f"unpacks to more than {size} bytes")
    return data


CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "blosc": _unblosc,
    "bz2": _bunzip,
    "crc32c": _checked,
    "gzip": _inflate,
    "lz4": _unlz4,
    "zlib": _inflate,
    "zstd": _unzstd,
}
"""All known codecs; an array with another one (pickle, for example) is left out."""
JPEG_XL = "imagecodecs_jpegxl"
"""UMI's camera: one picture per chunk; needs the package `imagecodecs`."""
