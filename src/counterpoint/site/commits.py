"""From complete uploads to committed episodes: what is missing, what is refused, and the receipts.

commit(site, episode) -> already | refused | open + missing files | committed
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from counterpoint.core.errors import CounterpointError, IngestError, StoreError
from counterpoint.core.records import Json
from counterpoint.site.incoming import COMMITTING, REFUSED, Incoming
from counterpoint.site.journal import Journal, read_journal
from counterpoint.site.tus import UploadName
from counterpoint.store.episodes.adopt import (
    Wanted,
    adopt,
    check_manifest,
    place_of,
    spoilt_files,
    wanted_files,
)
from counterpoint.store.files.commit import write_durably
from counterpoint.store.files.layout import MANIFEST, episode_folder, sha256_hex
from counterpoint.store.files.manifest import EpisodeInfo

logger = logging.getLogger(__name__)

RECEIPTS = "receipts.jsonl"
REFUSALS = "refused.jsonl"
RECENT_BYTES = 1 << 20

State = Literal["committed", "already", "open", "refused"]


@dataclass(frozen=True, kw_only=True)
class CommitResult:
    """State of an episode after a request to commit it."""

    state: State
    reason: str = ""
    """For refusals: a stable code."""
    message: str = ""
    missing: tuple[Wanted, ...] = ()
    """For open episodes: the files that must still be sent."""
    spoilt: tuple[str, ...] = ()
    """Hashes of files that arrived with the wrong content; their bytes are dropped, and they are missing again."""
    needs_bytes: int = 0
    """For open episodes: the size of all its files."""

    def to_dict(self) -> dict[str, Json]:
        """Return the body of the answer."""
        missing: list[Json] = [{"sha256": w.sha256, "bytes": w.bytes, "name": w.name} for w in self.missing]
        body: dict[str, Json] = {"state": self.state}
        if self.state == "refused":
            body |= {"reason": self.reason, "message": self.message}
        return body | ({"missing": missing, "spoilt": [*self.spoilt]} if self.state == "open" else {})


class Commits:
    """Commits episodes into the store at `root`; one process at a time.

    All methods block. Calls for one episode of one site must not overlap.

    Raises:
        SiteError: another receiver is using this store.
    """

    def __init__(self, root: Path, incoming: Incoming) -> None:
        """Open the receipts, and finish commits that a crash left without a receipt."""
        self.root = root
        self.incoming = incoming
        self._receipts = Journal(root / RECEIPTS)
        self._refusals = Journal(root / REFUSALS)
        self._finish_interrupted()

    def close(self) -> None:
        """Close the journals."""
        self._receipts.close()
        self._refusals.close()

    def manifest(self, site: str, episode: str) -> EpisodeInfo | None:
        """Return the manifest received for this episode, or None.

        Raises:
            IngestError: it is complete but cannot be used.
        """
        data = self._manifest_bytes(site, episode)
        return None if data is None else check_manifest(data)

    def commit(self, site: str, episode: str, episode_id: str) -> CommitResult:
        """Commit the episode whose manifest has hash `episode` if it is complete; may be repeated.

        Raises:
            StoreError: the store cannot be written.
        """
        if self._is_committed(episode, episode_id) and not self.incoming.folder(site, episode).is_dir():
            return CommitResult(state="already")
        refused = self.incoming.folder(site, episode) / REFUSED
        if refused.is_file():
            said = json.loads(refused.read_bytes())
            return CommitResult(state="refused", reason=said["reason"], message=said["message"])
        try:
            return self._try(site, episode)
        except IngestError as error:
            return self._refuse(site, episode, episode_id, error)

    def _try(self, site: str, episode: str) -> CommitResult:
        data = self._manifest_bytes(site, episode)
        if data is None:
            return CommitResult(state="open", missing=(Wanted(sha256=episode, bytes=None, name=MANIFEST),))
        if sha256_hex(data) != episode:
            self.incoming.drop(site, UploadName(episode=episode, sha256=episode))
            missing = Wanted(sha256=episode, bytes=None, name=MANIFEST)
            return CommitResult(state="open", missing=(missing,), spoilt=(episode,))
        info = check_manifest(data)
        match place_of(self.root, info):
            case "same":
                marker = self.incoming.folder(site, episode) / COMMITTING
                state: State = (
                    "committed" if marker.is_file() else "already"
                )  # otherwise the receipt could not be written
                self._finish(site, episode, info, state)
                return CommitResult(state=state)
            case "taken":
                message = (
                    f"episode {info.episode_id!r} is already in the store with other content, which is not overwritten"
                )
                raise IngestError(message, reason="conflict")
            case "free":
                return self._try_files(site, episode, data, info)

    def _try_files(self, site: str, episode: str, data: bytes, info: EpisodeInfo) -> CommitResult:
        blobs = self.incoming.complete(site, episode)
        wanted = wanted_files(self.root, info)
        missing = [each for each in wanted if each.sha256 not in blobs]
        spoilt: list[str] = []
        if not missing:
            spoilt = spoilt_files(info, {each.sha256: blobs[each.sha256] for each in wanted})
            for digest in spoilt:
                self.incoming.drop(site, UploadName(episode=episode, sha256=digest))
            missing = [each for each in wanted if each.sha256 in spoilt]
        if missing:
            return CommitResult(state="open", missing=tuple(missing), spoilt=tuple(spoilt), needs_bytes=info.num_bytes)
        marker = self.incoming.folder(site, episode) / COMMITTING
        write_durably(marker, b"")
        try:
            is_new = adopt(self.root, data, blobs)
        except (CounterpointError, OSError):
            marker.unlink(missing_ok=True)
            raise
        state: State = "committed" if is_new else "already"
        self._finish(site, episode, info, state)
        return CommitResult(state=state)

    def _finish(self, site: str, episode: str, info: EpisodeInfo, state: State) -> None:
        self._receipts.append(
            {
                "site": site,
                "state": state,
                "episode_id": info.episode_id,
                "manifest_sha256": episode,
                "content_sha256": info.content_sha256,
                "bytes": info.num_bytes,
                "received_bytes": self.incoming.received(site, episode),
                "time_s": round(time.time(), 3),
            }
        )
        self.incoming.remove(site, episode)

    def _refuse(self, site: str, episode: str, episode_id: str, error: IngestError) -> CommitResult:
        said = {"reason": error.reason, "message": str(error)}
        logger.warning("site %s: refused: %s", site, error)
        self._refusals.append(
            {
                "site": site,
                "episode_id": episode_id,
                "manifest_sha256": episode,
                "time_s": round(time.time(), 3),
                "reason": error.reason,
                "message": str(error),
            }
        )
        self.incoming.remove(site, episode)
        folder = self.incoming.folder(site, episode)
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / REFUSED, json.dumps(said).encode())
        return CommitResult(state="refused", reason=error.reason, message=str(error))

    def _manifest_bytes(self, site: str, episode: str) -> bytes | None:
        upload = self.incoming.find(site, UploadName(episode=episode, sha256=episode))
        return upload.part.read_bytes() if upload is not None and upload.is_complete else None

    def _is_committed(self, episode: str, episode_id: str) -> bool:
        """Whether this manifest is in the store; a sender that lost its ledger asks this."""
        try:
            return sha256_hex((episode_folder(self.root, episode_id) / MANIFEST).read_bytes()) == episode
        except (StoreError, OSError):
            return False

    def _finish_interrupted(self) -> None:
        marked = [key for key in self.incoming.episodes() if (self.incoming.folder(*key) / COMMITTING).is_file()]
        recent = read_journal(self._receipts.path, last_bytes=RECENT_BYTES) if marked else []
        known = {(each.get("site"), each.get("manifest_sha256")) for each in recent}
        for site, episode in marked:
            data = self._manifest_bytes(site, episode)
            if data is None:
                continue
            info = check_manifest(data)
            if not self._is_committed(episode, info.episode_id):
                continue  # the crash was before the commit; the sender asks again
            if (site, episode) in known:
                self.incoming.remove(site, episode)
            else:
                self._finish(site, episode, info, "committed")
