"""Writes TFRecord files and `tf.train.Example` messages without TensorFlow.

A record is: length (uint64), its masked CRC-32C, the bytes, their masked CRC-32C; all little-endian. An
Example is a map from names to lists of bytes, floats or integers, in the protocol buffers wire format.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import google_crc32c
import numpy as np
from numpy.typing import NDArray

Value = NDArray[np.float32] | NDArray[np.int64] | Sequence[bytes]
"""A list of float32, int64 or bytes."""

_MASK = 0xA282EAD8
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def frame_record(data: bytes) -> bytes:
    """Return `data` as one record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def encode_example(features: Mapping[str, Value]) -> bytes:
    """Return the bytes of a `tf.train.Example`; names are sorted, so that equal content gives equal bytes."""
    entries = [
        _delimited(1, _delimited(1, name.encode()) + _delimited(2, _encode_feature(value)))
        for name, value in sorted(features.items())
    ]
    return _delimited(1, b"".join(entries))


def _encode_feature(value: Value) -> bytes:
    if not isinstance(value, np.ndarray):
        return _delimited(_BYTES_LIST, b"".join(_delimited(1, each) for each in value))
    if value.dtype == np.float32:
        return _delimited(_FLOAT_LIST, _delimited(1, value.astype("<f4").tobytes()))
    return _delimited(_INT64_LIST, _delimited(1, b"".join(_varint(int(each) & (2**64 - 1)) for each in value)))


def _masked(data: bytes) -> int:
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def _delimited(number: int, data: bytes) -> bytes:
    """Return a length-delimited field (bytes, text, message or packed list)."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Return a non-negative integer in groups of seven bits, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
