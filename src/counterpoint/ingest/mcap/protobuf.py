"""Decodes Protobuf messages by the descriptors in the MCAP file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from counterpoint.core.errors import IngestError
from counterpoint.ingest.messages.flat import MAX_DEPTH, Flat, to_batches
from counterpoint.ingest.messages.topic import MessageBatch, Payload, Topic

MAX_SCHEMA_BYTES = 16 * 2**20


class ProtobufDecoder:
    """Decodes the messages of one topic. Unset plain fields read as zero, as Protobuf defines."""

    def __init__(self, topic: Topic, where: str) -> None:
        """Build the message class from the topic's FileDescriptorSet.

        Raises:
            IngestError: `bad_schema`, `absurd_size`.
        """
        self._where = f"{where}: {topic.name}"
        if len(topic.schema) > MAX_SCHEMA_BYTES:
            raise IngestError(f"{self._where}: {len(topic.schema)} bytes of schema; refused", reason="absurd_size")
        try:
            files = descriptor_pb2.FileDescriptorSet.FromString(topic.schema)
            pool = descriptor_pool.DescriptorPool()
            for file in _in_order(list(files.file)):
                pool.Add(file)
            self._class = message_factory.GetMessageClass(pool.FindMessageTypeByName(topic.type))
        except (DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise IngestError(
                f"{self._where}: its descriptors do not define {topic.type!r} ({error})"[:500], reason="bad_schema"
            ) from error

    def decode(self, payloads: Sequence[Payload]) -> list[MessageBatch]:
        """Decode all payloads; raises IngestError `bad_message`, `absurd_size`."""
        return to_batches([self._flat(payload) for payload in payloads])

    def _flat(self, payload: Payload) -> Flat:
        try:
            message = self._class.FromString(bytes(payload))
        except DecodeError as error:
            raise IngestError(
                f"{self._where}: not a {self._class.DESCRIPTOR.full_name} ({error})", reason="bad_message"
            ) from error
        flat = Flat(where=self._where)
        _add_message(flat, "", message, (), 0)
        return flat


def _in_order(files: list[Any]) -> list[Any]:
    """Return the files sorted so that each follows those it imports."""
    by_name = {file.name: file for file in files}
    done: dict[str, Any] = {}

    def visit(name: str, depth: int) -> None:
        if name in done or name not in by_name or depth > len(by_name):
            return
        for needed in by_name[name].dependency:
            visit(needed, depth + 1)
        done[name] = by_name[name]

    for name in by_name:
        visit(name, 0)
    return list(done.values())


def _add_message(flat: Flat, path: str, message: Any, above: tuple[Descriptor, ...], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise IngestError(f"{flat.where}: field {path[:100]!r}: nested too deep", reason="absurd_size")
    kind = message.DESCRIPTOR
    for field in kind.fields:
        name = f"{path}.{field.name}" if path else field.name
        value = getattr(message, field.name)
        is_message = field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP)
        if field.is_repeated:
            if is_message and field.message_type.GetOptions().map_entry:
                continue  # maps have no fixed columns
            if is_message:
                for index, inner in enumerate(value):
                    flat.add(f"{name}[{index}]", None, depth)  # counts the fields
                    _add_message(flat, f"{name}[{index}]", inner, (), depth + 1)
            else:
                flat.add(name, list(value) or _nothing(field), depth)
        elif is_message:
            if message.HasField(field.name) or (
                not field.containing_oneof and field.message_type not in (kind, *above)
            ):
                unset = () if message.HasField(field.name) else (kind, *above)
                _add_message(flat, name, value, unset, depth + 1)
        elif not field.containing_oneof or message.HasField(field.name):
            flat.add(name, value, depth)


def _nothing(field: Any) -> object:
    return () if field.type == FieldDescriptor.TYPE_STRING else []
