"""Adding episodes to a store: durable on return, and safe with many writers at once without a lock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from counterpoint.core.embodiment import Embodiment, StreamSpec, embodiment_to_dict, spec_to_dict
from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError
from counterpoint.core.stream import Stream, TimeSource
from counterpoint.store.episodes.video import EncodedVideo, encode_frames
from counterpoint.store.files.blocks import Columns, encode_streams, stream_to_columns
from counterpoint.store.files.commit import clean_staging, commit_folder, new_staging, write_durably
from counterpoint.store.files.layout import (
    MANIFEST,
    STREAMS,
    canonical_json,
    create_store,
    episode_folder,
    next_step,
    safe_name,
    sha256_hex,
)
from counterpoint.store.files.manifest import EpisodeInfo, FileInfo, StreamInfo, manifest_from_bytes, manifest_to_bytes


class StoreWriter:
    """Add episodes to the store at `root`, making it where there is none.

        with StoreWriter(path) as writer:
            writer.add(episode)

    Raises:
        StoreError: `root` is something else, or a store of another version.
    """

    def __init__(self, root: Path | str) -> None:
        """Open the store for writing; removes what crashed writers left behind."""
        self.root = Path(root)
        create_store(self.root)
        clean_staging(self.root)
        self._specs: dict[StreamSpec, str] = {}
        self._embodiments: dict[int, tuple[Embodiment, str]] = {}

    def __enter__(self) -> StoreWriter:
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is open between episodes."""

    def has(self, episode_id: str) -> bool:
        """Whether the episode is committed."""
        return (episode_folder(self.root, episode_id) / MANIFEST).is_file()

    def add(self, episode: Episode, *, videos: Mapping[str, EncodedVideo] | None = None) -> None:
        """Commit `episode`; it is durably on disk when this returns.

        `videos` are image streams that come encoded, by name, beside the episode's own streams.
        Adding the same content again under the same id does nothing.

        Raises:
            StoreError: another episode has this id, or the disk is full (what
                was committed before is not touched).
        """
        parts = [_decoded_part(stream) for stream in episode.streams.values()]
        parts += [_encoded_part(name, video) for name, video in (videos or {}).items()]
        if len({part.spec.name for part in parts}) < len(parts):
            raise StoreError(f"episode {episode.episode_id!r}: a stream is given both as frames and as video")
        final = episode_folder(self.root, episode.episode_id)
        embodiment = self._keep_embodiment(episode.embodiment)
        specs = {part.spec.name: self._keep_spec(part.spec) for part in parts}
        content = _content_sha256(episode, embodiment, parts, specs)
        if final.exists():
            self._check_same(final, episode.episode_id, content)
            return
        files = {part.file: part.video for part in parts if part.video}
        files[STREAMS] = encode_streams({part.spec.name: part.columns for part in parts})
        info = _describe(episode, embodiment, content, parts, specs, files)
        files[MANIFEST] = manifest_to_bytes(info)
        if not commit_folder(new_staging(self.root), final, files):
            self._check_same(final, episode.episode_id, content)

    def embodiment_sha256(self, embodiment: Embodiment) -> str:
        """Return the hash under which the robot's description is kept in a store."""
        return sha256_hex(canonical_json(embodiment_to_dict(embodiment)))

    def _check_same(self, folder: Path, episode_id: str, content: str) -> None:
        try:
            there = manifest_from_bytes((folder / MANIFEST).read_bytes())
        except (StoreError, OSError) as error:
            raise StoreError(
                f"{folder / MANIFEST}: episode {episode_id!r} exists but is damaged ({error}); {next_step(self.root)}"
            ) from error
        if there.content_sha256 != content:
            raise StoreError(
                f"{folder}: episode {episode_id!r} already exists with other content; choose another episode id "
                "or another store (episodes are never overwritten)"
            )

    def _keep_spec(self, spec: StreamSpec) -> str:
        if spec not in self._specs:
            self._specs[spec] = self._keep("specs", spec_to_dict(spec))
        return self._specs[spec]

    def _keep_embodiment(self, embodiment: Embodiment) -> str:
        known = self._embodiments.get(id(embodiment))
        if known is None:  # the object is kept beside its id, so the id cannot be used again
            known = embodiment, self._keep("embodiments", embodiment_to_dict(embodiment))
            self._embodiments[id(embodiment)] = known
        return known[1]

    def _keep(self, kind: str, description: dict[str, object]) -> str:
        data = canonical_json(description)
        digest = sha256_hex(data)
        path = self.root / kind / f"{digest}.json"
        if not path.exists():
            write_durably(path, data)
        return digest


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """A stream on its way to the disk."""

    spec: StreamSpec
    time_source: TimeSource
    columns: Columns
    pixels_sha256: str = ""
    """Of an image stream: decoded frames, or the log's bytes."""
    video: bytes = b""
    encoding: str = ""

    @property
    def file(self) -> str:
        return f"{safe_name(self.spec.name)}.mp4"


def _decoded_part(stream: Stream) -> _Part:
    digest, video = "", b""
    if stream.spec.kind == "image":
        frames = np.ascontiguousarray(stream.values, dtype=np.uint8)
        digest, pts = sha256_hex(frames.data.cast("B") if frames.size else b""), np.empty(0, np.int64)
        if len(frames):
            video, pts = encode_frames(frames)
        columns = Columns(capture_ns=stream.capture_ns, arrival_ns=stream.arrival_ns, pts=pts)
    else:
        columns = stream_to_columns(stream)
        _check_unicode(stream.spec.name, columns.texts)
    return _Part(
        spec=stream.spec,
        time_source=stream.time_source,
        columns=columns,
        pixels_sha256=digest,
        video=video,
        encoding="encoded" if stream.spec.kind == "image" else "",
    )


def _check_unicode(stream: str, texts: Sequence[str]) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StoreError(f"stream {stream!r}: text {text[:40]!r} is not valid Unicode ({error.reason})") from error


def _encoded_part(name: str, video: EncodedVideo) -> _Part:
    if video.spec.name != name or video.spec.kind != "image":
        raise StoreError(f"video {name!r}: expected an image stream of that name, got {video.spec.name!r}")
    if not len(video.pts) == len(video.capture_ns) == len(video.arrival_ns):
        raise StoreError(f"video {name!r}: {len(video.pts)} frames for {len(video.capture_ns)} times")
    columns = Columns(capture_ns=video.capture_ns, arrival_ns=video.arrival_ns, pts=video.pts)
    return _Part(
        spec=video.spec,
        time_source=video.time_source,
        columns=columns,
        pixels_sha256=sha256_hex(video.data),
        video=video.data,
        encoding="copied",
    )


def _content_sha256(episode: Episode, embodiment: str, parts: list[_Part], specs: dict[str, str]) -> str:
    digest = hashlib.sha256(canonical_json([embodiment, asdict(episode.provenance)]))
    for part in sorted(parts, key=lambda part: part.spec.name):
        digest.update(canonical_json([specs[part.spec.name], part.time_source, part.pixels_sha256]))
        digest.update(part.columns.capture_ns.astype("<i8").tobytes())
        digest.update(part.columns.arrival_ns.astype("<i8").tobytes())
        digest.update(part.columns.values.astype("<f4").tobytes())
        digest.update(json.dumps(list(part.columns.texts)).encode())
    return digest.hexdigest()


def _describe(
    episode: Episode,
    embodiment: str,
    content: str,
    parts: list[_Part],
    specs: dict[str, str],
    files: Mapping[str, bytes],
) -> EpisodeInfo:
    filled = [part.columns.capture_ns for part in parts if len(part.columns.capture_ns)]
    return EpisodeInfo(
        episode_id=episode.episode_id,
        embodiment=episode.embodiment.name,
        embodiment_sha256=embodiment,
        provenance=episode.provenance,
        start_ns=min((int(times[0]) for times in filled), default=0),
        end_ns=max((int(times[-1]) for times in filled), default=0),
        streams=tuple(
            StreamInfo(
                name=part.spec.name,
                kind=part.spec.kind,
                spec_sha256=specs[part.spec.name],
                samples=len(part.columns.capture_ns),
                time_source=part.time_source,
                video=part.file if part.video else "",
                encoding=part.encoding,
            )
            for part in parts
        ),
        files=tuple(
            FileInfo(path=name, bytes=len(data), sha256=sha256_hex(data)) for name, data in sorted(files.items())
        ),
        content_sha256=content,
    )
