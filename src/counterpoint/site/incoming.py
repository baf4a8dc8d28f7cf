"""Uploads on the receiver's disk: the bytes received so far. Confirmed bytes are never lost.

    STORE/incoming/<site>/<manifest sha256>/<file sha256>.part    the bytes
                                            <file sha256>.log     {"length": ...}, then one confirmed offset per line
                                            refused.json          why the episode cannot be committed
                                            committing            marks a commit in progress

An offset is confirmed by syncing first the bytes, then the line; bytes beyond the last complete line are discarded.
All functions block, so they run in threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from counterpoint.site.tus import CHECKSUM_MISMATCH, Checksum, TusError, UploadName
from counterpoint.store.files.commit import sync_folder, write_synced

FOLDER = "incoming"
REFUSED = "refused.json"
COMMITTING = "committing"


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file in transfer."""

    name: UploadName
    length: int
    offset: int
    """Confirmed bytes."""
    touched_s: float
    """When it last grew, Unix seconds."""
    part: Path
    log: Path
    log_bytes: int
    """Size of the log's complete lines; a torn line after them is overwritten."""

    @property
    def is_complete(self) -> bool:
        """Whether all bytes have arrived."""
        return self.offset == self.length


class Incoming:
    """All uploads of a receiver."""

    def __init__(self, root: Path, expire_s: float) -> None:
        """Keep uploads under `root/incoming`; those that have not grown for `expire_s` seconds expire."""
        self.root = root / FOLDER
        self.expire_s = expire_s
        self.root.mkdir(parents=True, exist_ok=True)

    def folder(self, site: str, episode: str) -> Path:
        """Return the folder of an episode of a site; it may not exist."""
        return self.root / site / episode

    def find(self, site: str, name: UploadName) -> Upload | None:
        """Return the upload's current state, or None."""
        folder = self.folder(site, name.episode)
        log, part = folder / f"{name.sha256}.log", folder / f"{name.sha256}.part"
        try:
            data = log.read_bytes()
            lines = data.split(b"\n")
            touched_s = log.stat().st_mtime
            length = int(json.loads(lines[0])["length"])
            offset = int(lines[-2]) if len(lines) > 2 else 0
            if part.stat().st_size < offset:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent, or torn while it was created; it is created again
        return Upload(
            name=name,
            length=length,
            offset=offset,
            touched_s=touched_s,
            part=part,
            log=log,
            log_bytes=len(data) - len(lines[-1]),
        )

    def get(self, site: str, name: UploadName) -> Upload:
        """Return the upload; TusError 404 where there is none, 410 where it has expired."""
        upload = self.find(site, name)
        if upload is None:
            raise TusError(404, "no such upload; create it again")
        if self.is_expired(upload.touched_s):
            raise TusError(410, "the upload has expired; create it again")
        return upload

    def is_expired(self, touched_s: float) -> bool:
        """Whether an upload last changed then has expired."""
        return time.time() - touched_s > self.expire_s

    def create(self, site: str, name: UploadName, length: int) -> tuple[Upload, bool]:
        """Return the upload and whether it is new; repeating the request finds the same upload.

        An upload of another length was a mistake of the same sender and is restarted, unless it is complete:
        then this request is wrong (TusError 409).
        """
        found = self.find(site, name)
        if found is not None and not self.is_expired(found.touched_s):
            if found.length == length:
                return found, False
            if found.is_complete:
                raise TusError(409, f"this upload is complete with {found.length} bytes, got Upload-Length {length}")
        folder = self.folder(site, name.episode)
        self._make(folder)
        self.drop(site, name)
        write_synced(folder / f"{name.sha256}.part", b"")
        write_synced(folder / f"{name.sha256}.log", json.dumps({"length": length}).encode() + b"\n")
        sync_folder(folder)
        return self.get(site, name), True

    def drop(self, site: str, name: UploadName) -> None:
        """Delete an upload and its bytes."""
        for suffix in (".log", ".part"):
            (self.folder(site, name.episode) / f"{name.sha256}{suffix}").unlink(missing_ok=True)

    def remove(self, site: str, episode: str) -> None:
        """Delete all uploads of an episode."""
        shutil.rmtree(self.folder(site, episode), ignore_errors=True)

    def complete(self, site: str, episode: str) -> dict[str, Path]:
        """Return the complete files of an episode, by SHA-256."""
        found = {}
        for log in sorted(self.folder(site, episode).glob("*.log")):
            upload = self.find(site, UploadName(episode=episode, sha256=log.stem))
            if upload is not None and upload.is_complete:
                found[log.stem] = upload.part
        return found

    def received(self, site: str, episode: str) -> int:
        """Return how many bytes of an episode are confirmed."""
        logs = self.folder(site, episode).glob("*.log")
        uploads = (self.find(site, UploadName(episode=episode, sha256=log.stem)) for log in logs)
        return sum(upload.offset for upload in uploads if upload is not None)

    def episodes(self) -> Iterator[tuple[str, str]]:
        """Yield (site, manifest hash) of every episode in transfer."""
        for site in sorted(path for path in self.root.iterdir() if path.is_dir()):
            for folder in sorted(path for path in site.iterdir() if path.is_dir()):
                yield site.name, folder.name

    def touched_s(self, site: str, episode: str) -> float:
        """Return when an episode's uploads last changed, Unix seconds; 0 where there are none."""
        try:
            return max(path.stat().st_mtime for path in self.folder(site, episode).iterdir())
        except (FileNotFoundError, ValueError):
            return 0.0

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            for path in (folder.parent, folder.parent.parent):
                sync_folder(path)


class Piece:
    """The body of one request on its way to the disk; `keep` confirms it, otherwise it is discarded."""

    def __init__(self, upload: Upload, checksum: Checksum | None) -> None:
        """Discard unconfirmed bytes of earlier requests and seek to the offset."""
        self._upload = upload
        self._checksum = checksum
        self._digest = hashlib.new(checksum.algorithm) if checksum else None
        self._file = upload.part.open("r+b")
        self._file.truncate(upload.offset)
        self._file.seek(upload.offset)
        self.end = upload.offset

    def write(self, data: bytes | bytearray) -> None:
        """Add bytes; TusError 413 where they go beyond the upload's length."""
        if self.end + len(data) > self._upload.length:
            raise TusError(413, f"more bytes than Upload-Length {self._upload.length}")
        self._file.write(data)
        if self._digest is not None:
            self._digest.update(data)
        self.end += len(data)

    def keep(self, *, whole: bool) -> int:
        """Confirm the bytes and return the new offset.

        A piece with a checksum counts only if it is complete (`whole`) and its checksum matches, else TusError 460;
        a piece without a checksum always counts.
        """
        if self._digest is not None and not whole:
            self.close()
            return self._upload.offset
        if self._digest is not None and self._checksum is not None and self._digest.digest() != self._checksum.digest:
            self.close()
            raise TusError(CHECKSUM_MISMATCH, "Checksum Mismatch: the piece was damaged in transfer; send it again")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self.end > self._upload.offset:
            with self._upload.log.open("r+b") as log:
                log.seek(self._upload.log_bytes)
                log.truncate()
                log.write(f"{self.end}\n".encode())
                log.flush()
                os.fsync(log.fileno())
        return self.end

    def close(self) -> None:
        """Discard the bytes since the last confirmed offset."""
        if not self._file.closed:
            self._file.truncate(self._upload.offset)
            self._file.close()
