"""Flattens nested messages (JSON, Protobuf) into fields, and groups messages with equal fields into batches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from counterpoint.core.errors import IngestError
from counterpoint.ingest.messages.topic import MessageBatch, Payload, Topic

MAX_FIELDS = 20_000
MAX_DEPTH = 24


@dataclass(kw_only=True)
class Flat:
    """One message, flattened."""

    where: str
    """For error messages."""
    numbers: dict[str, list[float]] = field(default_factory=dict)
    texts: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def add(self, path: str, value: object, depth: int = 0) -> None:
        """Add a value of plain Python objects; None adds nothing.

        Raises:
            IngestError: `absurd_size` where it is nested too deep or has too many fields.
        """
        if depth > MAX_DEPTH or len(self.numbers) + len(self.texts) > MAX_FIELDS:
            raise IngestError(
                f"{self.where}: field {path[:100]!r}: nested too deep, or too many fields", reason="absurd_size"
            )
        if isinstance(value, bool | int | float):
            self.numbers[path] = [_number(value)]
        elif isinstance(value, str):
            self.texts[path] = value
        elif isinstance(value, bytes):
            self.blobs[path] = value
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                self.add(f"{path}.{key}" if path else str(key), inner, depth + 1)
        elif isinstance(value, Sequence):
            if all(isinstance(each, bool | int | float) for each in value):
                self.numbers[path] = [_number(each) for each in value]
            elif all(isinstance(each, str) for each in value):
                self.texts[path] = tuple(value)
            else:
                for index, each in enumerate(value):
                    self.add(f"{path}[{index}]", each, depth + 1)


def to_batches(messages: Sequence[Flat]) -> list[MessageBatch]:
    """Group messages with equal fields, lengths and texts, in the order of their first message."""
    groups: dict[object, list[int]] = {}
    for row, each in enumerate(messages):
        shape = tuple((path, len(values)) for path, values in each.numbers.items())
        groups.setdefault((shape, tuple(each.texts.items()), tuple(each.blobs)), []).append(row)
    batches = []
    for rows in groups.values():
        first = messages[rows[0]]
        batches.append(
            MessageBatch(
                rows=np.asarray(rows),
                numbers={
                    path: np.asarray([messages[row].numbers[path] for row in rows], np.float64).reshape(len(rows), -1)
                    for path in first.numbers
                },
                texts=first.texts,
                blobs={path: [messages[row].blobs[path] for row in rows] for path in first.blobs},
            )
        )
    return batches


class JsonDecoder:
    """Decodes JSON objects; a schema is not needed."""

    def __init__(self, topic: Topic, where: str) -> None:
        """Remember the topic for error messages."""
        self._where = f"{where}: {topic.name}"

    def decode(self, payloads: Sequence[Payload]) -> list[MessageBatch]:
        """Decode all payloads; raises IngestError `bad_message`, `absurd_size`."""
        return to_batches([self._flat(payload) for payload in payloads])

    def _flat(self, payload: Payload) -> Flat:
        try:
            value = json.loads(bytes(payload))
        except (ValueError, RecursionError) as error:
            raise IngestError(f"{self._where}: a message is not JSON ({error})", reason="bad_message") from error
        if not isinstance(value, dict):
            raise IngestError(
                f"{self._where}: expected a JSON object, got {type(value).__name__}", reason="bad_message"
            )
        flat = Flat(where=self._where)
        flat.add("", value)
        return flat


def _number(value: float) -> float:
    """Return a float; integers beyond its range become infinite, which the checks refuse."""
    try:
        return float(value)
    except OverflowError:
        return float("inf")
