"""Layout of a store on disk: names of its folders and files, and the hashes that name them; see `docs/format.md`.

STORE/
  store.json                               marks the folder as a store, with its version
  embodiments/<sha256>.json                each robot description once
  specs/<sha256>.json                      each stream description once
  episodes/<2 hex>/<episode>/              one committed episode: manifest.json, streams.parquet, *.mp4
  staging/                                 episodes being written; never read
  catalogue/  views/                       derived, may be deleted at any time
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from counterpoint.core.errors import StoreError
from counterpoint.store.files.commit import write_durably

FORMAT = "counterpoint-store"
VERSION = 1
MANIFEST = "manifest.json"
STREAMS = "streams.parquet"
MAX_NAME_BYTES = 200


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file of any size, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_hex(data: bytes | memoryview) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: object) -> bytes:
    """Return `value` as JSON with sorted keys and no spaces: the bytes that are hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def safe_name(name: str) -> str:
    """Return `name` as one path component; reversible, and never `.`, `..` or hidden.

    Raises:
        StoreError: the name is empty or too long for a file system.
    """
    quoted = quote(name, safe=" +=,@")
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if not quoted or len(quoted) > MAX_NAME_BYTES:
        raise StoreError(f"name {name[:60]!r}: expected 1 to {MAX_NAME_BYTES} characters, got {len(quoted)}")
    return quoted


def name_of(folder: str) -> str | None:
    """Return the name that `safe_name` turned into `folder`; None where it cannot have made it."""
    try:
        name = unquote(folder, errors="strict")
        return name if safe_name(name) == folder else None
    except (StoreError, UnicodeError):
        return None


def episode_folder(root: Path, episode_id: str) -> Path:
    """Return where the episode is committed; whether it is there or not."""
    return root / "episodes" / episode_parent(episode_id) / safe_name(episode_id)


def episode_parent(episode_id: str) -> str:
    """Return the name of the folder, one of 256, in which the episode's folder lies."""
    return hashlib.sha256(episode_id.encode()).hexdigest()[:2]


def create_store(root: Path) -> None:
    """Make `root` a store unless it is one already.

    Raises:
        StoreError: the folder holds something else, or a store of another version.
    """
    if (root / "store.json").exists():
        check_store(root)
        return
    if root.exists() and not (root.is_dir() and _half_made(root)) and not (root / "store.json").exists():
        raise StoreError(f"{root}: expected a store or an empty folder, but it holds other files; choose a new folder")
    for name in ("staging", "embodiments", "specs", "episodes"):
        (root / name).mkdir(parents=True, exist_ok=True)
    write_durably(root / "store.json", canonical_json({"format": FORMAT, "version": VERSION}))


def check_store(root: Path) -> None:
    """Raise StoreError unless `root` is a store of this version."""
    mark = root / "store.json"
    if not mark.is_file():
        raise StoreError(
            f"{root}: not a store ({'no store.json here' if root.exists() else 'no such folder'}); expected a folder "
            "that 'counterpoint collect' or 'counterpoint ingest' wrote"
        )
    try:
        raw = json.loads(mark.read_bytes())
    except ValueError as error:
        raise StoreError(f"{mark}: damaged ({error}); {next_step(root)}") from error
    if not isinstance(raw, Mapping) or raw.get("format") != FORMAT:
        raise StoreError(f"{mark}: expected format {FORMAT!r}; this folder belongs to another program")
    if raw.get("version") != VERSION:
        raise StoreError(
            f"{mark}: store version {raw.get('version')!r}, this program reads version {VERSION}; "
            "use the release that wrote it, or collect and ingest again"
        )


def next_step(root: Path) -> str:
    """Return the command to suggest when something in the store is damaged."""
    return f"try 'counterpoint check {root} --verify'"


def _half_made(root: Path) -> bool:
    """Whether `root` is empty or holds only what `create_store` makes, as when several writers start at once."""
    made = {"staging", "embodiments", "specs", "episodes", "store.json"}
    return all(entry.name in made or entry.name.startswith(".store.json.") for entry in root.iterdir())
