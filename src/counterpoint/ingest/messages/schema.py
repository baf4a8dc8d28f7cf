"""Parses the message definitions in a log into lists of fields, with `rosbags`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore

from counterpoint.core.errors import IngestError
from counterpoint.ingest.messages.topic import Topic

Shape = Literal["one", "array", "sequence"]
MAX_SCHEMA_BYTES = 2**20
_SEPARATOR = re.compile(r"^=+\n(?:IDL|MSG): ?\S+\n", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a message."""

    name: str
    type: str
    """A basic type (`float64`, `string`), or a message type (`std_msgs/msg/Header`)."""
    is_message: bool
    shape: Shape
    length: int = 0
    """Number of elements of an array."""


Types = Mapping[str, tuple[Field, ...]]


def _clock_type(seconds: str, nanoseconds: str) -> tuple[Field, ...]:
    return tuple(
        Field(name=name, type=kind, is_message=False, shape="one")
        for name, kind in (("sec", seconds), ("nanosec", nanoseconds))
    )


_ROS1_CLOCK = {
    "builtin_interfaces/msg/Time": _clock_type("uint32", "uint32"),
    "builtin_interfaces/msg/Duration": _clock_type("int32", "int32"),
}
_ROS2_CLOCK = dict.fromkeys(_ROS1_CLOCK, _clock_type("int32", "uint32"))


def parse_schema(topic: Topic, where: str) -> tuple[str, Types]:
    """Return the root type of a topic, and all types in its definition.

    For a topic without a definition (old db3 files), the definition that ROS 2 ships for its type is used.

    Raises:
        IngestError: `bad_schema` where the text cannot be parsed, `absurd_size` where it is longer than a MiB,
            `unknown_type` where there is no text and no shipped type.
    """
    package, _, short = topic.type.rpartition("/")
    root = f"{package}/msg/{short}"
    if len(topic.schema) > MAX_SCHEMA_BYTES:
        raise IngestError(f"{where}: {topic.name}: {len(topic.schema)} bytes of schema; refused", reason="absurd_size")
    if not topic.schema.strip() and topic.encoding == "cdr":
        shipped = get_typestore(Stores.LATEST).fielddefs
        if root not in shipped:
            raise IngestError(
                f"{where}: {topic.name}: the log has no definition of {topic.type!r}, and ROS 2 ships none",
                reason="unknown_type",
            )
        return root, {name: _fields(entry[1]) for name, entry in shipped.items()}
    try:
        text = topic.schema.decode()
        raw = _parse_idl(text) if topic.schema_encoding == "ros2idl" else get_types_from_msg(text, root)
        types = {name: _fields(entry[1]) for name, entry in raw.items()}
    except (TypesysError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise IngestError(
            f"{where}: {topic.name}: the definition of {topic.type!r} cannot be parsed ({error})"[:500],
            reason="bad_schema",
        ) from error
    if root not in types:
        raise IngestError(
            f"{where}: {topic.name}: its schema defines {', '.join(types) or 'nothing'}, expected {root}",
            reason="bad_schema",
        )
    if topic.encoding == "ros1":
        return root, {**types, **_ROS1_CLOCK}
    return root, {**_ROS2_CLOCK, **types}


def _parse_idl(text: str) -> dict[str, Any]:
    types: dict[str, Any] = {}
    for part in _SEPARATOR.split("\n" + text):
        if part.strip():
            types.update(get_types_from_idl(part))
    return types


def _fields(raw: Any) -> tuple[Field, ...]:
    return tuple(_field(name, *description) for name, description in raw)


def _field(name: str, node: Any, content: Any) -> Field:
    shape: Shape = "one"
    length = 0
    if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        shape = "array" if node == Nodetype.ARRAY else "sequence"
        (node, content), length = content
    is_message = node == Nodetype.NAME
    return Field(
        name=name, type=content if is_message else content[0], is_message=is_message, shape=shape, length=int(length)
    )
