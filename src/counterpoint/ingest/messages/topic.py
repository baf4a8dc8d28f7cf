"""What a log of messages consists of, in any container: topics, and blocks of messages.

container (MCAP, bag, db3) --Block--> decoder (layout, JSON, Protobuf) --MessageBatch--> features, pictures, texts
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError

Payload = bytes | memoryview

Queue = tuple[list[Payload], list[int], list[int]]
"""Messages of one channel before they become a block: payloads, log times and publish times."""
MAX_TIME_NS = 2**62
MAX_MESSAGE_BYTES = 2**30
"""Largest message that is read."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A named series of messages of one type."""

    name: str
    type: str
    """For example `sensor_msgs/JointState`, without the `msg` of ROS 2 in the middle."""
    encoding: str
    """Of the messages: `cdr`, `ros1`, `json`, `protobuf`, or one that no decoder knows."""
    schema_encoding: str = ""
    """`ros1msg`, `ros2msg`, `ros2idl`, `protobuf`, `jsonschema`, or empty."""
    schema: bytes = field(default=b"", repr=False)
    count: int | None = None
    """Number of messages in the log; None where the log does not say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Consecutive messages of one topic."""

    topic: str
    payloads: Sequence[Payload]
    log_ns: NDArray[np.int64]
    """[messages], when the recorder received it."""
    publish_ns: NDArray[np.int64]
    """[messages], when it was sent; equal to `log_ns` where the log does not say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MessageBatch:
    """Decoded messages with equal fields, lengths and texts."""

    rows: NDArray[np.int64]
    """[messages], which messages of the block."""
    numbers: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    """By field path, [messages, width]; a single number has width 1."""
    texts: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """By field path, equal in all messages of the batch; tuples for lists of strings."""
    blobs: Mapping[str, Sequence[Payload]] = field(default_factory=dict)
    """By field path, [messages] byte strings."""


class Decoder(Protocol):
    """Turns payloads of one topic into batches."""

    def decode(self, payloads: Sequence[Payload]) -> list[MessageBatch]:
        """Decode all payloads; raises IngestError `bad_message`."""
        ...


class Container(Protocol):
    """A log opened for reading."""

    @property
    def path(self) -> Path:
        """The file or folder."""
        ...

    @property
    def topics(self) -> Mapping[str, Topic]:
        """By name, in a stable order."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Reason codes of what the container skipped."""
        ...

    @property
    def span_ns(self) -> int:
        """Nanoseconds from the first to the last message; 0 where the log does not say."""
        ...

    def blocks(self) -> Iterator[Block]:
        """Read all messages and check the container while reading; raises IngestError.

        The caller may stop early, for example after the first messages.
        """
        ...

    def metadata(self) -> Mapping[str, str]:
        """Return the log's metadata (task, operator, site, ...); complete after `blocks`."""
        ...


def one_clock() -> Queue:
    """Return an empty queue of a channel whose log has no time of publishing."""
    times: list[int] = []
    return [], times, times


def blocks_of(queues: Mapping[int, Queue], topics: Mapping[int, str], where: str) -> Iterator[Block]:
    """Yield the queued messages of each channel; `topics` has an empty name for channels that are left out.

    Raises:
        IngestError: `damaged_record` where no record describes a channel, `absurd_time`.
    """
    for channel, (payloads, log, publish) in queues.items():
        if channel not in topics:
            raise IngestError(
                f"{where}: messages of channel {channel}, which no record describes", reason="damaged_record"
            )
        if (latest := max(max(log), max(publish))) > MAX_TIME_NS:
            raise IngestError(f"{where}: a time of {latest} ns", reason="absurd_time")
        if topic := topics[channel]:
            log_ns = np.asarray(log, np.int64)
            publish_ns = log_ns if publish is log else np.asarray(publish, np.int64)
            yield Block(topic=topic, payloads=payloads, log_ns=log_ns, publish_ns=publish_ns)


def plain_type(name: str) -> str:
    """Return `sensor_msgs/JointState` for `sensor_msgs/msg/JointState`, and other names as they are."""
    parts = name.split("/")
    return f"{parts[0]}/{parts[2]}" if len(parts) == 3 and parts[1] == "msg" else name
