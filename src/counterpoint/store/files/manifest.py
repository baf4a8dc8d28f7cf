"""`manifest.json`: what an episode holds, where it comes from, and the checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.embodiment import StreamKind
from counterpoint.core.episode import Provenance
from counterpoint.core.errors import StoreError
from counterpoint.core.stream import TimeSource
from counterpoint.store.files.layout import VERSION, canonical_json, sha256_hex

FORMAT = "counterpoint-episode"


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """One stream of an episode, without its samples."""

    name: str
    kind: StreamKind
    spec_sha256: str
    samples: int
    time_source: TimeSource
    video: str = ""
    """File of an image stream, relative to the episode's folder."""
    encoding: str = ""
    """`encoded` where the store made the video from frames, `copied` where the log's own bytes were kept."""


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """One file of an episode."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class EpisodeInfo:
    """An episode without its samples: the content of its manifest."""

    episode_id: str
    embodiment: str
    """The robot's name."""
    embodiment_sha256: str
    provenance: Provenance
    start_ns: int
    end_ns: int
    streams: tuple[StreamInfo, ...]
    files: tuple[FileInfo, ...]
    content_sha256: str
    """Of samples, times, descriptions and provenance; the same for the same episode however it is encoded."""

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last sample."""
        return (self.end_ns - self.start_ns) / NS_PER_SECOND

    @property
    def num_bytes(self) -> int:
        """Size on disk without the manifest."""
        return sum(file.bytes for file in self.files)

    def stream(self, name: str) -> StreamInfo | None:
        """Return the stream of that name, or None."""
        return next((stream for stream in self.streams if stream.name == name), None)


def manifest_to_bytes(info: EpisodeInfo) -> bytes:
    """Return the bytes of `manifest.json`, with a checksum of its own content."""
    body = {"format": FORMAT, "version": VERSION, **asdict(info)}
    return canonical_json({**body, "checksum": sha256_hex(canonical_json(body))})


def manifest_from_bytes(data: bytes) -> EpisodeInfo:
    """Rebuild what `manifest_to_bytes` wrote.

    Raises:
        StoreError: damaged, foreign, or of another version; the caller adds the path.
    """
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise StoreError(f"not complete JSON ({error})") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise StoreError(f"expected format {FORMAT!r}")
    if raw.get("version") != VERSION:
        raise StoreError(f"episode version {raw.get('version')!r}, this program reads version {VERSION}")
    checksum = raw.pop("checksum", None)
    if checksum != sha256_hex(canonical_json(raw)):
        raise StoreError("its checksum does not match its content")
    return info_from_dict({key: raw[key] for key in raw if key not in ("format", "version")})


def info_from_dict(raw: Mapping[str, object]) -> EpisodeInfo:
    """Build an EpisodeInfo from plain JSON values; raises StoreError where keys do not fit."""
    values = dict(raw)
    try:
        provenance = dict(cast(dict[str, object], values["provenance"]))
        provenance["notes"] = tuple(cast(list[str], provenance.get("notes", ())))
        values["provenance"] = Provenance(**provenance)  # type: ignore[arg-type]  # the except below covers it
        values["streams"] = tuple(StreamInfo(**each) for each in cast(list[dict[str, str]], values["streams"]))  # type: ignore[arg-type]  # as above
        values["files"] = tuple(FileInfo(**each) for each in cast(list[dict[str, str]], values["files"]))  # type: ignore[arg-type]  # as above
        return EpisodeInfo(**values)  # type: ignore[arg-type]  # as above
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"not an episode manifest: {error}") from error
