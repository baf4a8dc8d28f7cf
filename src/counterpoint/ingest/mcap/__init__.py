"""MCAP files: ROS 2 (CDR), ROS 1, JSON and Protobuf messages."""

from __future__ import annotations

from pathlib import Path

from counterpoint.ingest.files.paths import starts_with
from counterpoint.ingest.recording.source import LogSource, ReadOptions

MAGIC = b"\x89MCAP0\r\n"


def looks_like_mcap(path: Path) -> bool:
    """Whether a file starts like an MCAP file of any version."""
    return starts_with(path, MAGIC[:5])


def open_mcap(path: Path, options: ReadOptions) -> LogSource:
    """Open an MCAP file as one episode.

    Raises:
        IngestError: it cannot be used; carries the reason code.
    """
    from counterpoint.ingest.mcap.file import McapFile  # needs lz4 and zstandard, which are in an extra
    from counterpoint.ingest.mcap.protobuf import ProtobufDecoder
    from counterpoint.ingest.messages.log import MessageLog
    from counterpoint.ingest.messages.survey import DECODERS

    return MessageLog(McapFile(path), options, {**DECODERS, "protobuf": ProtobufDecoder})
