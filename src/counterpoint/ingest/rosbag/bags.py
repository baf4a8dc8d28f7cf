"""Opens bags by content; the files of a split ROS 2 bag become one container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import inside, starts_with
from counterpoint.ingest.mcap import looks_like_mcap
from counterpoint.ingest.mcap.file import McapFile
from counterpoint.ingest.messages.topic import Block, Container, Topic
from counterpoint.ingest.rosbag import METADATA, METADATA_ROOT, SQLITE_MAGIC
from counterpoint.ingest.rosbag.bag1 import Bag1File
from counterpoint.ingest.rosbag.db3 import Db3File

MAX_METADATA_BYTES = 16 * 2**20
MAX_FILES = 10_000


def open_bag(path: Path) -> Container:
    """Open a file or folder; raises IngestError."""
    if path.is_dir():
        return SplitBag(path)
    return Db3File(path) if starts_with(path, SQLITE_MAGIC) else Bag1File(path)


class SplitBag:
    """The files listed in `metadata.yaml`, one after the other."""

    def __init__(self, path: Path) -> None:
        """Read the metadata and open every file; raises IngestError."""
        self.path = path
        raw = _load(path)
        mode = raw.get("compression_mode")
        packing = mode.lower() if isinstance(mode, str) else ""
        if packing == "file":
            raise IngestError(
                f"{path}: its files are compressed as a whole; unpack them with `zstd -d`, then run `ros2 bag reindex`",
                reason="unknown_compression",
            )
        custom = raw.get("custom_data")
        plain = (
            custom.items() if isinstance(custom, dict) else ()
        )  # nested values could be endless, because YAML has aliases
        self._metadata = {str(key).lower(): text for key, text in plain if isinstance(text, str)}
        names = raw.get("relative_file_paths")
        if not isinstance(names, list) or not 0 < len(names) <= MAX_FILES or not all(isinstance(n, str) for n in names):
            raise IngestError(f"{path}: {METADATA} lists no files", reason="bad_info")
        files = [_open(inside(path, name), packed=packing == "message") for name in names]
        self._files: Sequence[McapFile | Db3File] = files
        self.notes: Sequence[str] = tuple(note for each in files for note in each.notes)
        self.span_ns = sum(each.span_ns for each in files)
        self.topics: Mapping[str, Topic] = _joined(files, path)

    def metadata(self) -> Mapping[str, str]:
        """Return custom data of the folder, and metadata records of its files."""
        return {**{key: text for each in self._files for key, text in each.metadata().items()}, **self._metadata}

    def blocks(self) -> Iterator[Block]:
        """Read one file after the other; raises IngestError."""
        for each in self._files:
            yield from each.blocks()


def _open(path: Path, *, packed: bool) -> McapFile | Db3File:
    return McapFile(path) if looks_like_mcap(path) else Db3File(path, packed_messages=packed)


def _joined(files: Sequence[McapFile | Db3File], path: Path) -> dict[str, Topic]:
    found: dict[str, Topic] = {}
    for each in files:
        for name, topic in each.topics.items():
            known = found.get(name)
            if known is None:
                found[name] = topic
            elif (known.type, known.encoding) != (topic.type, topic.encoding):
                raise IngestError(
                    f"{path}: topic {name} has type {known.type} in one file and {topic.type} in another",
                    reason="bad_schema",
                )
            else:
                counts = (known.count, topic.count)
                found[name] = replace(known, count=None if None in counts else sum(filter(None, counts)))
    return found


def _load(path: Path) -> dict[str, object]:
    file = inside(path, METADATA)
    if not file.is_file():
        raise IngestError(f"{file}: missing; every folder of a ROS 2 bag has one", reason="missing_info")
    if file.stat().st_size > MAX_METADATA_BYTES:
        raise IngestError(f"{file}: {file.stat().st_size} bytes", reason="absurd_size")
    try:
        raw = YAML(typ="safe", pure=True).load(file.read_bytes().decode())
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError, KeyError, IndexError) as error:
        raise IngestError(f"{file}: not YAML ({error})"[:500], reason="bad_info") from error
    content = raw.get(METADATA_ROOT) if isinstance(raw, dict) else None
    if not isinstance(content, dict):
        raise IngestError(f"{file}: expected the key {METADATA_ROOT!r}, found none", reason="bad_info")
    return content
