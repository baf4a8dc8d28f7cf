"""Which content a store holds, so that any number of processes may add at once and no content is added twice.

    STORE/catalogue/content/<2 hex>.txt      one line per claim: content hash, place of the episode

A claim is written *before* its episode is committed, while the file is locked. It counts once its episode
is there; otherwise its owner died, and the next process takes over. The kernel frees the lock of a process
that is killed. The ledger is derived from the store and updated whenever an ingest starts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from counterpoint.store.files.layout import MANIFEST, episode_folder

_HASH = re.compile(r"[0-9a-f]{64}")


class Ledger:
    """The claims of one store."""

    def __init__(self, root: Path) -> None:
        """Create the folder if needed."""
        self._episodes = root / "episodes"
        self._root = root
        self._folder = root / "catalogue" / "content"
        self._folder.mkdir(parents=True, exist_ok=True)

    def bring_up_to_date(self, episodes: Iterable[tuple[str, str]]) -> None:
        """Add committed episodes that are not in the ledger; `episodes` are pairs of content hash and episode id."""
        by_file: dict[Path, list[tuple[str, str]]] = defaultdict(list)
        for content, episode_id in episodes:
            if content:
                by_file[self._file(content)].append((_key(content), episode_id))
        for path, pairs in by_file.items():
            with _locked(path) as file:
                known = {line[:64] for line in file.read().decode(errors="replace").splitlines()}
                lines = [f"{key} {self._place(episode)}\n" for key, episode in pairs if key not in known]
                _append(file, "".join(lines))

    def existing(self, content: str) -> Path | None:
        """Return the folder of the committed episode that has this content, if there is one."""
        try:
            return self._committed(self._file(content).read_bytes(), content)
        except FileNotFoundError:
            return None

    @contextmanager
    def claim(self, content: str, episode_id: str) -> Iterator[Path | None]:
        """Yield the folder of the episode that has this content, or None where the caller must add it now.

        No other process gets None for the same content until this block ends or the process dies.
        """
        with _locked(self._file(content)) as file:
            existing = self._committed(file.read(), content)
            if existing is None:
                _append(file, f"{_key(content)} {self._place(episode_id)}\n")
            yield existing

    def _committed(self, data: bytes, content: str) -> Path | None:
        key = _key(content).encode()
        if key not in data:
            return None
        for line in data.split(b"\n"):
            if line.startswith(key):
                folder = self._episodes / line[65:].decode(errors="replace")
                if (folder / MANIFEST).is_file():
                    return folder
        return None

    def _file(self, content: str) -> Path:
        return self._folder / f"{_key(content)[:2]}.txt"

    def _place(self, episode_id: str) -> str:
        return str(episode_folder(self._root, episode_id).relative_to(self._episodes))


def claim_name(root: Path, name: str, digest: str) -> bool:
    """Whether the robot called `name` in this store is the one with this hash; the first caller decides."""
    folder = root / "catalogue" / "robots"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.txt") as file:
        there = file.read().decode(errors="replace").strip()
        if len(there) != len(digest):  # unclaimed, or torn by a power cut before any episode used it
            file.truncate(0)
            _append(file, f"{digest}\n")
            return True
        return there == digest


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def _append(file: BinaryIO, text: str) -> None:
    """Append lines; a torn last line is closed off first."""
    if not text:
        return
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        text = text if file.read(1) == b"\n" else f"\n{text}"
    file.write(text.encode())
    file.flush()


def _key(content: str) -> str:
    return content if _HASH.fullmatch(content) else hashlib.sha256(content.encode()).hexdigest()
