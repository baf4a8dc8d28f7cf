"""The vocabulary of tus 1.0.0: versions, headers, checksums.

https://tus.io/protocols/resumable-upload

    OPTIONS /uploads            204  Tus-Version, Tus-Extension, Tus-Checksum-Algorithm, Tus-Max-Size
    POST    /uploads            201  Location             (creation)      Upload-Length, Upload-Metadata
    HEAD    /uploads/EPISODE/SHA256    200  Upload-Offset, Upload-Length
    PATCH   /uploads/EPISODE/SHA256    204  Upload-Offset (checksum)      Upload-Offset, Upload-Checksum
    DELETE  /uploads/EPISODE/SHA256    204                (termination)

Metadata of an upload: `episode` is the SHA-256 of the episode's manifest, `sha256` that of the file itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

VERSION = "1.0.0"
EXTENSIONS = "creation,checksum,expiration,termination"
ALGORITHMS = ("sha1", "sha256")
CONTENT_TYPE = "application/offset+octet-stream"
MAX_METADATA = 4096
CHECKSUM_MISMATCH = 460

Algorithm = Literal["sha1", "sha256"]
_HASH = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_NUMBER = re.compile(r"[0-9]{1,18}")


class TusError(Exception):
    """A request that is answered with an error: `status` for programs, `message` for people."""

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        """Keep the answer."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, kw_only=True)
class UploadName:
    """Name of an upload: unique within a site, and the same whenever the same file is sent for the same episode."""

    episode: str
    """SHA-256 of the episode's manifest, 64 hexadecimal digits."""
    sha256: str
    """SHA-256 of the whole file."""

    @property
    def is_manifest(self) -> bool:
        """Whether the file is the manifest itself."""
        return self.episode == self.sha256


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """What the bytes of one request must hash to."""

    algorithm: Algorithm
    digest: bytes


def parse_name(episode: str, sha256: str) -> UploadName:
    """Return the upload's name from two hashes; 404 for anything else, so that only hashes name files."""
    if not _HASH.fullmatch(episode) or not _HASH.fullmatch(sha256):
        raise TusError(404, "no such upload")
    return UploadName(episode=episode, sha256=sha256)


def parse_metadata(header: str) -> UploadName:
    """Read `Upload-Metadata`; 400 where it is malformed or lacks `episode` or `sha256`. Other keys are ignored."""
    if len(header) > MAX_METADATA:
        raise TusError(400, f"Upload-Metadata: at most {MAX_METADATA} bytes, got {len(header)}")
    found: dict[str, str] = {}
    for pair in header.split(",") if header else ():
        key, _, encoded = pair.strip().partition(" ")
        if not _KEY.fullmatch(key) or key in found:
            raise TusError(400, f"Upload-Metadata: key {key[:40]!r} is empty, invalid or repeated")
        try:
            found[key] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise TusError(400, f"Upload-Metadata: the value of {key[:40]!r} is not base64 of UTF-8") from error
    for key in ("episode", "sha256"):
        if not _HASH.fullmatch(found.get(key, "")):
            raise TusError(400, f"Upload-Metadata: expected {key!r}, a SHA-256 as 64 lower-case hexadecimal digits")
    return UploadName(episode=found["episode"], sha256=found["sha256"])


def metadata_header(name: UploadName) -> str:
    """Return `Upload-Metadata` for an upload."""
    pairs = {"episode": name.episode, "sha256": name.sha256}
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def parse_checksum(header: str | None) -> Checksum | None:
    """Read `Upload-Checksum`; 400 where the algorithm is unknown or the digest malformed."""
    if header is None:
        return None
    word, _, encoded = header.partition(" ")
    algorithm: Algorithm
    match word:
        case "sha1" | "sha256":
            algorithm = word
        case _:
            raise TusError(400, f"Upload-Checksum: expected one of {', '.join(ALGORITHMS)}, got {word[:20]!r}")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TusError(400, "Upload-Checksum: not base64") from error
    if len(digest) != hashlib.new(algorithm).digest_size:
        raise TusError(400, f"Upload-Checksum: {len(digest)} bytes, expected the size of {algorithm}")
    return Checksum(algorithm=algorithm, digest=digest)


def checksum_header(data: bytes) -> str:
    """Return `Upload-Checksum` for one piece."""
    return f"sha256 {base64.b64encode(hashlib.sha256(data).digest()).decode()}"


def parse_count(headers: Mapping[str, str], name: str) -> int:
    """Return a header as a number of bytes; 400 where it is missing, negative or longer than 18 digits."""
    value = headers.get(name, "")
    if not _NUMBER.fullmatch(value):
        raise TusError(400, f"{name}: expected a number of bytes, got {value[:40]!r}")
    return int(value)
