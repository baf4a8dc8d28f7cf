"""The sending side's disk: committed episodes of a spool, and the ledger of what the receiver has confirmed.

    SPOOL/pushed.jsonl    one line an episode that the receiver holds: target, episode_id, manifest_sha256, state, ...

The ledger only saves questions: without it the receiver is asked again and answers `already`.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from counterpoint.core.errors import StoreError
from counterpoint.core.records import Json
from counterpoint.site.journal import Journal, read_journal
from counterpoint.store.files.layout import MANIFEST, check_store, next_step, sha256_file, sha256_hex
from counterpoint.store.files.manifest import EpisodeInfo, manifest_from_bytes

logger = logging.getLogger(__name__)

LEDGER = "pushed.jsonl"


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One episode to send."""

    folder: Path
    info: EpisodeInfo
    manifest_sha256: str
    manifest_bytes: int

    @property
    def num_bytes(self) -> int:
        """Size of its files and manifest."""
        return self.info.num_bytes + self.manifest_bytes


class Spool:
    """A store folder whose committed episodes go to `target`; one sender at a time.

    Raises:
        StoreError: the folder is not a store.
        SiteError: another sender is at work on it.
    """

    def __init__(self, root: Path, target: str) -> None:
        """Read the ledger."""
        check_store(root)
        self.root = root
        self.target = target
        self._ledger = Journal(root / LEDGER)
        self._done: dict[str, str] = {}
        self._seen: set[str] = set()
        for line in read_journal(root / LEDGER):
            if line.get("target") == target:
                self._done[str(line.get("folder"))] = str(line.get("manifest_sha256"))

    def close(self) -> None:
        """Let another sender in."""
        self._ledger.close()

    @property
    def confirmed(self) -> int:
        """Episodes that the receiver holds, as far as the ledger knows."""
        return len(self._done)

    def fresh(self, *, also_confirmed: bool = False) -> tuple[list[Parcel], list[str]]:
        """Return committed episodes that were not returned before, oldest first, and what is wrong with others.

        Episodes of the ledger are left out, unless `also_confirmed`.
        """
        parcels, problems = [], []
        for folder in sorted((self.root / "episodes").glob("*/*"), key=_committed_ns):
            key = str(folder.relative_to(self.root))
            if key in self._seen or (key in self._done and not also_confirmed):
                continue
            self._seen.add(key)
            try:
                data = (folder / MANIFEST).read_bytes()
                info = manifest_from_bytes(data)
            except (StoreError, OSError) as error:
                problems.append(f"{folder / MANIFEST}: damaged: {error}; {next_step(self.root)}")
                continue
            parcels.append(Parcel(folder=folder, info=info, manifest_sha256=sha256_hex(data), manifest_bytes=len(data)))
        return parcels, problems

    def path_of(self, parcel: Parcel, name: str) -> Path:
        """Return a file of an episode, by the name that the receiver asked for; StoreError where it asks for others."""
        own = {MANIFEST, *(file.path for file in parcel.info.files)}
        info = parcel.info
        shared = {f"embodiments/{info.embodiment_sha256}.json", *(f"specs/{s.spec_sha256}.json" for s in info.streams)}
        if name in own:
            return parcel.folder / name
        if name in shared:
            return self.root / name
        raise StoreError(f"the receiver asks for {name[:80]!r}, which is no file of {info.episode_id!r}")

    def confirm(self, parcel: Parcel, state: str, sent_bytes: int) -> None:
        """Write down that the receiver holds the episode; on the disk on return."""
        key = str(parcel.folder.relative_to(self.root))
        if self._done.get(key) == parcel.manifest_sha256:
            return
        record: dict[str, Json] = {
            "target": self.target,
            "folder": key,
            "episode_id": parcel.info.episode_id,
            "manifest_sha256": parcel.manifest_sha256,
            "state": state,
            "bytes": parcel.num_bytes,
            "sent_bytes": sent_bytes,
            "time_s": round(time.time(), 3),
        }
        self._ledger.append(record)
        self._done[key] = parcel.manifest_sha256

    def delete(self, parcel: Parcel) -> None:
        """Remove an episode that the receiver holds; a crash leaves it whole or gone."""
        gone = self.root / "staging" / f"pushed-{uuid.uuid4().hex}"
        gone.parent.mkdir(exist_ok=True)
        os.rename(parcel.folder, gone)
        shutil.rmtree(gone, ignore_errors=True)


def file_is_whole(path: Path, sha256: str) -> bool:
    """Whether a file of the spool still has the content that its manifest says."""
    try:
        return sha256_file(path) == sha256
    except OSError:
        return False


def _committed_ns(folder: Path) -> tuple[int, str]:
    try:
        return folder.stat().st_mtime_ns, folder.name
    except FileNotFoundError:
        return 0, folder.name
