"""The protocol buffers wire format, for writing: length-delimited fields and variable-length integers."""

from __future__ import annotations


def delimited(number: int, data: bytes) -> bytes:
    """Return a length-delimited field (bytes, text, message or packed list)."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def integer(number: int, value: int) -> bytes:
    """Return a field that holds one integer."""
    return varint(number << 3) + varint(value & (2**64 - 1))


def varint(value: int) -> bytes:
    """Return a non-negative integer in groups of seven bits, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
