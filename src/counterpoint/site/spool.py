"""The sender's disk: committed episodes of a spool, and the ledger of episodes that the receiver has confirmed.

    SPOOL/pushed.jsonl    one line per episode that the receiver has: target, episode_id, manifest_sha256, state, ...

The ledger only saves requests: without it the sender asks again, and the receiver answers `already`.
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
class SpooledEpisode:
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
    """A store whose committed episodes go to `target`; one sender at a time.

    Raises:
        StoreError: the folder is not a store.
        SiteError: another sender is using it.
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
        """Release the lock."""
        self._ledger.close()

    @property
    def confirmed(self) -> int:
        """Number of episodes that the ledger lists as confirmed."""
        return len(self._done)

    def fresh(self, *, also_confirmed: bool = False) -> tuple[list[SpooledEpisode], list[str]]:
        """Return committed episodes that were not returned before, oldest first, and problems with others.

        Confirmed episodes are skipped, unless `also_confirmed`.
        """
        episodes, problems = [], []
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
            episodes.append(
                SpooledEpisode(folder=folder, info=info, manifest_sha256=sha256_hex(data), manifest_bytes=len(data))
            )
        return episodes, problems

    def path_of(self, spooled: SpooledEpisode, name: str) -> Path:
        """Return a file of an episode, by the name that the receiver asked for; StoreError for any other name."""
        own = {MANIFEST, *(file.path for file in spooled.info.files)}
        info = spooled.info
        shared = {f"embodiments/{info.embodiment_sha256}.json", *(f"specs/{s.spec_sha256}.json" for s in info.streams)}
        if name in own:
            return spooled.folder / name
        if name in shared:
            return self.root / name
        raise StoreError(f"the receiver asked for {name[:80]!r}, which is not a file of {info.episode_id!r}")

    def confirm(self, spooled: SpooledEpisode, state: str, sent_bytes: int) -> None:
        """Record that the receiver has the episode; the record is on the disk on return."""
        key = str(spooled.folder.relative_to(self.root))
        if self._done.get(key) == spooled.manifest_sha256:
            return
        record: dict[str, Json] = {
            "target": self.target,
            "folder": key,
            "episode_id": spooled.info.episode_id,
            "manifest_sha256": spooled.manifest_sha256,
            "state": state,
            "bytes": spooled.num_bytes,
            "sent_bytes": sent_bytes,
            "time_s": round(time.time(), 3),
        }
        self._ledger.append(record)
        self._done[key] = spooled.manifest_sha256

    def delete(self, spooled: SpooledEpisode) -> None:
        """Remove an episode that the receiver has; a crash leaves it complete or gone."""
        gone = self.root / "staging" / f"pushed-{uuid.uuid4().hex}"
        gone.parent.mkdir(exist_ok=True)
        os.rename(spooled.folder, gone)
        shutil.rmtree(gone, ignore_errors=True)


def file_is_whole(path: Path, sha256: str) -> bool:
    """Whether a file of the spool still has the content stated in its manifest."""
    try:
        return sha256_file(path) == sha256
    except OSError:
        return False


def _committed_ns(folder: Path) -> tuple[int, str]:
    try:
        return folder.stat().st_mtime_ns, folder.name
    except FileNotFoundError:
        return 0, folder.name
