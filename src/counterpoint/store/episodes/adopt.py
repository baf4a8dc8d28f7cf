"""Adopting an episode that another computer wrote: verify everything, then commit it unchanged.

    manifest.json + files by SHA-256 + descriptions by SHA-256 --check--> staging folder --rename--> episode

Received data are not trusted: names, types, sizes, checksums, descriptions and sample counts are checked first.
The manifest is kept byte for byte, so the checksum of the episode stays valid.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from counterpoint.core.embodiment import embodiment_from_dict, spec_from_dict
from counterpoint.core.errors import CounterpointError, IngestError, StoreError
from counterpoint.store.files.blocks import DAMAGED, decode_streams
from counterpoint.store.files.commit import commit_folder, new_staging, write_durably
from counterpoint.store.files.layout import MANIFEST, STREAMS, episode_folder, safe_name, sha256_file, sha256_hex
from counterpoint.store.files.manifest import EpisodeInfo, manifest_from_bytes

DescriptionKind = Literal["embodiments", "specs"]
Place = Literal["free", "same", "taken"]

MAX_FILES = 1_000
MAX_EPISODE_BYTES = 1 << 50
MAX_STREAMS_RATIO = 2_000
"""`streams.parquet` may unpack to this many times its size (identical samples pack well), and no more."""
_FILE_NAME = re.compile(r"[A-Za-z0-9_~ +=,@%-][A-Za-z0-9_~ +=,@%.-]{0,199}")
_HASH = re.compile(r"[0-9a-f]{64}")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One file that an episode needs."""

    sha256: str
    bytes: int | None
    """Size; None for a description, which the manifest names by hash alone."""
    name: str
    """`streams.parquet`, `camera.mp4`, `embodiments/<sha256>.json`, ...; several names may share a content."""


def check_manifest(data: bytes) -> EpisodeInfo:
    """Parse a received manifest; every name, type and range in it is checked before it is used.

    Raises:
        IngestError: `bad_manifest`, or `bad_path` for a file name that leads out of the folder.
    """
    try:
        info = manifest_from_bytes(data)
        _check_types(info, "manifest")
        safe_name(info.episode_id)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:  # NaN, odd nesting, ...
        raise IngestError(f"{MANIFEST}: {error}", reason="bad_manifest") from error
    for digest in (info.content_sha256, *(file.sha256 for file in info.files), *_descriptions(info)):
        if not _HASH.fullmatch(digest):
            message = f"{MANIFEST}: expected 64 hexadecimal digits, got {digest[:80]!r}"
            raise IngestError(message, reason="bad_manifest")
    names = [file.path for file in info.files]
    for name in names:
        if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
            raise IngestError(f"{MANIFEST}: {name[:80]!r} is not a valid file name in an episode", reason="bad_path")
    if len(set(names)) < len(names) or len(names) > MAX_FILES or STREAMS not in names:
        message = f"{MANIFEST}: expected {STREAMS} and at most {MAX_FILES} different files, got {len(names)}"
        raise IngestError(message, reason="bad_manifest")
    streams = [stream.name for stream in info.streams]
    videos = {stream.video for stream in info.streams if stream.video}
    sizes = [file.bytes for file in info.files]
    is_sane = min(sizes) >= 0 and sum(sizes) < MAX_EPISODE_BYTES and info.start_ns <= info.end_ns
    if len(set(streams)) < len(streams) or not videos <= set(names) or not is_sane:
        raise IngestError(f"{MANIFEST}: streams, times and files contradict each other", reason="bad_manifest")
    return info


def place_of(root: Path, info: EpisodeInfo) -> Place:
    """Return whether the folder of the episode is free, holds the same content, or holds another episode.

    A damaged episode counts as another one: a person should look at it before it is replaced.
    """
    path = episode_folder(root, info.episode_id)
    if not path.exists():
        return "free"
    try:
        there = manifest_from_bytes((path / MANIFEST).read_bytes())
    except (StoreError, OSError):
        return "taken"
    return "same" if there.content_sha256 == info.content_sha256 else "taken"


def wanted_files(root: Path, info: EpisodeInfo) -> list[Wanted]:
    """Return the files that must arrive before `adopt` can commit: the episode's own, and unknown descriptions."""
    wanted = [Wanted(sha256=file.sha256, bytes=file.bytes, name=file.path) for file in info.files]
    for digest, kind in sorted(_descriptions(info).items()):
        if not (root / kind / f"{digest}.json").is_file():
            wanted.append(Wanted(sha256=digest, bytes=None, name=f"{kind}/{digest}.json"))
    return wanted


def spoilt_files(info: EpisodeInfo, blobs: Mapping[str, Path]) -> list[str]:
    """Return the hashes among `blobs` (content hash to file) whose file has another size or content."""
    sizes = {file.sha256: file.bytes for file in info.files}
    return [
        digest
        for digest, path in sorted(blobs.items())
        if path.stat().st_size != sizes.get(digest, path.stat().st_size) or sha256_file(path) != digest
    ]


def adopt(root: Path, manifest: bytes, blobs: Mapping[str, Path]) -> bool:
    """Commit the episode of `manifest`; its files and new descriptions are `blobs`, by SHA-256.

    Returns False where the same episode is there already. `blobs` stay where they are: they are linked where the
    file system can, else copied. On return the episode is on the disk.

    Raises:
        IngestError: `bad_manifest`, `bad_path`, `missing_file`, `checksum`, `bad_description`, `damaged_streams`,
            `count`, `conflict` (another episode has this id). Nothing was committed.
        StoreError: the disk is full or refuses.
    """
    info = check_manifest(manifest)
    if place_of(root, info) == "same":
        return False
    _check_place(root, info)
    for wanted in wanted_files(root, info):
        if wanted.sha256 not in blobs:
            raise IngestError(f"episode {info.episode_id!r}: {wanted.name} was not received", reason="missing_file")
    if spoilt := spoilt_files(info, {file.sha256: blobs[file.sha256] for file in info.files}):
        names = [file.path for file in info.files if file.sha256 in spoilt]
        raise IngestError(f"episode {info.episode_id!r}: checksum mismatch in {', '.join(names)}", reason="checksum")
    descriptions = _check_descriptions(root, info, blobs)
    _check_samples(info, blobs[next(file.sha256 for file in info.files if file.path == STREAMS)])
    for path, data in descriptions.items():
        write_durably(path, data)
    staging = new_staging(root)
    try:
        for file in info.files:
            _link(blobs[file.sha256], staging / file.path)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise StoreError(f"{staging}: cannot write ({error.strerror}); check the disk and its permissions") from error
    if commit_folder(staging, episode_folder(root, info.episode_id), {MANIFEST: manifest}):
        return True
    _check_place(root, info)  # another writer committed first
    return False


def _check_place(root: Path, info: EpisodeInfo) -> None:
    if place_of(root, info) == "taken":
        raise IngestError(
            f"episode {info.episode_id!r} already exists with other content; episodes are never overwritten",
            reason="conflict",
        )


def _descriptions(info: EpisodeInfo) -> dict[str, DescriptionKind]:
    found: dict[str, DescriptionKind] = {stream.spec_sha256: "specs" for stream in info.streams}
    return {**found, info.embodiment_sha256: "embodiments"}


def _check_types(value: object, where: str) -> None:
    """Raise StoreError unless every field of a dataclass has the type of its annotation; JSON does not ensure it."""
    assert is_dataclass(value)
    hints = typing.get_type_hints(type(value))
    for item in fields(value):
        held, hint = getattr(value, item.name), hints[item.name]
        if is_dataclass(held):
            _check_types(held, item.name)
        elif isinstance(held, tuple):
            for each in held:
                if is_dataclass(each):
                    _check_types(each, item.name)
                else:
                    _check_plain(each, str, f"{where}.{item.name}")
        else:
            _check_plain(held, hint, f"{where}.{item.name}")


def _check_plain(held: object, hint: object, where: str) -> None:
    choices = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        fits = held in choices
    elif choices:  # a union: bool | None
        fits = type(held) in choices
    else:
        fits = type(held) is hint
    if not fits or (isinstance(held, int) and held not in _INT64):
        raise StoreError(f"{where}: {str(held)[:60]!r} has the wrong type or is out of range")
    if isinstance(held, str):
        try:
            held.encode()
        except UnicodeEncodeError as error:
            raise StoreError(f"{where}: not valid Unicode") from error


def _check_descriptions(root: Path, info: EpisodeInfo, blobs: Mapping[str, Path]) -> dict[Path, bytes]:
    """Return the descriptions that are new here, once all of them fit the manifest."""
    fresh = {}
    names = {stream.spec_sha256: (stream.name, stream.kind) for stream in info.streams}
    for digest, kind in _descriptions(info).items():
        path = root / kind / f"{digest}.json"
        is_new = not path.is_file()
        try:
            data = (blobs[digest] if is_new else path).read_bytes()
            raw = json.loads(data)
            if kind == "embodiments":
                fits = embodiment_from_dict(raw).name == info.embodiment
            else:
                spec = spec_from_dict(raw)
                fits = (spec.name, spec.kind) == names[digest]
        except (CounterpointError, OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise IngestError(f"{kind}/{digest}.json: {error}", reason="bad_description") from error
        if not fits or sha256_hex(data) != digest:
            message = f"{kind}/{digest}.json: does not match the manifest of episode {info.episode_id!r}"
            raise IngestError(message, reason="bad_description")
        if is_new:
            fresh[path] = data
    return fresh


def _check_samples(info: EpisodeInfo, path: Path) -> None:
    try:
        size = path.stat().st_size
        metadata = pq.read_metadata(path)
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        if sum(group.total_byte_size for group in groups) > MAX_STREAMS_RATIO * size:
            raise ValueError(f"{size} bytes would unpack to more than {MAX_STREAMS_RATIO} times as much")
        columns = decode_streams(path.read_bytes())
    except DAMAGED as error:
        raise IngestError(f"{STREAMS} of {info.episode_id!r}: {error}", reason="damaged_streams") from error
    for stream in info.streams:
        if stream.name not in columns or len(columns[stream.name].capture_ns) != stream.samples:
            message = f"episode {info.episode_id!r}, stream {stream.name!r}: expected {stream.samples} samples"
            raise IngestError(message, reason="count")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
