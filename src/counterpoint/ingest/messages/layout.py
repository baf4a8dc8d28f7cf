"""Where each field of a serialised ROS message is; one parse serves all messages with the same layout.

ROS 1 and CDR messages have no fixed layout, because strings and lists carry their lengths. But most messages of a topic
have the same lengths and strings (the same joints, the same frame), and then each number has the same offset in all of
them. So the first message is parsed by its definition, and its *layout* is compared with all other messages of that
size at once: the bytes that decide the layout, lengths and strings, must be equal. numpy then reads the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError
from counterpoint.ingest.messages.schema import Field, Types
from counterpoint.ingest.messages.topic import Payload

MAX_DEPTH = 32
MAX_STEPS = 200_000
"""Most fields of one message, counting the elements of lists."""
MAX_TEXT = 2**20
_KINDS = {
    "bool": "u1", "byte": "u1", "octet": "u1", "char": "u1", "uint8": "u1", "int8": "i1",
    "uint16": "u2", "int16": "i2", "uint32": "u4", "int32": "i4", "uint64": "u8", "int64": "i8",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_BYTES = frozenset({"byte", "octet", "char", "uint8"})
_CDR = {0: (">", 8), 1: ("<", 8), 6: (">", 4), 7: ("<", 4)}
"""Representation id -> byte order and largest alignment, for plain CDR and plain CDR 2."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Numbers at a fixed offset in every message of a layout."""

    path: str
    dtype: str
    offset: int
    count: int

    @property
    def end(self) -> int:
        """Offset of the first byte after them."""
        return self.offset + self.count * int(self.dtype[2:])


@dataclass(frozen=True, kw_only=True, eq=False)
class MessageLayout:
    """Where the fields are in messages of one size whose lengths and strings are equal."""

    size: int
    numbers: tuple[Place, ...]
    blobs: tuple[Place, ...]
    texts: dict[str, str | tuple[str, ...]]
    deciding: NDArray[np.int64]
    """Positions of the bytes that must be equal."""
    decided: NDArray[np.uint8]
    """The bytes at these positions."""

    def matches(self, matrix: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return bool [messages]: which rows of uint8 [messages, size] have this layout."""
        same: NDArray[np.bool_] = (matrix[:, self.deciding] == self.decided).all(axis=1)
        return same


class LayoutParser:
    """Parses one message by its definition."""

    def __init__(self, types: Types, data: Payload, *, ros1: bool, where: str) -> None:
        """Check the header of a CDR message; ROS 1 has no header and no alignment.

        Raises:
            IngestError: `bad_message` where it is too short, `unknown_encoding` for other representations.
        """
        self._types = types
        self._data = data
        self._where = where
        self._ros1 = ros1
        self._order, self._largest = ("<", 1)
        self._base = self._position = 0
        if not ros1:
            if len(data) < 4:
                raise IngestError(f"{where}: {len(data)} bytes are too short for a CDR message", reason="bad_message")
            kind = data[0] << 8 | data[1]
            if kind not in _CDR:
                raise IngestError(
                    f"{where}: CDR representation {kind:#06x}, expected plain CDR (0, 1, 6 or 7)",
                    reason="unknown_encoding",
                )
            self._order, self._largest = _CDR[kind]
            self._base = self._position = 4
        self._steps = 0
        self._numbers: list[Place] = []
        self._blobs: list[Place] = []
        self._texts: dict[str, str | tuple[str, ...]] = {}
        self._deciding: list[tuple[int, int]] = [] if ros1 else [(0, 4)]

    def layout(self, root: str) -> MessageLayout:
        """LayoutParser a message of type `root`.

        Raises:
            IngestError: `bad_message` where it is truncated or too long, `bad_schema` for types that are missing or
                contain themselves, `unknown_encoding` for wide strings, `absurd_size` for too many fields.
        """
        self._message("", root, 0)
        size = len(self._data)
        if size - self._position > 7:
            raise self._bad(f"{size - self._position} bytes are left over after a {root}")
        deciding = np.concatenate([np.arange(*each) for each in self._deciding] or [np.empty(0, np.int64)])
        return MessageLayout(
            size=size,
            numbers=tuple(self._numbers),
            blobs=tuple(self._blobs),
            texts=self._texts,
            deciding=deciding,
            decided=np.frombuffer(self._data, np.uint8)[deciding],
        )

    def _message(self, prefix: str, name: str, depth: int) -> None:
        if depth > MAX_DEPTH or name not in self._types:
            wrong = "nested too deep" if name in self._types else "not defined"
            raise IngestError(f"{self._where}: type {name!r} is {wrong}", reason="bad_schema")
        fields = self._types[name]
        if not fields and not self._ros1:
            self._take(1, 1)  # an empty struct is one byte in CDR
        for field in fields:
            self._field(f"{prefix}.{field.name}" if prefix else field.name, field, depth)

    def _field(self, path: str, field: Field, depth: int) -> None:
        count = 1
        if field.shape == "array":
            count = field.length
        elif field.shape == "sequence":
            count = self._length()
        self._count(1)
        if field.is_message:
            for index in range(count):
                self._count(1)
                self._message(path if field.shape == "one" else f"{path}[{index}]", field.type, depth + 1)
        elif field.type == "string":
            texts = tuple(self._string() for _ in self._counted(count))
            self._texts[path] = texts[0] if field.shape == "one" else texts
        elif field.type in _KINDS:
            kind = _KINDS[field.type]
            width = int(kind[1:])
            offset = self._take(width, width * count) if count else self._position
            place = Place(path=path, dtype=self._order + kind, offset=offset, count=count)
            (self._blobs if field.shape != "one" and field.type in _BYTES else self._numbers).append(place)
        else:
            raise IngestError(f"{self._where}: {path}: cannot read {field.type!r}", reason="unknown_encoding")

    def _counted(self, count: int) -> range:
        self._count(count)
        return range(count)

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise IngestError(f"{self._where}: more than {MAX_STEPS} fields in one message", reason="absurd_size")

    def _take(self, align: int, size: int) -> int:
        """Return the aligned offset of the next `size` bytes, and skip them."""
        align = min(align, self._largest)
        start = self._position + (self._base - self._position) % align
        if size > len(self._data) - start:
            raise self._bad(f"it needs {size} bytes at offset {start}, but has {len(self._data)} in all")
        self._position = start + size
        return start

    def _length(self) -> int:
        start = self._take(4, 4)
        self._deciding.append((start, start + 4))
        return int.from_bytes(self._data[start : start + 4], "little" if self._order == "<" else "big")

    def _string(self) -> str:
        length = self._length()
        start = self._take(1, length)
        self._deciding.append((start, start + length))
        if length > MAX_TEXT:
            raise IngestError(f"{self._where}: a string of {length} bytes", reason="absurd_size")
        text = bytes(self._data[start : start + length])
        return (text if self._ros1 else text.removesuffix(b"\0")).decode(errors="replace")

    def _bad(self, what: str) -> IngestError:
        return IngestError(f"{self._where}: a message does not fit its definition: {what}", reason="bad_message")
