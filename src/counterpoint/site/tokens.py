"""Tokens: one secret per site. The receiver's file holds their SHA-256 only.

    {"format": "counterpoint-tokens", "version": 1, "tokens": [{"site", "sha256", "created_s"}]}

A token has 256 random bits and cannot be guessed, so a plain hash is enough.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from counterpoint.core.errors import SiteError
from counterpoint.store.files.commit import write_durably

FORMAT = "counterpoint-tokens"
VERSION = 1
PREFIX = "cps_"
_SITE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class Tokens:
    """The known tokens; the file is read again when it changes, so a revoked token stops working at once."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises SiteError where it is missing or not a tokens file."""
        self.path = path
        self._changed_ns = -1
        self._by_hash: Mapping[str, str] = {}
        self._refresh()

    def site_of(self, token: str) -> str | None:
        """Return the site of this token, or None; takes the same time for any token."""
        self._refresh()
        asked = hash_token(token)
        found = None
        for digest, site in self._by_hash.items():
            if hmac.compare_digest(digest, asked):
                found = site
        return found

    def __len__(self) -> int:
        """Return how many tokens there are."""
        return len(self._by_hash)

    def _refresh(self) -> None:
        try:
            changed_ns = self.path.stat().st_mtime_ns
        except OSError:
            if self._changed_ns >= 0:
                self._by_hash = {}  # the file was removed: nobody may send
                return
            changed_ns = 0
        if changed_ns != self._changed_ns:
            self._by_hash = {token["sha256"]: token["site"] for token in load_tokens(self.path)}
            self._changed_ns = changed_ns


def load_tokens(path: Path) -> list[dict[str, str]]:
    """Return the entries of a tokens file.

    Raises:
        SiteError: missing, damaged or foreign.
    """
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise SiteError(
            f"{path}: no tokens yet; make one with: counterpoint site token NAME --tokens {path}"
        ) from error
    except (ValueError, OSError) as error:
        raise SiteError(f"{path}: cannot be read as a tokens file ({error})") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT or raw.get("version") != VERSION:
        raise SiteError(
            f"{path}: expected a tokens file ({FORMAT} {VERSION}); was it made by 'counterpoint site token'?"
        )
    return [{"site": each["site"], "sha256": each["sha256"], "created_s": each["created_s"]} for each in raw["tokens"]]


def add_token(path: Path, site: str) -> str:
    """Make a token for a site and return it; only its hash is kept. A site may have several, to change them in turn.

    Raises:
        SiteError: the site's name is not a plain word.
    """
    check_site(site)
    token = PREFIX + secrets.token_urlsafe(32)
    with _locked(path):
        known = load_tokens(path) if path.exists() else []
        entry = {"site": site, "sha256": hash_token(token), "created_s": str(int(time.time()))}
        _save(path, [*known, entry])
    return token


def revoke_tokens(path: Path, site: str) -> int:
    """Revoke all tokens of a site; return how many there were."""
    with _locked(path):
        known = load_tokens(path)
        kept = [entry for entry in known if entry["site"] != site]
        _save(path, kept)
    return len(known) - len(kept)


def read_token(path: Path) -> str:
    """Return the token in a site's token file.

    Raises:
        SiteError: missing, empty or not a token.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise SiteError(
            f"{path}: missing; the receiver's operator creates a token with: counterpoint site token NAME"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SiteError(f"{path}: cannot be read as a token ({error})") from error
    if not re.fullmatch(r"[\x21-\x7e]{16,200}", token):
        raise SiteError(f"{path}: expected one token on one line, as printed by 'counterpoint site token'")
    return token


def check_site(site: str) -> None:
    """Raise SiteError unless the name is safe as a folder and in logs."""
    if not _SITE.fullmatch(site):
        raise SiteError(f"site {site[:80]!r}: expected 1 to 64 letters, digits or _ . - (not starting with . or -)")


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token, 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _save(path: Path, entries: list[dict[str, str]]) -> None:
    body = {"format": FORMAT, "version": VERSION, "tokens": entries}
    write_durably(path, (json.dumps(body, indent=1) + "\n").encode())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time change the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(lock.name)
        yield
